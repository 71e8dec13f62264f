#include <array>

#include "ocelli/report/markup.h"
#include "ocelli/report/plot_frame.h"

namespace ocelli::report {
namespace {

struct Rect {
  double left, top, right, bottom;
  bool meets(const Rect& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
  bool inside(const PlotArea& area) const {
    return left >= area.left && right <= area.right + 16 && top >= area.top - 4 && bottom <= area.bottom + 8;
  }
};

/// Small boxes along a line: what labels keep clear of.
void add_line(std::vector<Rect>& taken, std::pair<double, double> from, std::pair<double, double> to) {
  constexpr double kStep = 6, kHalf = 2;
  const double dx = to.first - from.first, dy = to.second - from.second;
  const int steps = std::max(1, static_cast<int>(std::hypot(dx, dy) / kStep));
  for (int i = 1; i < steps; ++i) {
    const double x = from.first + dx * i / steps, y = from.second + dy * i / steps;
    taken.push_back({x - kHalf, y - kHalf, x + kHalf, y + kHalf});
  }
}

/// Puts labels beside their points, in the order of points, where they cover no point or earlier label, and no line if that can
/// be. A label that fits nowhere is left to the tooltip.
class Labels {
 public:
  Labels(const PlotArea& area, std::vector<Rect> taken, std::vector<Rect> lines)
      : area_(area), taken_(std::move(taken)), lines_(std::move(lines)) {}

  void place(SvgCanvas& canvas, double x, double y, const std::string& label) {
    constexpr double kAway = 9, kAscent = 9, kDescent = 3;
    const double width = text_width(label, 12);
    struct Candidate {
      double x, baseline;
      std::string_view anchor;
      double left;
    };
    // Beside, above, below; then the corners, for points at the area's edges.
    const double above = y - kAway, below = y + kAway + kAscent;
    const std::array<Candidate, 8> candidates = {{{x + kAway, y + 4, "start", x + kAway},
                                                  {x - kAway, y + 4, "end", x - kAway - width},
                                                  {x, above, "middle", x - width / 2},
                                                  {x, below, "middle", x - width / 2},
                                                  {x + 4, above, "start", x + 4},
                                                  {x - 4, above, "end", x - 4 - width},
                                                  {x + 4, below, "start", x + 4},
                                                  {x - 4, below, "end", x - 4 - width}}};
    for (const bool cross_lines : {false, true}) {
      for (const Candidate& candidate : candidates) {
        const Rect rect{candidate.left, candidate.baseline - kAscent, candidate.left + width, candidate.baseline + kDescent};
        if (!rect.inside(area_) || meets_any(rect, taken_) || (!cross_lines && meets_any(rect, lines_))) continue;
        canvas.text(candidate.x, candidate.baseline, candidate.anchor, "t", label);
        taken_.push_back(rect);
        return;
      }
    }
  }

 private:
  static bool meets_any(const Rect& rect, const std::vector<Rect>& others) {
    return std::any_of(others.begin(), others.end(), [&](const Rect& other) { return rect.meets(other); });
  }

  PlotArea area_;
  std::vector<Rect> taken_, lines_;
};

}  // namespace

std::string scatter_plot(const std::vector<ScatterSeries>& series, const PlotOptions& options) {
  ValueRange x_range, y_range;
  std::vector<SvgCanvas::LegendEntry> legend;
  for (size_t s = 0; s < series.size(); ++s) {
    legend.push_back({series[s].name, static_cast<int>(s), false});
    for (const ScatterPoint& point : series[s].points) {
      if (!shown(options.x, point.x) || !shown(options.y, point.y)) continue;
      x_range.add(point.x);
      y_range.add(point.y);
    }
  }
  SvgCanvas canvas(options.width, options.title);
  if (x_range.empty()) return empty_plot(canvas, options);
  const PlotFrame frame = make_frame(canvas, options, legend, x_range, y_range, false);

  constexpr double kRadius = 5;
  std::vector<Rect> taken, lines;
  canvas.begin_clip(frame.area);
  for (size_t s = 0; s < series.size(); ++s) {
    const std::string_view color = palette(static_cast<int>(s));
    std::string path, circles;
    std::vector<std::pair<double, double>> places;
    for (const ScatterPoint& point : series[s].points) {
      if (!shown(options.x, point.x) || !shown(options.y, point.y)) continue;
      const double x = frame.area.x(frame.x, point.x), y = frame.area.y(frame.y, point.y);
      places.emplace_back(x, y);
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
      // The ring in the page's colour keeps points apart that touch.
      fmt::format_to(
          std::back_inserter(circles),
          R"(<circle class="oc-r" cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" stroke="#fff" stroke-width="1.5"><title>{}</title></circle>)"
          "\n",
          x, y, kRadius, color, escape_markup(fmt::format("{} ({:.4g}, {:.4g})", point.label, point.x, point.y)));
      taken.push_back({x - kRadius, y - kRadius, x + kRadius, y + kRadius});
    }
    if (series[s].connected && !path.empty()) {
      for (size_t i = 1; i < places.size(); ++i) add_line(lines, places[i - 1], places[i]);
      canvas.add(R"(<path d="{}" fill="none" stroke="{}" stroke-width="1.5" stroke-dasharray="5 4"/>)", path, color);
    }
    canvas.add("{}", circles);
  }
  canvas.end_clip();

  Labels labels(frame.area, std::move(taken), std::move(lines));
  for (const ScatterSeries& one : series) {
    for (const ScatterPoint& point : one.points) {
      if (point.label.empty() || !shown(options.x, point.x) || !shown(options.y, point.y)) continue;
      labels.place(canvas, frame.area.x(frame.x, point.x), frame.area.y(frame.y, point.y), point.label);
    }
  }
  return canvas.finish(options.height);
}

}  // namespace ocelli::report
