#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

/// How much of a source one epoch of a mixture holds.
struct Portion {
  enum class Kind {
    kPasses,   ///< passes over it: 1 is each sample once
    kSamples,  ///< so many samples
    kShare     ///< its part of the epoch, beside the other shares
  } kind = Kind::kPasses;
  double amount = 1;

  /// "0.3", "#500" or "53.9%". Throws Error naming the text and the forms.
  static Portion parse(std::string_view text);
  /// What parse() reads back to the same.
  std::string text() const;
  friend bool operator==(const Portion&, const Portion&) = default;
};

/// "name", "name:0.3", "name#500" or "name:53.9%" cut into the name and its portion; without one `fallback`.
struct NamedPortion {
  std::string name;
  Portion portion;
};
NamedPortion parse_named_portion(std::string_view text, const Portion& fallback);

/// Passes over each source of `sizes` samples. Shares divide `epoch_samples` among them (0: the samples their sources have), so
/// they need not add up to 100; then they can't stand beside other portions. `temperature` T flattens what passes and samples
/// give: a source of n samples an epoch gets a part like n^(1/T), the epoch's length stays. Throws Error on what can't be.
std::vector<double> passes_of(std::span<const Portion> portions, std::span<const int64_t> sizes, double temperature = 1,
                              int64_t epoch_samples = 0);

/// `total` cut into whole parts like `shares`: floors, and what is left to the largest remainders, so that they add up.
std::vector<int64_t> whole_parts(std::span<const double> shares, int64_t total);

}  // namespace ocelli::data
