#include "ocelli/nn/attention.h"

#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::agree;
using test::error_of;
using test::normal;

/// Who sees whom, straight from the words at Span: [T, S].
at::Tensor dense_mask(const AttentionLayout& layout, int64_t query_rows, int64_t key_rows) {
  at::Tensor mask = at::zeros({query_rows, key_rows}, at::kBool);
  auto seen = mask.accessor<bool, 2>();
  for (const Span& span : layout.spans()) {
    for (int64_t row = span.query_begin; row < span.query_end; ++row) {
      const int64_t end = span.causal ? span.key_end - (span.query_end - 1 - row) : span.key_end;
      for (int64_t key = span.key_begin; key < end; ++key) {
        if (span.window == 0 || key >= end - span.window) seen[row][key] = true;
      }
    }
  }
  return mask;
}

/// Dense softmax attention in fp64 under the whole mask.
at::Tensor naive(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& mask, double scale) {
  const int64_t group = query.size(1) / key.size(1);
  const at::Tensor k = key.to(at::kDouble).repeat_interleave(group, 1), v = value.to(at::kDouble).repeat_interleave(group, 1);
  const at::Tensor scores = at::einsum("the,she->hts", {query.to(at::kDouble), k}) * scale;
  const at::Tensor highest = std::get<0>(scores.masked_fill(~mask, -1e9).max(-1, true)).detach();
  const at::Tensor weights = at::exp(scores.masked_fill(~mask, -1e9) - highest) * mask;
  return at::einsum("hts,she->the", {weights / weights.sum(-1, true).clamp_min(1e-300), v});
}

struct Case {
  std::string name;
  int64_t query_rows, key_rows;
  AttentionLayout layout;
};

/// Layouts as training and serving make them, with sizes drawn from `seed`.
std::vector<Case> cases(uint64_t seed) {
  const Rng rng(seed);
  uint64_t drawn = 0;
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng.below(drawn++, static_cast<uint64_t>(high - low + 1)));
  };
  std::vector<Case> out;
  for (const bool causal : {false, true}) {
    Case packed{causal ? "packed causal" : "packed", 0, 0, {}};
    for (int64_t i = 0; i < 12; ++i) {
      const int64_t length = draw(1, 20), begin = packed.query_rows;
      packed.layout.add({begin, begin + length, begin, begin + length, causal, i % 3 == 0 ? draw(1, 6) : 0});
      packed.query_rows = packed.key_rows = begin + length;
    }
    out.push_back(packed);
  }
  Case shared{"shared prefixes", 0, 0, {}};
  for (int64_t group = 0; group < 3; ++group) {
    const int64_t prefix = shared.query_rows, prefix_end = prefix + draw(1, 30);
    shared.layout.add({prefix, prefix_end, prefix, prefix_end, group != 1, 0});
    int64_t row = prefix_end;
    for (int64_t i = draw(1, 4); i > 0; --i) {
      const int64_t end = row + draw(1, 9);
      shared.layout.add({row, end, prefix, prefix_end, false, 0});
      shared.layout.add({row, end, row, end, true, 0});
      row = end;
    }
    shared.query_rows = shared.key_rows = row;
  }
  out.push_back(shared);
  // Keys from elsewhere, in no order; rows between the spans see nothing, and causal ones may have more queries than keys.
  Case cross{"cross with gaps", 60, 70, {}};
  for (int64_t row = draw(0, 3); row < 55;) {
    const int64_t end = std::min<int64_t>(60, row + draw(1, 15));
    const int64_t first = draw(0, 20), second = draw(40, 50);
    cross.layout.add({row, end, second, second + draw(0, 20), draw(0, 1) == 1, draw(0, 1) * 4});
    cross.layout.add({row, end, first, first + draw(0, 20), draw(0, 1) == 1, 0});
    row = end + draw(0, 4);
  }
  out.push_back(cross);
  out.push_back({"uniform small", 9 * 5, 9 * 5, AttentionLayout::uniform(9, 5, draw(0, 1) == 1)});
  out.push_back({"uniform flash", 2 * 50, 2 * 50, AttentionLayout::uniform(2, 50, draw(0, 1) == 1)});
  return out;
}

struct Heads {
  int64_t query, key, width;
};

