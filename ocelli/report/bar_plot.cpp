#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/report/format.h"
#include "ocelli/report/markup.h"
#include "ocelli/report/plot_frame.h"

namespace ocelli::report {
namespace {

constexpr double kBar = 18, kBetweenBars = 3, kBetweenGroups = 14;

/// Labels take at most two fifths of the width; longer ones are cut.
double label_width(const std::vector<BarGroup>& groups, int width) {
  double widest = 0;
  for (const BarGroup& group : groups) widest = std::max(widest, text_width(group.label, 12));
  return std::min(widest, 0.4 * width);
}

}  // namespace

std::string bar_plot(const std::vector<BarGroup>& groups, const BarOptions& options) {
  ValueRange range;
  range.add(0);
  const size_t bars = options.series.size();
  size_t values = 0;
  for (const BarGroup& group : groups) {
    require(group.values.size() == bars, "bar_plot: group '{}' has {} values, expected {}, one a series", group.label,
            group.values.size(), bars);
    for (const double value : group.values) {
      if (!std::isfinite(value)) continue;
      range.add(value);
      ++values;
    }
  }
  SvgCanvas canvas(options.width, options.title);
  if (values == 0) return empty_plot(canvas, {.title = options.title, .width = options.width, .height = 120});

  std::vector<SvgCanvas::LegendEntry> legend;
  for (size_t s = 0; s < bars; ++s) legend.push_back({options.series[s], static_cast<int>(s), false});
  const double labels = label_width(groups, options.width);
  const double top = canvas.head(options.title, legend, 14, false) + 8;
  const double group_height = static_cast<double>(bars) * (kBar + kBetweenBars) - kBetweenBars;
  const double bottom = top + static_cast<double>(groups.size()) * (group_height + kBetweenGroups);

  // Values are written behind the bars' ends: the axis leaves room for the widest.
  double value_width = 0;
  for (const BarGroup& group : groups) {
    for (const double value : group.values) {
      if (std::isfinite(value))
        value_width = std::max(value_width, text_width(fmt::format("{:.{}f}", value, options.decimals), 12));
    }
  }
  AxisOptions ends;
  // Fixed ends never cut a bar or hide its zero.
  if (options.value.low) ends.low = std::min(*options.value.low, range.low);
  if (options.value.high) ends.high = std::max(*options.value.high, range.high);
  const Axis axis(ends, range.low, range.high, std::max(2, options.width / 140));
  const double left_room = range.low < 0 ? value_width + 8 : 0;
  const PlotArea area{labels + 24 + left_room, top, options.width - value_width - 18, bottom};

  for (const Tick& tick : axis.ticks()) {
    const double at = area.x(axis, tick.value);
    canvas.add(R"(<line class="oc-g" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}" stroke="#e3e7ec"/>)", at, top, bottom);
    canvas.text(at, bottom + 16, "middle", "m", tick.label);
  }
  const double zero = area.x(axis, 0);
  double y = top + kBetweenGroups / 2;
  for (const BarGroup& group : groups) {
    const int columns = static_cast<int>(labels / (12 * 0.56)) + 1;
    canvas.text(labels + 14, y + group_height / 2 + 4, "end", "t", cut_to_width(group.label, columns));
    for (size_t s = 0; s < bars; ++s) {
      const double value = group.values[s];
      if (std::isfinite(value)) {
        const double end = area.x(axis, value);
        canvas.add(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="2" fill="{}"><title>{}</title></rect>)",
                   std::min(zero, end), y, std::max(1.0, std::abs(end - zero)), kBar, palette(static_cast<int>(s)),
                   escape_markup(group.label));
        canvas.text(value < 0 ? end - 6 : end + 6, y + kBar / 2 + 4, value < 0 ? "end" : "start", "t",
                    fmt::format("{:.{}f}", value, options.decimals));
      }
      y += kBar + kBetweenBars;
    }
    y += kBetweenGroups - kBetweenBars;
  }
  canvas.add(R"(<line class="oc-a" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}" stroke="#aab3be"/>)", zero, top, bottom);
  const std::string title = axis_title(options.value);
  if (!title.empty()) canvas.text((area.left + area.right) / 2, bottom + 36, "middle", "t", title);
  return canvas.finish(bottom + (title.empty() ? 26 : 46));
}

}  // namespace ocelli::report
