#include "ocelli/data/mixture.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <thread>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

/// A source of which only the size counts.
class Numbers final : public Dataset {
 public:
  explicit Numbers(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Sample get(int64_t) const override { return {}; }
  const std::string& name() const override { return name_; }

 private:
  int64_t size_;
  std::string name_ = "numbers";
};

Mixture mixture_of(const std::vector<std::pair<int64_t, double>>& parts, uint64_t seed = 1) {
  std::vector<Mixture::Source> sources;
  for (const auto& [size, weight] : parts) sources.push_back({std::make_shared<Numbers>(size), weight});
  return {std::move(sources), seed};
}

const std::vector<std::vector<std::pair<int64_t, double>>> kMixtures = {
    {{100, 1.0}},
    {{300, 1.0}, {700, 0.5}},
    {{10, 1.0}, {50000, 1.0}},
    {{50000, 1.0}, {10, 1.0}, {7, 1.0}, {3, 0.5}, {40000, 0.7}},
    {{1, 1.0}, {1, 1.0}, {1, 1.0}, {100000, 1.0}, {1, 1.0}},
};

TEST(Mixture, SharesAreExact) {
  constexpr int64_t kDraws = 20000;
  for (const auto& parts : kMixtures) {
    const Mixture mixture = mixture_of(parts);
    double total = 0;
    for (const auto& [size, weight] : parts) total += static_cast<double>(size) * weight;
    std::vector<int64_t> drawn(parts.size());
    for (int64_t i = 0; i < kDraws; ++i) ++drawn[static_cast<size_t>(mixture.at(i).source)];
    for (size_t s = 0; s < parts.size(); ++s) {
      const double expected = static_cast<double>(parts[s].first) * parts[s].second / total;
      // In any window of 1,024 draws a source's count is off by its rounding at most; over many windows that is nothing.
      EXPECT_NEAR(static_cast<double>(drawn[s]) / kDraws, expected, 0.005) << "source " << s;
    }
  }
}

TEST(Mixture, CountsWhatWasDrawnOfManySources) {
  std::vector<std::pair<int64_t, double>> parts;
  for (int64_t i = 0; i < 100; ++i) parts.emplace_back(50 + i * i, i % 3 == 0 ? 0.3 : 1.7);
  for (const Mixture& mixture : {mixture_of(parts), mixture_of(kMixtures[3])}) {
    std::vector<int64_t> counted(mixture.sources().size());
    for (int64_t position = 0; position < 20000; ++position) {
      if (position % 3331 == 0) {
        EXPECT_EQ(mixture.drawn(position), counted) << position;
      }
      ++counted[static_cast<size_t>(mixture.at(position).source)];
    }
  }
}

TEST(Mixture, EveryWindowHoldsItsShare) {
  const Mixture mixture = mixture_of({{300, 1.0}, {700, 0.5}, {50, 1.0}});  // shares 3/7, 1/2, 1/14
  for (int64_t window = 0; window < 20; ++window) {
    std::vector<int64_t> drawn(3);
    for (int64_t i = 0; i < 1024; ++i) ++drawn[static_cast<size_t>(mixture.at(window * 1024 + i).source)];
    EXPECT_NEAR(static_cast<double>(drawn[0]), 1024 * 3.0 / 7, 1.0);
    EXPECT_NEAR(static_cast<double>(drawn[1]), 1024 / 2.0, 2.0);
    EXPECT_NEAR(static_cast<double>(drawn[2]), 1024 / 14.0, 1.0);
  }
}

TEST(Mixture, EachSourceIsAPermutationEveryTimeRound) {
  for (const auto& parts : kMixtures) {
    const Mixture mixture = mixture_of(parts);
    std::vector<std::vector<std::set<int64_t>>> seen(parts.size());
    std::vector<int64_t> last_epoch(parts.size());
    const int64_t draws = std::min<int64_t>(3 * mixture.epoch_size(), 150000);
    for (int64_t i = 0; i < draws; ++i) {
      const Draw draw = mixture.at(i);
      const auto s = static_cast<size_t>(draw.source);
      ASSERT_GE(draw.epoch, last_epoch[s]);
      last_epoch[s] = draw.epoch;
      seen[s].resize(static_cast<size_t>(draw.epoch) + 1);
      ASSERT_TRUE(draw.index >= 0 && draw.index < parts[s].first);
      ASSERT_TRUE(seen[s].back().insert(draw.index).second)
          << "source " << s << " gave " << draw.index << " twice in epoch " << draw.epoch;
    }
    for (size_t s = 0; s < parts.size(); ++s) {
      for (size_t epoch = 0; epoch + 1 < seen[s].size(); ++epoch) {
        EXPECT_EQ(static_cast<int64_t>(seen[s][epoch].size()), parts[s].first) << "source " << s << ", epoch " << epoch;
      }
    }
  }
}

TEST(Mixture, IsAFunctionOfSeedAndPositionAlone) {
  const auto key = [](const Draw& draw) { return std::tuple(draw.source, draw.index, draw.epoch); };
  const auto& parts = kMixtures[3];
  const Mixture forward = mixture_of(parts), backward = mixture_of(parts), other = mixture_of(parts, 2);
  std::vector<std::tuple<int64_t, int64_t, int64_t>> draws;
  for (int64_t i = 0; i < 6000; ++i) draws.push_back(key(forward.at(i)));
  int64_t differing = 0;
  for (int64_t i = 5999; i >= 0; --i) {
    ASSERT_EQ(key(backward.at(i)), draws[static_cast<size_t>(i)]) << i;
    if (key(other.at(i)) != draws[static_cast<size_t>(i)]) ++differing;
  }
  EXPECT_GT(differing, 5000);
}

TEST(Mixture, ManyThreadsSeeTheSameDraws) {
  const Mixture mixture = mixture_of(kMixtures[1]), alone = mixture_of(kMixtures[1]);
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> got(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = static_cast<int64_t>(t); i < 8000; i += 4) got[t].push_back(mixture.at(i).index);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int64_t i = 0; i < 8000; ++i) {
    ASSERT_EQ(got[static_cast<size_t>(i % 4)][static_cast<size_t>(i / 4)], alone.at(i).index);
  }
}

TEST(Mixture, AnEpochIsWeightTimesSize) {
  EXPECT_EQ(mixture_of({{300, 1.0}, {700, 0.5}}).epoch_size(), 650);
  EXPECT_EQ(mixture_of({{3, 0.01}}).epoch_size(), 1);
}

TEST(Mixture, RefusesWeightsThatMeanNothing) {
  EXPECT_THAT(test::error_of([] { mixture_of({}); }), ::testing::HasSubstr("no source"));
  EXPECT_THAT(test::error_of([] { mixture_of({{3, 0.0}}); }), ::testing::HasSubstr("weight 0"));
  EXPECT_THAT(test::error_of([] { mixture_of({{3, NAN}}); }), ::testing::HasSubstr("not positive"));
}

}  // namespace
}  // namespace ocelli::data
