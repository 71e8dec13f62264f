#include "ocelli/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/kernels/isa_test.h"

namespace ocelli::kernels {
namespace {

struct Shape {
  int64_t rows = 0, keys = 0, query_heads = 1, kv_heads = 1, width = 8;
  struct Block {
    int64_t begin, end;
    std::vector<KeyRange> ranges;
  };
  std::vector<Block> blocks;
};

std::vector<QueryBlock> blocks_of(const Shape& shape) {
  std::vector<QueryBlock> blocks;
  for (const Shape::Block& block : shape.blocks) blocks.push_back({block.begin, block.end, block.ranges});
  return blocks;
}

/// [rows, heads, width] in double, and the same values in T with a gap behind every row.
struct Array {
  Array(int64_t rows_in, int64_t heads_in, int64_t width_in) : rows(rows_in), heads(heads_in), width(width_in) {
    values.resize(static_cast<size_t>(rows * heads * width));
  }
  Array(int64_t rows_in, int64_t heads_in, int64_t width_in, std::mt19937& random) : Array(rows_in, heads_in, width_in) {
    std::normal_distribution<float> normal;
    for (double& x : values) x = normal(random);
  }
  double& at(int64_t row, int64_t head, int64_t e) { return values[static_cast<size_t>((row * heads + head) * width + e)]; }
  double at(int64_t row, int64_t head, int64_t e) const { return values[static_cast<size_t>((row * heads + head) * width + e)]; }
  int64_t rows, heads, width;
  std::vector<double> values;
};
template <typename T>
struct Stored {
  static constexpr int64_t kGap = 3;
  explicit Stored(const Array& array) : rows(array.rows), heads(array.heads), width(array.width), stride(heads * width + kGap) {
    values.assign(static_cast<size_t>(rows * stride), T{77});
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < heads * width; ++i) {
        values[static_cast<size_t>(t * stride + i)] = static_cast<T>(array.values[static_cast<size_t>(t * heads * width + i)]);
      }
    }
  }
  HeadArray<T> view() { return {values.data(), stride, width}; }
  HeadArray<const T> view() const { return {values.data(), stride, width}; }
  T at(int64_t row, int64_t head, int64_t e) const { return values[static_cast<size_t>(row * stride + head * width + e)]; }
  bool gaps_untouched() const {
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = heads * width; i < stride; ++i) {
        if (values[static_cast<size_t>(t * stride + i)] != T{77}) return false;
      }
    }
    return true;
  }
  int64_t rows, heads, width, stride;
  std::vector<T> values;
};

bool sees(const KeyRange& range, int64_t n, int64_t i, int64_t key) {
  const int64_t last = range.causal ? range.key_end - n + i : range.key_end - 1;
  return key >= range.key_begin && key <= last && (range.window == 0 || key > last - range.window);
}

struct Reference {
  Array output;
  std::vector<double> lse;
};
/// Word for word what the header says, over all keys, in double.
Reference naive(const Shape& shape, const Array& query, const Array& key, const Array& value, double scale) {
  Reference result{Array(shape.rows, shape.query_heads, shape.width),
                   std::vector<double>(static_cast<size_t>(shape.query_heads * shape.rows))};
  const int64_t group = shape.query_heads / shape.kv_heads;
  for (const Shape::Block& block : shape.blocks) {
    for (int64_t h = 0; h < shape.query_heads; ++h) {
      for (int64_t t = block.begin; t < block.end; ++t) {
        double sum = 0;
        std::vector<double> out(static_cast<size_t>(shape.width));
        for (const KeyRange& range : block.ranges) {
          for (int64_t j = range.key_begin; j < range.key_end; ++j) {
            if (!sees(range, block.end - block.begin, t - block.begin, j)) continue;
            double score = 0;
            for (int64_t e = 0; e < shape.width; ++e) score += query.at(t, h, e) * key.at(j, h / group, e);
            const double weight = std::exp(score * scale);
            sum += weight;
            for (int64_t e = 0; e < shape.width; ++e) out[static_cast<size_t>(e)] += weight * value.at(j, h / group, e);
          }
        }
        for (int64_t e = 0; e < shape.width; ++e) result.output.at(t, h, e) = sum > 0 ? out[static_cast<size_t>(e)] / sum : 0;
        result.lse[static_cast<size_t>(h * shape.rows + t)] = std::log(sum);
      }
    }
  }
  return result;
}

