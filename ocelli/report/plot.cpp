#include "ocelli/report/plot.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/report/plot_frame.h"

namespace ocelli::report {
namespace {

/// Points in SVG units; one run ends where a gap begins.
using Run = std::vector<std::pair<double, double>>;

/// Keeps first, lowest, highest and last point of each unit of width: what a screen could show of the run anyway.
Run thinned(const Run& run, double width) {
  if (static_cast<double>(run.size()) <= 4 * width) return run;
  Run out;
  for (size_t begin = 0; begin < run.size();) {
    size_t end = begin + 1, low = begin, high = begin;
    for (; end < run.size() && std::floor(run[end].first) == std::floor(run[begin].first); ++end) {
      if (run[end].second < run[low].second) low = end;
      if (run[end].second > run[high].second) high = end;
    }
    std::vector<size_t> keep = {begin, low, high, end - 1};
    std::sort(keep.begin(), keep.end());
    keep.erase(std::unique(keep.begin(), keep.end()), keep.end());
    for (const size_t i : keep) out.push_back(run[i]);
    begin = end;
  }
  return out;
}

void draw_series(SvgCanvas& canvas, const PlotFrame& frame, const LineSeries& series, int color) {
  std::vector<Run> runs(1);
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (frame.x.holds(series.x[i]) && frame.y.holds(series.y[i])) {
      runs.back().emplace_back(frame.area.x(frame.x, series.x[i]), frame.area.y(frame.y, series.y[i]));
    } else if (!runs.back().empty()) {
      runs.emplace_back();
    }
  }
  for (const Run& run : runs) {
    if (run.size() == 1) {
      canvas.add(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>)", run[0].first, run[0].second, palette(color));
    }
    if (run.size() < 2) continue;
    std::string path;
    for (const auto& [x, y] : thinned(run, frame.area.right - frame.area.left)) {
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    }
    canvas.add(R"(<path d="{}" fill="none" stroke="{}" stroke-width="{}" stroke-linejoin="round"{}{}/>)", path, palette(color),
               series.faint ? "1" : "2", series.faint ? R"( opacity="0.35")" : "",
               series.dashed ? R"( stroke-dasharray="5 4")" : "");
  }
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& values, double weight) {
  require(weight >= 0 && weight < 1, "smoothed: weight {}, expected [0, 1)", weight);
  std::vector<double> out;
  out.reserve(values.size());
  double sum = 0, total = 0;
  for (const double value : values) {
    if (std::isfinite(value)) {
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + (1 - weight);
    }
    out.push_back(total > 0 ? sum / total : value);
  }
  return out;
}

std::string line_plot(const std::vector<LineSeries>& series, const PlotOptions& options) {
  ValueRange x_range, y_range;
  std::vector<SvgCanvas::LegendEntry> legend;
  std::vector<int> colors;
  int next = 0;
  for (const LineSeries& line : series) {
    require(line.x.size() == line.y.size(), "line_plot: series '{}' has {} x and {} y, expected as many", line.name,
            line.x.size(), line.y.size());
    colors.push_back(line.color >= 0 ? line.color : next);
    if (!line.faint && line.color < 0) ++next;
    legend.push_back({line.name, colors.back(), line.dashed});
    for (size_t i = 0; i < line.x.size(); ++i) {
      if (!shown(options.x, line.x[i]) || !shown(options.y, line.y[i])) continue;
      x_range.add(line.x[i]);
      y_range.add(line.y[i]);
    }
  }
  SvgCanvas canvas(options.width, options.title);
  if (x_range.empty()) {
    return empty_plot(canvas, options);
  }
  const PlotFrame frame = make_frame(canvas, options, legend, x_range, y_range, true);
  canvas.begin_clip(frame.area);
  for (const bool faint : {true, false}) {
    for (size_t i = 0; i < series.size(); ++i) {
      if (series[i].faint == faint) draw_series(canvas, frame, series[i], colors[i]);
    }
  }
  canvas.end_clip();
  return canvas.finish(options.height);
}

}  // namespace ocelli::report