void check(const Case& test, const Heads& heads, at::ScalarType dtype, double tolerance) {
  SCOPED_TRACE(
      fmt::format("{}, {} heads over {} of width {}, {}", test.name, heads.query, heads.key, heads.width, c10::toString(dtype)));
  test.layout.validate(test.query_rows, test.key_rows);
  const at::Tensor mask = dense_mask(test.layout, test.query_rows, test.key_rows);
  EXPECT_EQ(test.layout.pairs(), mask.sum().item<int64_t>());
  const auto inputs = [&] {
    return std::vector<at::Tensor>{normal({test.query_rows, heads.query, heads.width}, dtype, 1).requires_grad_(true),
                                   normal({test.key_rows, heads.key, heads.width}, dtype, 2).requires_grad_(true),
                                   normal({test.key_rows, heads.key, heads.width}, dtype, 3).requires_grad_(true)};
  };
  const at::Tensor outer = normal({test.query_rows, heads.query, heads.width}, dtype, 4);
  const double scale = 1 / std::sqrt(static_cast<double>(heads.width));
  const auto wanted = inputs();
  const at::Tensor expected = naive(wanted[0], wanted[1], wanted[2], mask, scale);
  const auto expected_gradients = torch::autograd::grad({expected}, wanted, {outer.to(at::kDouble)});
  for (const bool reference : {false, true}) {
    SCOPED_TRACE(reference ? "attention_reference" : "attention");
    const auto given = inputs();
    const at::Tensor got = reference ? attention_reference(given[0], given[1], given[2], test.layout, scale)
                                     : attention(given[0], given[1], given[2], test.layout, scale);
    EXPECT_EQ(got.scalar_type(), dtype);
    EXPECT_TRUE(agree(got, expected, tolerance));
    const auto gradients = torch::autograd::grad({got}, given, {outer});
    for (size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(agree(gradients[i], expected_gradients[i], tolerance)) << "gradient of input " << i;
  }
}

TEST(Attention, EqualsTheDenseFormulaInValueAndGradient) {
  const Heads shapes[] = {{4, 4, 8}, {4, 2, 16}, {6, 1, 7}, {3, 3, 64}};
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (const Case& one : cases(seed)) {
      check(one, shapes[seed], at::kDouble, 1e-12);
      check(one, shapes[seed], at::kFloat, 1e-5);
    }
  }
}

TEST(Attention, RowsThatSeeNoKeyAreZero) {
  AttentionLayout layout;
  layout.add({1, 5, 0, 2, true, 0});  // rows 1 and 2 would see keys before the first
  const at::Tensor x = normal({6, 2, 8}, at::kFloat, 5);
  for (const at::Tensor& y : {attention(x, x, x, layout, 1), attention_reference(x, x, x, layout, 1)}) {
    for (const int64_t row : {0, 1, 2, 5}) EXPECT_TRUE(at::equal(y[row], at::zeros({2, 8}))) << row;
    EXPECT_TRUE(agree(y[3], x[0], 1e-6));  // one key: its value
  }
}

TEST(Attention, EmptyRangesChangeNothing) {
  AttentionLayout plain, mixed;
  plain.add({0, 4, 0, 3, false, 0});
  plain.add({0, 4, 3, 6, false, 0});
  mixed.add({0, 4, 0, 3, false, 0});
  mixed.add({0, 0, 1, 2, false, 0});
  mixed.add({0, 4, 3, 6, false, 0});
  mixed.add({0, 4, 6, 6, true, 0});
  mixed.validate(4, 6);
  const at::Tensor query = normal({4, 2, 8}, at::kDouble, 6), key = normal({6, 2, 8}, at::kDouble, 7);
  EXPECT_TRUE(agree(attention(query, key, key, mixed, 0.5), attention(query, key, key, plain, 0.5), 1e-14));
}

TEST(Attention, TakesStridedHeads) {
  // Query, key and value as slices of one projection, and with the head dimension not innermost.
  const at::Tensor fused = normal({20, 3 * 2 * 8}, at::kDouble, 8).view({20, 3, 2, 8});
  const auto layout = AttentionLayout::uniform(4, 5, true);
  const auto part = [&](int64_t i) { return fused.select(1, i); };
  const auto turned = [&](int64_t i) { return part(i).transpose(1, 2).contiguous().transpose(1, 2); };
  const at::Tensor expected = attention(part(0).contiguous(), part(1).contiguous(), part(2).contiguous(), layout, 0.3);
  EXPECT_TRUE(at::equal(attention(part(0), part(1), part(2), layout, 0.3), expected));
  EXPECT_TRUE(at::equal(attention(turned(0), turned(1), turned(2), layout, 0.3), expected));
}

