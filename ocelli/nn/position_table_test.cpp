#include "ocelli/nn/position_table.h"

#include <cmath>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::agree;
using test::error_of;
using test::normal;

TEST(SinCosTable, PutsTheColumnFirst) {
  const int64_t rows = 3, columns = 5, width = 24, quarter = width / 4;
  const at::Tensor table = sin_cos_table({rows, columns}, width);
  ASSERT_EQ(table.sizes(), (at::IntArrayRef{rows * columns, width}));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t k = 0; k < quarter; ++k) {
        const double frequency = std::pow(10000.0, -static_cast<double>(k) / static_cast<double>(quarter));
        const at::Tensor cell = table[r * columns + c];
        const double want[] = {std::sin(static_cast<double>(c) * frequency), std::cos(static_cast<double>(c) * frequency),
                               std::sin(static_cast<double>(r) * frequency), std::cos(static_cast<double>(r) * frequency)};
        for (int64_t part = 0; part < 4; ++part) EXPECT_NEAR(cell[part * quarter + k].item<double>(), want[part], 1e-6);
      }
    }
  }
}

TEST(SinCosTable, NamesAWidthThatDoesNotDivide) {
  EXPECT_EQ(error_of([] { sin_cos_table({2, 2}, 10); }), "sine and cosine positions: width 10 is no multiple of 4");
}

TEST(SinCosTable, IsWhereAnInitialiserStarts) {
  struct Net final : Module {
    Net() { table = declare_buffer("table", {9, 8}, Init::sin_cos()); }
    at::Tensor table;
  } net;
  initialize(net, 1);
  EXPECT_TRUE(at::equal(net.table, sin_cos_table({3, 3}, 8)));
}

/// One axis by the definition: four taps of Keys' kernel with a = -0.75 at half-pixel centres, edges repeated.
std::vector<double> cubic_axis(const std::vector<double>& values, int64_t length) {
  const auto kernel = [](double x) {
    const double a = -0.75, t = std::abs(x);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((t - 5) * t + 8) * t * a - 4 * a : 0.0;
  };
  const int64_t count = static_cast<int64_t>(values.size());
  std::vector<double> out;
  for (int64_t i = 0; i < length; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * static_cast<double>(count) / static_cast<double>(length) - 0.5;
    double sum = 0;
    for (int64_t tap = static_cast<int64_t>(std::floor(centre)) - 1; tap <= static_cast<int64_t>(std::floor(centre)) + 2; ++tap) {
      sum += kernel(centre - static_cast<double>(tap)) * values[static_cast<size_t>(std::clamp<int64_t>(tap, 0, count - 1))];
    }
    out.push_back(sum);
  }
  return out;
}

TEST(ResizePositionTable, IsTheCubicKernelOnEachAxis) {
  // Constant along columns, so that only the rows' axis matters, and the other way round.
  const std::vector<double> values = {1, -2, 0.5, 4};
  const at::Tensor line = at::tensor(values, at::kDouble);
  for (const int64_t length : {7, 3}) {
    const at::Tensor want = at::tensor(cubic_axis(values, length), at::kDouble);
    const at::Tensor rows = resize_position_table(line.view({4, 1}).expand({4, 2}).reshape({8, 1}), {4, 2}, {length, 5}, false);
    EXPECT_TRUE(agree(rows.view({length, 5}), want.view({length, 1}).expand({length, 5}), 1e-12));
    const at::Tensor columns =
        resize_position_table(line.view({1, 4}).expand({2, 4}).reshape({8, 1}), {2, 4}, {5, length}, false);
    EXPECT_TRUE(agree(columns.view({5, length}), want.view({1, length}).expand({5, length}), 1e-12));
  }
}

TEST(ResizePositionTable, AntialiasingIsAnotherFilter) {
  const at::Tensor table = normal({36, 3}, at::kFloat, 1);
  const at::Tensor plain = resize_position_table(table, {6, 6}, {4, 5}, false),
                   smooth = resize_position_table(table, {6, 6}, {4, 5}, true);
  EXPECT_EQ(plain.sizes(), (at::IntArrayRef{20, 3}));
  EXPECT_GT((plain - smooth).abs().max().item<double>(), 0.1);
  // A constant stays one under either.
  EXPECT_TRUE(agree(resize_position_table(at::ones({36, 3}), {6, 6}, {4, 5}, true), at::ones({20, 3}), 1e-6));
}

TEST(ResizePositionTable, LeavesTheTablesOwnGridUntouched) {
  const at::Tensor table = normal({12, 3}, at::kFloat, 1);
  EXPECT_TRUE(at::equal(resize_position_table(table, {3, 4}, {3, 4}, true), table));
  EXPECT_EQ(resize_position_table(table.to(at::kBFloat16), {3, 4}, {2, 2}, false).scalar_type(), at::kBFloat16);
  EXPECT_EQ(error_of([&] {
              resize_position_table(table, {3, 3}, {2, 2}, false);
            }),
            "positions: a table of shape [12, 3] does not fill a grid of 3 x 3");
}

TEST(SquareGrid, NamesCountsThatAreNone) {
  EXPECT_EQ(square_grid(49, "query").rows, 7);
  EXPECT_EQ(error_of([] { square_grid(50, "query"); }), "query: 50 positions are not a square grid");
  EXPECT_EQ(error_of([] { square_grid(0, "query"); }), "query: 0 positions are not a square grid");
}

}  // namespace
}  // namespace ocelli::nn
