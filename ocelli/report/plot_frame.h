#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ocelli/report/plot.h"
#include "ocelli/report/svg.h"

namespace ocelli::report {

/// Smallest and largest of what an axis can show.
struct ValueRange {
  double low = INFINITY, high = -INFINITY;
  bool empty() const { return low > high; }
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// The value can stand on such an axis.
inline bool shown(const AxisOptions& axis, double value) {
  return std::isfinite(value) && (!axis.log || value > 0);
}

/// A line or scatter plot's area with its axes.
struct PlotFrame {
  PlotArea area;
  Axis x, y;
};

/// Draws title, legend and axes over the ranges, neither of them empty. `tight_x`: the x axis ends with the data rather than at
/// the next round number.
PlotFrame make_frame(SvgCanvas& canvas, const PlotOptions& options, const std::vector<SvgCanvas::LegendEntry>& legend,
                     const ValueRange& x_range, const ValueRange& y_range, bool tight_x);

/// A plot without points: its title and "no data".
std::string empty_plot(SvgCanvas& canvas, const PlotOptions& options);

}  // namespace ocelli::report
