#include "ocelli/data/sample_filter.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "ocelli/base/test_support.h"
#include "ocelli/data/test_samples.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

using testing::as_png;
using testing::asked;
using testing::MadeDataset;
using testing::striped;

/// Ids kept, then "index: reason" of those dropped.
std::string filtered(std::vector<Sample> samples, FilterOptions options) {
  options.threads = 2;
  std::string kept, dropped;
  const FilterResult result = filter_dataset(
      MadeDataset(std::move(samples)), options, [&](const Sample& sample) { kept += sample.id + " "; },
      [&](const Dropped& one) { dropped += "| " + std::to_string(one.index) + ": " + one.reason + " "; });
  EXPECT_EQ(result.kept, std::count(kept.begin(), kept.end(), ' '));
  EXPECT_EQ(result.dropped_in_all(), std::count(dropped.begin(), dropped.end(), '|'));
  return kept + dropped;
}

TEST(SampleFilter, DropsWhatIsBrokenWhateverIsAsked) {
  EXPECT_EQ(filtered({asked("a", "q", "x"), Sample{}, asked("c", "q", "x", {Picture("/nowhere/c.png")}),
                      asked("d", "q", "x", {Picture("no picture", "d.png", "d.png")})},
                     {}),
            "a | 1: record | 2: picture | 3: picture ");
}

TEST(SampleFilter, KeepsPicturesAndTextsWithinLimits) {
  const auto with = [](int64_t width, int64_t height) {
    return asked(std::to_string(width), "q", "x", {striped(width, height, 1, "p")});
  };
  EXPECT_EQ(filtered({with(10, 40), with(9, 40), with(41, 10)}, {.min_side = 10}), "10 41 | 1: side ");
  EXPECT_EQ(filtered({with(10, 40), with(9, 40), with(41, 10)}, {.max_aspect = 4}), "10 | 1: aspect | 2: aspect ");
  EXPECT_EQ(filtered({asked("a", "one", "two"), asked("b", "one", "two three"), asked("c", "one", "two three four")},
                     {.min_words = 3, .max_words = 3}),
            "b | 0: words | 2: words ");
}

TEST(SampleFilter, KeepsTheFirstOfDuplicates) {
  const Picture one = striped(60, 40, 1, "one.png"), copy(*one.bytes, "copy.png", "copy.png");
  const Picture near = as_png(image::resize(one.load(), 90, 60, image::Filter::kBicubic), "near.png");
  const std::vector samples = {asked("a", "What?", "x", {one}), asked("b", "what?", "x", {copy}),
                               asked("c", "Where?", "y", {one}), asked("d", "Why?", "z", {near})};
  EXPECT_EQ(filtered(samples, {}), "a b c d ");
  EXPECT_EQ(filtered(samples, {.exact_duplicates = true}), "a c d | 1: duplicate ");
  EXPECT_EQ(filtered(samples, {.near_duplicates = 3}), "a c | 1: near_duplicate | 3: near_duplicate ");
}

TEST(SampleFilter, ADroppedSampleIsNoReasonToDropAnother) {
  const Picture one = striped(60, 40, 1, "one.png"), copy(*one.bytes, "copy.png", "copy.png");
  EXPECT_EQ(filtered({asked("a", "What?", "x", {one}), asked("b", "What is it?", "a cat", {copy})},
                     {.min_words = 4, .near_duplicates = 3}),
            "b | 0: words ");
}

TEST(SampleFilter, WhatTheTargetCantHoldIsDropped) {
  std::string reason;
  const FilterResult result = filter_dataset(
      MadeDataset({asked("a", "q", "x")}), {}, [](const Sample&) { fail("no place for it"); },
      [&](const Dropped& one) { reason = one.to_json().dump(); });
  EXPECT_EQ(result.kept, 0);
  EXPECT_EQ(reason, R"({"index":0,"id":"a","reason":"format","text":"no place for it"})");
}

}  // namespace
}  // namespace ocelli::data