/// Blocks of random length over random disjoint ranges of the keys: empty ones, causal ones longer and shorter than the block,
/// windows.
Shape random_shape(std::mt19937& random, int64_t most_rows, int64_t most_range) {
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  constexpr int64_t kWidths[] = {1, 5, 8, 16, 17, 24, 32, 33, 64, 80, 96, 128};
  Shape shape;
  shape.kv_heads = 1 + below(3);
  shape.query_heads = shape.kv_heads * (1 + below(4));
  shape.width = kWidths[below(12)];
  for (int64_t b = 0, count = 1 + below(4); b < count; ++b) {
    Shape::Block block{shape.rows, shape.rows + below(most_rows + 1), {}};
    for (int64_t r = 0, ranges = below(4), at = below(5); r < ranges; ++r) {
      const int64_t end = at + below(most_range + 1);
      block.ranges.push_back({at, end, below(2) == 0, below(3) == 0 ? 1 + below(most_range) : 0});
      at = end + below(3);
      shape.keys = std::max(shape.keys, at);
    }
    shape.rows = block.end;
    shape.blocks.push_back(block);
  }
  shape.keys += 1;
  return shape;
}

template <typename T>
void expect_forward_equals_naive(const Shape& shape, std::mt19937& random, double tolerance) {
  const Array query(shape.rows, shape.query_heads, shape.width, random), key(shape.keys, shape.kv_heads, shape.width, random),
      value(shape.keys, shape.kv_heads, shape.width, random);
  const double scale = 1 / std::sqrt(static_cast<double>(shape.width));
  const Reference reference = naive(shape, query, key, value, scale);
  const Stored<T> q(query), k(key), v(value);
  Stored<T> output(Array(shape.rows, shape.query_heads, shape.width));
  std::vector<T> lse(static_cast<size_t>(shape.query_heads * shape.rows), T{5});
  const AttentionProblem<T> problem{
      q.view(), k.view(), v.view(), shape.query_heads, shape.kv_heads, shape.width, static_cast<T>(scale)};
  // In two parts that cut through a group of query heads.
  const int64_t cut = shape.query_heads / 2;
  attention_forward<T>(problem, blocks_of(shape), 0, cut, output.view(), lse.data(), shape.rows);
  attention_forward<T>(problem, blocks_of(shape), cut, shape.query_heads, output.view(), lse.data(), shape.rows);
  for (int64_t h = 0; h < shape.query_heads; ++h) {
    for (int64_t t = 0; t < shape.rows; ++t) {
      const double want = reference.lse[static_cast<size_t>(h * shape.rows + t)];
      const T got = lse[static_cast<size_t>(h * shape.rows + t)];
      if (std::isinf(want)) {
        ASSERT_EQ(got, -std::numeric_limits<T>::infinity()) << "head " << h << " row " << t;
      } else {
        ASSERT_NEAR(got, want, tolerance * (1 + std::abs(want))) << "head " << h << " row " << t;
      }
      for (int64_t e = 0; e < shape.width; ++e) {
        ASSERT_NEAR(output.at(t, h, e), reference.output.at(t, h, e), tolerance)
            << "head " << h << " row " << t << " element " << e;
      }
    }
  }
  ASSERT_TRUE(output.gaps_untouched());
}

TEST(Attention, DoubleEqualsTheNaiveFormula) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    const Shape shape = random_shape(random, i % 10 == 0 ? 150 : 20, i % 5 == 0 ? 150 : 25);
    SCOPED_TRACE(i);
    expect_forward_equals_naive<double>(shape, random, 1e-12);
    if (HasFatalFailure()) return;
  }
}

TEST(Attention, EveryIsaEqualsTheNaiveFormula) {
  with_every_isa([](Isa isa) {
    std::mt19937 random(2);
    for (int i = 0; i < 60; ++i) {
      const Shape shape = random_shape(random, i % 10 == 0 ? 150 : 20, i % 5 == 0 ? 150 : 25);
      SCOPED_TRACE(std::string(name_of(isa)) + " " + std::to_string(i));
      expect_forward_equals_naive<float>(shape, random, 1e-5);
      if (HasFatalFailure()) return;
    }
  });
}

