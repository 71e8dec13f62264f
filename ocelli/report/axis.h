#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ocelli::report {

/// What a plot's axis says and covers.
struct AxisOptions {
  std::string label = {};
  std::string unit = {};           ///< shown in brackets behind the label
  bool log = false;                ///< values <= 0 are left out
  std::optional<double> low = {};  ///< default: from the data, to a round number
  std::optional<double> high = {};
};

struct Tick {
  double value = 0;
  std::string label;
};

/// An axis laid over data: range, ticks, and where a value lies.
class Axis {
 public:
  /// `low` and `high`: of the data (finite; positive when the axis is logarithmic). About `ticks` ticks at 1, 2 or 5 times a
  /// power of ten. An empty range is widened.
  Axis(const AxisOptions& options, double low, double high, int ticks);

  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<Tick>& ticks() const { return ticks_; }
  /// 0 at low, 1 at high; not clamped.
  double position(double value) const;
  /// The value can be drawn on this axis: finite, and positive when it is logarithmic.
  bool holds(double value) const;

 private:
  void place_linear(int ticks, bool fixed_low, bool fixed_high);
  void place_log(int ticks, bool fixed_low, bool fixed_high);
  bool log_;
  double low_, high_;
  std::vector<Tick> ticks_;
};

/// Labels of evenly or logarithmically placed ticks: just enough digits to tell them apart, from 10,000 on with one common
/// prefix ("20 k"), below 0.001 as "5e-4".
std::vector<std::string> tick_labels(const std::vector<double>& values, bool log);

}  // namespace ocelli::report
