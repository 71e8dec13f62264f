#pragma once

#include <string>
#include <vector>

#include "ocelli/report/axis.h"

namespace ocelli::report {

/// Plots as SVG text: self-contained (they can stand in a page or as a file of their own), drawn for light and dark pages, the
/// same bytes for the same input. Names and labels may hold any text.

struct PlotOptions {
  std::string title = {};
  AxisOptions x = {}, y = {};
  int width = 720;  ///< in SVG units; the picture scales with the page
  int height = 340;
};

/// One line. x and y are of one length, x ascending; points that aren't finite (or <= 0 on a logarithmic axis) leave a gap.
struct LineSeries {
  std::string name = {};  ///< in the legend; empty: not listed
  std::vector<double> x = {}, y = {};
  bool faint = false;  ///< behind the others: the raw values of a smoothed line
  bool dashed = false;
  int color = -1;  ///< index into the palette; default: the position among those that aren't faint
};

/// Long series are thinned to the smallest and largest value of each column of the picture, so that peaks stay.
/// Throws Error when x and y differ in length.
std::string line_plot(const std::vector<LineSeries>& series, const PlotOptions& options);

/// Exponential moving average, corrected for its start (no pull towards zero): weight of the past in [0, 1).
/// Values that aren't finite are passed over.
std::vector<double> smoothed(const std::vector<double>& values, double weight);

struct ScatterPoint {
  double x = 0, y = 0;
  std::string label = {};  ///< beside the point, where it covers no other
};
struct ScatterSeries {
  std::string name = {};
  std::vector<ScatterPoint> points = {};
  bool connected = false;  ///< a line through the points in the order given: a frontier
};
std::string scatter_plot(const std::vector<ScatterSeries>& series, const PlotOptions& options);

/// Horizontal bars from zero, so that long labels have room.
struct BarGroup {
  std::string label;
  std::vector<double> values;  ///< one a series; NaN: none
};
struct BarOptions {
  std::string title = {};
  AxisOptions value = {};  ///< always linear and including zero: a bar's length is its value
  std::vector<std::string> series = {""};
  int decimals = 1;  ///< of the values written at the bars
  int width = 720;   ///< the height follows from the bars
};
/// Throws Error when a group hasn't one value for each series.
std::string bar_plot(const std::vector<BarGroup>& groups, const BarOptions& options);

}  // namespace ocelli::report