TEST(Attention, ManyHeadsOverOneKeyValueHead) {
  with_every_isa([](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    std::mt19937 random(3);
    Shape shape{.rows = 3, .keys = 70, .query_heads = 71, .kv_heads = 1, .width = 16, .blocks = {{0, 3, {{0, 70, true, 0}}}}};
    expect_forward_equals_naive<float>(shape, random, 1e-5);
  });
}

/// Scores far apart, as large logits give: the running maximum must carry over tiles.
TEST(Attention, KeepsItsFootingWhenScoresGrow) {
  with_every_isa([](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    constexpr int64_t kKeys = 300;
    std::vector<float> q(16, 1.0f), k(kKeys * 16), v(kKeys * 16), out(16);
    for (int64_t j = 0; j < kKeys; ++j) {
      for (int64_t e = 0; e < 16; ++e) {
        k[static_cast<size_t>(j * 16 + e)] = static_cast<float>(j) * 2;
        v[static_cast<size_t>(j * 16 + e)] = static_cast<float>(j);
      }
    }
    const AttentionProblem<float> problem{{q.data(), 16, 16}, {k.data(), 16, 16}, {v.data(), 16, 16}, 1, 1, 16, 1.0f};
    const KeyRange range{0, kKeys, false, 0};
    const QueryBlock block{0, 1, {&range, 1}};
    float lse = 0;
    attention_forward<float>(problem, {&block, 1}, 0, 1, {out.data(), 16, 16}, &lse, 1);
    EXPECT_FLOAT_EQ(lse, 2.0f * (kKeys - 1) * 16);
    for (const float x : out) EXPECT_FLOAT_EQ(x, kKeys - 1);
  });
}

TEST(Attention, CarriesNotANumberThrough) {
  with_every_isa([](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    std::vector<float> q(16, 1.0f), k(20 * 16, 1.0f), v(20 * 16, 1.0f), out(16);
    k[5 * 16] = std::numeric_limits<float>::quiet_NaN();
    const AttentionProblem<float> problem{{q.data(), 16, 16}, {k.data(), 16, 16}, {v.data(), 16, 16}, 1, 1, 16, 1.0f};
    const KeyRange range{0, 20, false, 0};
    const QueryBlock block{0, 1, {&range, 1}};
    float lse = 0;
    attention_forward<float>(problem, {&block, 1}, 0, 1, {out.data(), 16, 16}, &lse, 1);
    EXPECT_TRUE(std::isnan(out[0]));
    EXPECT_TRUE(std::isnan(lse));
  });
}

struct Gradients {
  Array query, key, value;
};
/// Through the kernel in T; gradients start at 1, since they are added to, and the 1 is taken off again.
template <typename T>
Gradients backward(const Shape& shape, const Array& query, const Array& key, const Array& value, const Array& grad,
                   double scale) {
  const Stored<T> q(query), k(key), v(value), g(grad);
  const auto ones = [](Array array) {
    array.values.assign(array.values.size(), 1.0);
    return Stored<T>(array);
  };
  Stored<T> output{Array(shape.rows, shape.query_heads, shape.width)};
  Stored<T> gq = ones(query), gk = ones(key), gv = ones(value);
  std::vector<T> lse(static_cast<size_t>(shape.query_heads * shape.rows)), delta(lse.size());
  const AttentionProblem<T> problem{
      q.view(), k.view(), v.view(), shape.query_heads, shape.kv_heads, shape.width, static_cast<T>(scale)};
  attention_forward<T>(problem, blocks_of(shape), 0, shape.query_heads, output.view(), lse.data(), shape.rows);
  for (int64_t h = 0; h < shape.query_heads; ++h) {
    for (int64_t t = 0; t < shape.rows; ++t) {
      T& d = delta[static_cast<size_t>(h * shape.rows + t)];
      for (int64_t e = 0; e < shape.width; ++e) d += output.at(t, h, e) * g.at(t, h, e);
    }
  }
  for (int64_t kv = 0; kv < shape.kv_heads; ++kv) {
    attention_backward<T>(problem, blocks_of(shape), kv, kv + 1, g.view(), lse.data(), delta.data(), shape.rows, gq.view(),
                          gk.view(), gv.view());
  }
  EXPECT_TRUE(gq.gaps_untouched() && gk.gaps_untouched() && gv.gaps_untouched());
  const auto off = [](const Stored<T>& stored) {
    Array array(stored.rows, stored.heads, stored.width);
    for (int64_t t = 0; t < stored.rows; ++t) {
      for (int64_t h = 0; h < stored.heads; ++h) {
        for (int64_t e = 0; e < stored.width; ++e) array.at(t, h, e) = static_cast<double>(stored.at(t, h, e)) - 1;
      }
    }
    return array;
  };
  return {off(gq), off(gk), off(gv)};
}

