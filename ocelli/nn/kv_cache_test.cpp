#include "ocelli/nn/kv_cache.h"

#include <gtest/gtest.h>

#include <map>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::agree;
using test::error_of;
using test::normal;

KvCacheConfig small(int64_t blocks) {
  return {.layers = 2, .kv_heads = 2, .head_width = 8, .block_size = 4, .blocks = blocks, .dtype = at::kDouble};
}

at::Tensor rows_of(int64_t count, uint64_t seed) {
  return normal({count, 2, 8}, at::kDouble, seed);
}

/// Appends `rows` to every layer (layer 1 holds them negated).
void extend(KvCache& cache, int64_t sequence, const at::Tensor& rows) {
  cache.reserve(sequence, rows.size(0));
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(sequence, layer, layer == 0 ? rows : -rows, rows * 2);
}

/// Attention of one new row that is appended behind `held`, read from the pool, equals that over contiguous rows; takes the row
/// back.
void expect_holds(KvCache& cache, int64_t sequence, const at::Tensor& held, uint64_t seed) {
  ASSERT_EQ(cache.length(sequence), held.size(0));
  const int64_t count = 3;
  const at::Tensor rows = rows_of(count, seed), query = rows_of(count, seed + 1);
  cache.reserve(sequence, count);
  AttentionLayout layout, contiguous;
  cache.add_spans(sequence, 0, count, layout);
  layout.validate(count, cache.config().blocks * cache.config().block_size);
  for (int64_t layer = 0; layer < 2; ++layer) {
    cache.append(sequence, layer, layer == 0 ? rows : -rows, rows * 2);
  }
  const at::Tensor all = at::cat({held, rows});
  contiguous.add({0, count, 0, all.size(0), true, 0});
  EXPECT_EQ(layout.pairs(), contiguous.pairs());
  for (int64_t layer = 0; layer < 2; ++layer) {
    const at::Tensor got = attention(query, cache.keys(layer), cache.values(layer), layout, 0.3);
    EXPECT_TRUE(agree(got, attention(query, layer == 0 ? all : -all, all * 2, contiguous, 0.3), 1e-12));
  }
  cache.truncate(sequence, held.size(0));
}

TEST(KvCache, ReadsSequencesInPlaceOverBlocksThatAreNotAdjacent) {
  KvCache cache(small(16));
  const int64_t a = cache.add_sequence(), b = cache.add_sequence();
  at::Tensor held_a = rows_of(0, 0), held_b = rows_of(0, 0);
  for (uint64_t step = 0; step < 4; ++step) {  // in turns, so that their blocks interleave
    const at::Tensor more_a = rows_of(5, 100 + step), more_b = rows_of(3, 200 + step);
    extend(cache, a, more_a);
    extend(cache, b, more_b);
    held_a = at::cat({held_a, more_a});
    held_b = at::cat({held_b, more_b});
    expect_holds(cache, a, held_a, 300 + step);
    expect_holds(cache, b, held_b, 400 + step);
  }
  EXPECT_EQ(cache.free_blocks(), 16 - 5 - 3);
}

TEST(KvCache, AForkSharesBlocksUntilOneOfThemWrites) {
  KvCache cache(small(8));
  const int64_t a = cache.add_sequence();
  const at::Tensor held = rows_of(6, 1);
  extend(cache, a, held);
  EXPECT_EQ(cache.free_blocks(), 6);
  const int64_t b = cache.fork(a), c = cache.fork(a);
  EXPECT_EQ(cache.free_blocks(), 6);
  const at::Tensor more_b = rows_of(1, 2), more_c = rows_of(1, 3);
  extend(cache, b, more_b);
  EXPECT_EQ(cache.free_blocks(), 5);  // the half-filled block was copied
  extend(cache, c, more_c);
  EXPECT_EQ(cache.free_blocks(), 4);
  expect_holds(cache, a, held, 10);
  expect_holds(cache, b, at::cat({held, more_b}), 20);
  expect_holds(cache, c, at::cat({held, more_c}), 30);
  cache.remove(a);
  EXPECT_EQ(cache.free_blocks(), 5);  // the first block still belongs to two
  cache.remove(b);
  cache.remove(c);
  EXPECT_EQ(cache.free_blocks(), 8);
}