TEST(Attention, RunsInBf16) {
  for (const Case& one : cases(9)) {
    const at::Tensor query = normal({one.query_rows, 4, 16}, at::kBFloat16, 1),
                     key = normal({one.key_rows, 2, 16}, at::kBFloat16, 2);
    const at::Tensor got = attention(query, key, key, one.layout, 0.25);
    EXPECT_EQ(got.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(agree(got, naive(query, key, key, dense_mask(one.layout, one.query_rows, one.key_rows), 0.25), 1e-2)) << one.name;
  }
}

TEST(Attention, NamesShapesThatDoNotGoTogether) {
  const auto layout = AttentionLayout::uniform(1, 4, true);
  const auto x = [](int64_t heads) { return at::zeros({4, heads, 8}); };
  EXPECT_EQ(error_of([&] { attention(x(3), x(2), x(2), layout, 1); }),
            "attention: query 4x3x8 does not go with key 4x2x8 and value 4x2x8");
  EXPECT_EQ(error_of([&] { attention(x(2), x(2), x(1), layout, 1); }),
            "attention: query 4x2x8 does not go with key 4x2x8 and value 4x1x8");
}

TEST(AttentionLayout, RestrictedRowsEqualThoseOfTheFullResult) {
  for (uint64_t seed = 20; seed < 30; ++seed) {
    for (const Case& one : cases(seed)) {
      SCOPED_TRACE(one.name);
      const Rng rng(seed, 1);
      std::vector<int64_t> wanted;
      for (int64_t row = 0; row < one.query_rows; ++row) {
        if (rng.below(static_cast<uint64_t>(row), 3) > 0) wanted.push_back(row);
      }
      const at::Tensor rows = at::tensor(wanted, at::kLong);
      const AttentionLayout restricted = one.layout.restricted_to(rows);
      restricted.validate(rows.numel(), one.key_rows);
      EXPECT_EQ(restricted.pairs(),
                dense_mask(one.layout, one.query_rows, one.key_rows).index_select(0, rows).sum().item<int64_t>());
      const at::Tensor query = normal({one.query_rows, 2, 8}, at::kDouble, 1), key = normal({one.key_rows, 2, 8}, at::kDouble, 2);
      const at::Tensor full = attention(query, key, key, one.layout, 0.4);
      EXPECT_TRUE(agree(attention(query.index_select(0, rows), key, key, restricted, 0.4), full.index_select(0, rows), 1e-12));
    }
  }
  EXPECT_TRUE(AttentionLayout::uniform(2, 3, true).restricted_to(at::empty({0}, at::kLong)).spans().empty());
}

TEST(AttentionLayout, NamesEachFault) {
  const struct {
    std::vector<Span> spans;
    const char* message;
  } faults[] = {
      {{{0, 5, 0, 4}}, "attention layout: query range 0..5 lies outside 0..4"},
      {{{-1, 2, 0, 4}}, "attention layout: query range -1..2 lies outside 0..4"},
      {{{3, 2, 0, 4}}, "attention layout: query range 3..2 lies outside 0..4"},
      {{{0, 4, 0, 7}}, "attention layout: key range 0..7 lies outside 0..6"},
      {{{0, 4, 5, 4}}, "attention layout: key range 5..4 lies outside 0..6"},
      {{{0, 4, 0, 4, false, -1}}, "attention layout: window -1 is negative"},
      {{{0, 3, 0, 4}, {2, 4, 0, 4}}, "attention layout: query range 2..4 overlaps another that ends at 3"},
      {{{0, 3, 0, 4}, {0, 3, 3, 6}}, "attention layout: keys 3..4 are seen twice by queries 0..3"},
  };
  for (const auto& fault : faults) {
    AttentionLayout layout;
    for (const Span& span : fault.spans) layout.add(span);
    EXPECT_EQ(error_of([&] { layout.validate(4, 6); }), fault.message);
  }
}

TEST(AttentionLayout, KnowsWhenItIsUniform) {
  EXPECT_EQ(AttentionLayout::uniform(3, 4, true).uniform_length(12), 4);
  EXPECT_EQ(AttentionLayout::uniform(3, 4, true).uniform_length(13), 0);
  EXPECT_EQ(AttentionLayout().uniform_length(0), 0);
  const Span twice[] = {
      {2, 4, 2, 4, true, 0}, {2, 4, 2, 4, false, 0}, {2, 4, 2, 4, true, 1}, {2, 4, 0, 2, true, 0}, {2, 4, 2, 3, true, 0}};
  for (const Span& second : twice) {
    AttentionLayout layout;
    layout.add({0, 2, 0, 2, true, 0});
    layout.add(second);
    EXPECT_EQ(layout.uniform_length(4), &second == &twice[0] ? 2 : 0);
  }
}

TEST(Attention, CostCountsPairs) {
  const Cost cost = attention_cost(AttentionLayout::uniform(2, 3, true).pairs(), 6, 4, 8, {});
  EXPECT_EQ(cost.flops, 12 * 4 * 8 * 4);  // a product and a sum, for scores and for values
  EXPECT_EQ(cost.parameters, 0);
}

}  // namespace
}  // namespace ocelli::nn