TEST(AttentionBackward, DoubleEqualsFiniteDifferences) {
  std::mt19937 random(4);
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    Shape shape = random_shape(random, i == 0 ? 70 : 6, i == 0 ? 70 : 9);
    shape.width = 1 + i % 5;
    Array query(shape.rows, shape.query_heads, shape.width, random), key(shape.keys, shape.kv_heads, shape.width, random),
        value(shape.keys, shape.kv_heads, shape.width, random);
    const Array grad(shape.rows, shape.query_heads, shape.width, random);
    const double scale = 0.7;
    const auto loss = [&] {
      const Reference reference = naive(shape, query, key, value, scale);
      double sum = 0;
      for (size_t j = 0; j < grad.values.size(); ++j) sum += reference.output.values[j] * grad.values[j];
      return sum;
    };
    const Gradients got = backward<double>(shape, query, key, value, grad, scale);
    const auto compare = [&](Array& x, const Array& gradient, const char* name) {
      for (int probe = 0; probe < 25 && !x.values.empty(); ++probe) {
        const size_t at = random() % x.values.size();
        constexpr double kStep = 1e-5;
        const double before = x.values[at];
        x.values[at] = before + kStep;
        const double up = loss();
        x.values[at] = before - kStep;
        const double down = loss();
        x.values[at] = before;
        ASSERT_NEAR(gradient.values[at], (up - down) / (2 * kStep), 1e-7) << name << " element " << at;
      }
    };
    compare(query, got.query, "query");
    compare(key, got.key, "key");
    compare(value, got.value, "value");
    if (HasFatalFailure()) return;
  }
}

TEST(AttentionBackward, EveryIsaEqualsDouble) {
  with_every_isa([](Isa isa) {
    std::mt19937 random(5);
    for (int i = 0; i < 40; ++i) {
      SCOPED_TRACE(std::string(name_of(isa)) + " " + std::to_string(i));
      const Shape shape = random_shape(random, i % 10 == 0 ? 150 : 20, i % 5 == 0 ? 150 : 25);
      const Array query(shape.rows, shape.query_heads, shape.width, random), key(shape.keys, shape.kv_heads, shape.width, random),
          value(shape.keys, shape.kv_heads, shape.width, random), grad(shape.rows, shape.query_heads, shape.width, random);
      const double scale = 1 / std::sqrt(static_cast<double>(shape.width));
      const Gradients want = backward<double>(shape, query, key, value, grad, scale);
      const Gradients got = backward<float>(shape, query, key, value, grad, scale);
      const auto compare = [](const Array& a, const Array& b, const char* name) {
        double largest = 1;
        for (const double x : b.values) largest = std::max(largest, std::abs(x));
        for (size_t j = 0; j < a.values.size(); ++j)
          ASSERT_NEAR(a.values[j], b.values[j], 1e-5 * largest) << name << " element " << j;
      };
      compare(got.query, want.query, "query");
      compare(got.key, want.key, "key");
      compare(got.value, want.value, "value");
      if (HasFatalFailure()) return;
    }
  });
}

TEST(Attention, NamesWhatDoesNotFit) {
  std::vector<float> x(64);
  const AttentionProblem<float> problem{{x.data(), 8, 8}, {x.data(), 8, 8}, {x.data(), 8, 8}, 3, 2, 8, 1.0f};
  float lse[8];
  EXPECT_THROW(attention_forward<float>(problem, {}, 0, 3, {x.data(), 8, 8}, lse, 1), Error);
  AttentionProblem<float> even = problem;
  even.query_heads = 2;
  EXPECT_THROW(attention_forward<float>(even, {}, 0, 3, {x.data(), 8, 8}, lse, 1), Error);
  const QueryBlock backwards{3, 1, {}};
  EXPECT_THROW(attention_forward<float>(even, {&backwards, 1}, 0, 2, {x.data(), 8, 8}, lse, 1), Error);
}

}  // namespace
}  // namespace ocelli::kernels