TEST(KvCache, AForkDoesNotShareRoomThatWasReservedAndNotUsed) {
  KvCache cache(small(8));
  const int64_t a = cache.add_sequence();
  const at::Tensor held = rows_of(4, 1), more_a = rows_of(3, 2), more_b = rows_of(3, 3);
  extend(cache, a, held);
  cache.reserve(a, 3);
  const int64_t b = cache.fork(a);
  extend(cache, b, more_b);
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(a, layer, layer == 0 ? more_a : -more_a, more_a * 2);
  expect_holds(cache, b, at::cat({held, more_b}), 10);
  expect_holds(cache, a, at::cat({held, more_a}), 20);
}

TEST(KvCache, ASpentPoolIsAnErrorThatChangesNothing) {
  KvCache cache(small(3));
  const int64_t a = cache.add_sequence();
  const at::Tensor held = rows_of(6, 1);
  extend(cache, a, held);
  EXPECT_EQ(error_of([&] { cache.reserve(a, 7); }),
            "KV cache: 2 more blocks of 4 rows are needed and 1 are free; ask for a smaller context (-c)");
  EXPECT_EQ(cache.free_blocks(), 1);
  // A fork that writes needs a copy of the last block besides.
  const int64_t b = cache.fork(a);
  EXPECT_EQ(error_of([&] { cache.reserve(b, 3); }),
            "KV cache: 2 more blocks of 4 rows are needed and 1 are free; ask for a smaller context (-c)");
  EXPECT_EQ(cache.free_blocks(), 1);
  cache.remove(b);
  expect_holds(cache, a, held, 5);
  EXPECT_NE(error_of([&] { cache.append(a, 0, rows_of(20, 1), rows_of(20, 1)); }).find("no room reserved for 20 rows after 6"),
            std::string::npos);
}

TEST(KvCache, KeepsEverySequenceThroughRandomWork) {
  KvCache cache(small(40));
  std::map<int64_t, at::Tensor> held;
  const Rng rng(7);
  for (uint64_t step = 0; step < 300; ++step) {
    const uint64_t action = held.empty() ? 0 : rng.below(3 * step, 6);
    auto one = held.begin();
    if (!held.empty()) std::advance(one, static_cast<std::ptrdiff_t>(rng.below(3 * step + 1, held.size())));
    const int64_t amount = static_cast<int64_t>(rng.below(3 * step + 2, 10));
    if (action == 0 && held.size() < 6) {
      held.emplace(cache.add_sequence(), rows_of(0, 0));
    } else if (action == 1 && held.size() < 6) {
      held.emplace(cache.fork(one->first), one->second);
    } else if (action == 2 && one->second.size(0) > 0) {
      const int64_t length = std::max<int64_t>(0, one->second.size(0) - amount);
      cache.truncate(one->first, length);
      one->second = one->second.slice(0, 0, length);
    } else if (action == 3 && held.size() > 3) {
      cache.remove(one->first);
      held.erase(one);
    } else if (one != held.end() && one->second.size(0) + amount <= 16) {
      const at::Tensor more = rows_of(amount, 1000 + step);
      extend(cache, one->first, more);
      one->second = at::cat({one->second, more});
    }
    if (step % 10 == 0) {
      for (const auto& [sequence, rows] : held) expect_holds(cache, sequence, rows, 5000 + step);
    }
  }
  for (const auto& [sequence, rows] : held) cache.remove(sequence);
  EXPECT_EQ(cache.free_blocks(), 40);
}

TEST(KvCache, KeepsMemoryThatNeverGrows) {
  KvCache cache(small(2));
  const int64_t a = cache.add_sequence();
  EXPECT_FALSE(cache.memory(a, 1).first.defined());
  cache.set_memory(a, 1, rows_of(3, 1), rows_of(3, 2));
  const int64_t b = cache.fork(a);
  EXPECT_TRUE(at::equal(cache.memory(b, 1).second, rows_of(3, 2)));
  EXPECT_FALSE(cache.memory(b, 0).first.defined());
}

TEST(KvCache, RefusesSizesThatCannotBe) {
  EXPECT_EQ(small(3).bytes(), 2 * 2 * 3 * 4 * 2 * 8 * 8);
  auto config = small(0);
  EXPECT_EQ(error_of([&] { KvCache cache(config); }), "KV cache: blocks is 0, expected a positive number");
  config = small(1);
  config.head_width = -8;
  EXPECT_EQ(error_of([&] { KvCache cache(config); }), "KV cache: head_width is -8, expected a positive number");
  config = small(int64_t{1} << 60);
  EXPECT_EQ(error_of([&] { KvCache cache(config); }), "KV cache: 9223372036854775807 bytes asked for");
  KvCache cache(small(1));
  EXPECT_EQ(error_of([&] { cache.remove(5); }), "KV cache: sequence 5 does not exist");
}

}  // namespace
}  // namespace ocelli::nn
