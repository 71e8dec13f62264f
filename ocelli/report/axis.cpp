#include "ocelli/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"

namespace ocelli::report {
namespace {

/// The smallest 1, 2 or 5 times a power of ten that is at least `value`.
double nice_step(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= value * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

/// "5e-4" rather than "5e-04".
std::string exponent_form(double value) {
  std::string text = fmt::format("{:.3g}", value);
  if (text.find('e') == std::string::npos) text = fmt::format("{:.2e}", value);
  const size_t e = text.find('e');
  std::string digits = text.substr(0, e);
  if (digits.find('.') != std::string::npos) {
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.ends_with('.')) digits.pop_back();
  }
  return fmt::format("{}e{}", digits, std::stoi(text.substr(e + 1)));
}

std::string plain_form(double value) {
  const double size = std::abs(value);
  if (value == 0) return "0";
  if (size < 0.00099 || size >= 1e15) return exponent_form(value);
  struct Prefix {
    double from;
    const char* name;
  };
  for (const Prefix& prefix : {Prefix{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e4, " k"}}) {
    const double unit = prefix.from == 1e4 ? 1e3 : prefix.from;
    if (size >= prefix.from * (1 - 1e-9)) return fmt::format("{:.4g}{}", value / unit, prefix.name);
  }
  return fmt::format("{:.4g}", value);
}

}  // namespace

std::vector<std::string> tick_labels(const std::vector<double>& values, bool log) {
  std::vector<std::string> labels;
  double largest = 0, step = INFINITY;
  for (size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(values[i]));
    if (i > 0) step = std::min(step, std::abs(values[i] - values[i - 1]));
  }
  const bool tiny = largest < 0.0099;
  if (log || tiny || largest >= 1e15 || !std::isfinite(step)) {
    for (const double value : values) labels.push_back(tiny && value != 0 && !log ? exponent_form(value) : plain_form(value));
    return labels;
  }
  double unit = 1;
  std::string prefix;
  if (largest >= 1e4 && step >= 10) {
    const int thousands = std::min(4, static_cast<int>(std::floor(std::log10(largest) / 3 + 1e-9)));
    unit = std::pow(1000.0, thousands);
    prefix = std::string(" ") + "kMGT"[thousands - 1];
  }
  // The step's own last digit, so that 0.5 and 1.0 stand beside each other with equally many.
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step / unit) - 1e-9)), 0, 9);
  for (const double value : values) {
    labels.push_back(value == 0 ? "0" : fmt::format("{:.{}f}{}", value / unit, decimals, prefix));
  }
  return labels;
}

Axis::Axis(const AxisOptions& options, double low, double high, int ticks) : log_(options.log), low_(low), high_(high) {
  if (options.low) low_ = *options.low;
  if (options.high) high_ = *options.high;
  require(std::isfinite(low_) && std::isfinite(high_), "plot: axis '{}' from {} to {}, expected finite ends", options.label, low_,
          high_);
  require(!log_ || (low_ > 0 && high_ > 0), "plot: logarithmic axis '{}' from {} to {}, expected positive ends", options.label,
          low_, high_);
  require(!(options.low && options.high) || *options.low < *options.high, "plot: axis '{}' from {} to {}, expected low < high",
          options.label, low_, high_);
  if (high_ <= low_) {
    // One value, or a fixed end beyond the data: room around it, without leaving zero for an end that was fixed there.
    const double room = log_ ? 0 : (low_ == 0 ? 1 : std::abs(low_) * 0.1);
    if (log_) {
      if (options.high)
        low_ = high_ / 10;
      else
        high_ = low_ * 10;
    } else if (options.low) {
      high_ = low_ + room;
    } else if (options.high) {
      low_ = high_ - room;
    } else {
      high_ = low_ + room;
      low_ -= room;
    }
  }
  log_ ? place_log(ticks, options.low.has_value(), options.high.has_value())
       : place_linear(ticks, options.low.has_value(), options.high.has_value());
}

void Axis::place_linear(int ticks, bool fixed_low, bool fixed_high) {
  const double step = nice_step((high_ - low_) / std::max(1, ticks));
  // In units of the step, with a little slack for 0.1 + 0.2.
  if (!fixed_low) low_ = std::floor(low_ / step + 1e-6) * step;
  if (!fixed_high) high_ = std::ceil(high_ / step - 1e-6) * step;
  const auto first = static_cast<int64_t>(std::ceil(low_ / step - 1e-6));
  const auto last = static_cast<int64_t>(std::floor(high_ / step + 1e-6));
  std::vector<double> values;
  for (int64_t i = first; i <= last; ++i) values.push_back(static_cast<double>(i) * step);
  const std::vector<std::string> labels = tick_labels(values, false);
  for (size_t i = 0; i < values.size(); ++i) ticks_.push_back({values[i], labels[i]});
}

void Axis::place_log(int ticks, bool fixed_low, bool fixed_high) {
  const double decades = std::log10(high_ / low_);
  std::vector<double> factors = {1};
  if (decades < ticks / 1.5) factors = {1, 2, 5};
  if (decades < 1) factors = {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto every = std::max(1, static_cast<int>(std::ceil(decades / std::max(1, ticks))));
  std::vector<double> candidates;
  const int first = static_cast<int>(std::floor(std::log10(low_))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(high_))) + 1;
  for (int power = first; power <= last; ++power) {
    if (power % every != 0) continue;
    for (const double factor : factors) candidates.push_back(factor * std::pow(10.0, power));
  }
  if (!fixed_low) {
    for (const double candidate : candidates) {
      if (candidate <= low_ * (1 + 1e-9)) fixed_low = true;
    }
    if (fixed_low) low_ = *std::prev(std::upper_bound(candidates.begin(), candidates.end(), low_ * (1 + 1e-9)));
  }
  if (!fixed_high) {
    const auto above = std::lower_bound(candidates.begin(), candidates.end(), high_ * (1 - 1e-9));
    if (above != candidates.end()) high_ = *above;
  }
  std::vector<double> values;
  for (const double candidate : candidates) {
    if (candidate >= low_ * (1 - 1e-9) && candidate <= high_ * (1 + 1e-9)) values.push_back(candidate);
  }
  const std::vector<std::string> labels = tick_labels(values, true);
  for (size_t i = 0; i < values.size(); ++i) ticks_.push_back({values[i], labels[i]});
}

bool Axis::holds(double value) const {
  return std::isfinite(value) && (!log_ || value > 0);
}

double Axis::position(double value) const {
  return log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
}

}  // namespace ocelli::report
