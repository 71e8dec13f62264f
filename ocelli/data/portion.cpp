#include "ocelli/data/portion.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "ocelli/base/error.h"

namespace ocelli::data {

Portion Portion::parse(std::string_view text) {
  Portion out;
  std::string_view digits = text;
  if (digits.starts_with('#')) {
    out.kind = Kind::kSamples;
    digits.remove_prefix(1);
  } else if (digits.ends_with('%')) {
    out.kind = Kind::kShare;
    digits.remove_suffix(1);
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.amount);
  require(error == std::errc() && end == digits.data() + digits.size() && std::isfinite(out.amount) && out.amount > 0 &&
              out.amount <= 1e12 && (out.kind != Kind::kSamples || out.amount == std::floor(out.amount)),
          "\"{}\" is no portion of a source; write passes (0.3), samples (#500) or a share (53.9%)", text);
  return out;
}

std::string Portion::text() const {
  const std::string number = fmt::format("{}", amount);
  if (kind == Kind::kSamples) return fmt::format("#{}", std::llround(amount));
  return kind == Kind::kShare ? number + "%" : number;
}

NamedPortion parse_named_portion(std::string_view text, const Portion& fallback) {
  const size_t mark = text.find_last_of(":#");
  if (mark == std::string_view::npos) return {std::string(text), fallback};
  return {std::string(text.substr(0, mark)), Portion::parse(text.substr(text[mark] == '#' ? mark : mark + 1))};
}

std::vector<double> passes_of(std::span<const Portion> portions, std::span<const int64_t> sizes, double temperature,
                              int64_t epoch_samples) {
  require(portions.size() == sizes.size() && !sizes.empty(), "mixture: {} portions of {} sources", portions.size(), sizes.size());
  require(std::isfinite(temperature) && temperature > 0, "mixture: temperature {} is not positive", temperature);
  const auto is_share = [](const Portion& portion) { return portion.kind == Portion::Kind::kShare; };
  const auto shares = std::count_if(portions.begin(), portions.end(), is_share);
  require(shares == 0 || shares == static_cast<std::ptrdiff_t>(portions.size()),
          "mixture: {} of {} sources have a share (%), the others passes or samples; give all of them one kind", shares,
          portions.size());
  std::vector<double> samples;  // of an epoch, by source
  for (size_t i = 0; i < portions.size(); ++i) {
    require(sizes[i] > 0, "mixture: source {} holds no sample", i);
    const double amount = portions[i].amount;
    samples.push_back(portions[i].kind == Portion::Kind::kPasses ? amount * static_cast<double>(sizes[i]) : amount);
  }
  const double given = std::accumulate(samples.begin(), samples.end(), 0.0);
  double length = given;
  if (shares > 0) length = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  if (epoch_samples > 0) length = static_cast<double>(epoch_samples);
  if (temperature != 1) {
    for (double& one : samples) one = std::pow(one / given, 1 / temperature);
  }
  const double total = std::accumulate(samples.begin(), samples.end(), 0.0);
  std::vector<double> passes;
  for (size_t i = 0; i < samples.size(); ++i) {
    // Exactly what was asked, where nothing rescales it.
    const bool scaled = total != length;
    const double epoch = scaled ? samples[i] / total * length : samples[i];
    passes.push_back(!scaled && portions[i].kind == Portion::Kind::kPasses ? portions[i].amount
                                                                           : epoch / static_cast<double>(sizes[i]));
  }
  return passes;
}

std::vector<int64_t> whole_parts(std::span<const double> shares, int64_t total) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  require(sum > 0 && total >= 0, "mixture: shares that add up to {} can't divide {}", sum, total);
  std::vector<int64_t> parts;
  std::vector<std::pair<double, size_t>> remainders;
  int64_t given = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double exact = shares[i] / sum * static_cast<double>(total);
    parts.push_back(static_cast<int64_t>(std::floor(exact)));
    given += parts.back();
    remainders.emplace_back(exact - std::floor(exact), i);
  }
  std::stable_sort(remainders.begin(), remainders.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; given < total; ++i, ++given) ++parts[remainders[i % remainders.size()].second];
  return parts;
}

}  // namespace ocelli::data
