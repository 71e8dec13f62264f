#include "ocelli/report/svg.h"

#include <array>

#include "ocelli/report/format.h"
#include "ocelli/report/markup.h"

namespace ocelli::report {
namespace {

// Attributes carry the light colours for programs that don't read styles; the style overrides them on dark pages.
// Series colours keep a contrast of 3:1 or more against both white and the dark page, so they need no second set.
constexpr std::array<std::string_view, kPaletteSize> kPalette = {"#3b7ddd", "#d9730d", "#1f9d73", "#d6455d",
                                                                 "#8a63d2", "#0f94a8", "#b7791f", "#7c8796"};
constexpr std::string_view kStyle =
    "<style>.oc-t{fill:#3d4653}.oc-m{fill:#68727f}.oc-h{fill:#1b2129}.oc-g{stroke:#e3e7ec}.oc-a{stroke:#aab3be}.oc-d{fill:#fff}"
    ".oc-r{stroke:#fff}"
    "@media (prefers-color-scheme:dark){.oc-t{fill:#c3cad3}.oc-m{fill:#939daa}.oc-h{fill:#eef1f5}.oc-g{stroke:#2b323b}"
    ".oc-a{stroke:#5a6573}.oc-d{fill:#171b21}.oc-r{stroke:#171b21}}</style>";

constexpr std::string_view fill_of(std::string_view kind) {
  return kind == "h" ? "#1b2129" : kind == "m" ? "#68727f" : "#3d4653";
}

}  // namespace

std::string_view palette(int index) {
  return kPalette[static_cast<size_t>(index) % kPaletteSize];
}

double text_width(std::string_view text, double font_size) {
  return display_width(text) * font_size * 0.56;
}

std::string axis_title(const AxisOptions& options) {
  if (options.unit.empty()) return options.label;
  return options.label.empty() ? options.unit : fmt::format("{} ({})", options.label, options.unit);
}

SvgCanvas::SvgCanvas(int width, std::string_view title) : width_(width), title_(title) {}

void SvgCanvas::text(double x, double y, std::string_view anchor, std::string_view kind, std::string_view text) {
  const std::string_view more = kind == "h" ? " font-size=\"15\" font-weight=\"600\"" : "";
  add(R"(<text class="oc-{}" x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}"{}>{}</text>)", kind, x, y, anchor, fill_of(kind),
      more, escape_markup(text));
}

double SvgCanvas::head(std::string_view title, const std::vector<LegendEntry>& entries, double left, bool lines) {
  constexpr double kSize = 12, kLine = 20, kMark = 24, kGap = 18;
  double y = 8;
  if (!title.empty()) {
    text(left, y + 15, "start", "h", title);
    y += 28;
  }
  double x = left;
  bool any = false;
  for (const LegendEntry& entry : entries) {
    if (entry.name.empty()) continue;
    const double needed = kMark + text_width(entry.name, kSize);
    if (any && x + needed > width_ - 8) {
      x = left;
      y += kLine;
    }
    if (lines) {
      add(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="2.5"{}/>)", x, y + 10, x + 18,
          y + 10, palette(entry.color), entry.dashed ? R"( stroke-dasharray="5 4")" : "");
    } else {
      add(R"(<rect x="{:.1f}" y="{:.1f}" width="12" height="12" rx="2" fill="{}"/>)", x + 4, y + 4, palette(entry.color));
    }
    text(x + kMark, y + 14, "start", "t", entry.name);
    x += needed + kGap;
    any = true;
  }
  return any ? y + kLine + 4 : y;
}

void SvgCanvas::begin_clip(const PlotArea& area) {
  constexpr double kRoom = 4;
  const double x = area.left - kRoom, y = area.top - kRoom;
  const double width = area.right - area.left + 2 * kRoom, height = area.bottom - area.top + 2 * kRoom;
  add(R"(<svg x="{0:.1f}" y="{1:.1f}" width="{2:.1f}" height="{3:.1f}" viewBox="{0:.1f} {1:.1f} {2:.1f} {3:.1f}">)", x, y, width,
      height);
}

void draw_axes(SvgCanvas& canvas, const PlotArea& area, const Axis& x, const Axis& y, const AxisOptions& x_options,
               const AxisOptions& y_options) {
  for (const Tick& tick : y.ticks()) {
    const double at = area.y(y, tick.value);
    canvas.add(R"(<line class="oc-g" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#e3e7ec"/>)", area.left, at,
               area.right, at);
    canvas.text(area.left - 8, at + 4, "end", "m", tick.label);
  }
  for (const Tick& tick : x.ticks()) {
    const double at = area.x(x, tick.value);
    canvas.add(R"(<line class="oc-a" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#aab3be"/>)", at, area.bottom, at,
               area.bottom + 5);
    canvas.text(at, area.bottom + 18, "middle", "m", tick.label);
  }
  canvas.add(R"(<line class="oc-a" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#aab3be"/>)", area.left, area.bottom,
             area.right, area.bottom);
  canvas.text((area.left + area.right) / 2, area.bottom + 37, "middle", "t", axis_title(x_options));
  const std::string y_title = axis_title(y_options);
  if (!y_title.empty()) {
    const double middle = (area.top + area.bottom) / 2;
    canvas.add(
        R"svg(<text class="oc-t" transform="translate(14 {:.1f}) rotate(-90)" text-anchor="middle" fill="#3d4653">{}</text>)svg",
        middle, escape_markup(y_title));
  }
}

std::string SvgCanvas::finish(double height) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {:.0f}\" width=\"{}\" height=\"{:.0f}\" role=\"img\" "
      "aria-label=\"{}\" font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\" "
      "font-size=\"12\">\n{}\n{}</svg>\n",
      width_, height, width_, height, escape_markup(title_.empty() ? "plot" : title_), kStyle, body_);
}

}  // namespace ocelli::report
