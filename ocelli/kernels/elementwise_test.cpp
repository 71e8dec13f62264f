#include "ocelli/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/kernels/isa_test.h"

namespace ocelli::kernels {
namespace {

using Doubles = std::vector<double>;

/// Values a float holds exactly, so that float and double kernels start from the same numbers.
Doubles normal(std::mt19937& random, int64_t n, double scale = 1) {
  std::normal_distribution<float> draw(0.0f, static_cast<float>(scale));
  Doubles values(static_cast<size_t>(n));
  for (double& x : values) x = draw(random);
  return values;
}
template <typename T>
std::vector<T> as(const Doubles& values) {
  return std::vector<T>(values.begin(), values.end());
}

template <typename T>
void expect_near(const std::vector<T>& got, const Doubles& want, double tolerance, const char* name) {
  ASSERT_EQ(got.size(), want.size());
  double largest = 0.1;  // of values around 1: what is smaller is left over from cancellation
  for (const double x : want) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance * largest) << name << " element " << i;
  }
}

/// Runs `body(T{}, tolerance)` with double and, for every instruction set, float.
template <typename Body>
void with_every_type(const Body& body) {
  {
    SCOPED_TRACE("double");
    body(double{}, 1e-12);
  }
  with_every_isa([&](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    body(float{}, 1e-5);
  });
}

constexpr int64_t kSizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 96, 100, 129, 500};

TEST(RmsNorm, EqualsTheFormulaForwardAndBackward) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(1);
    for (const int64_t width : kSizes) {
      SCOPED_TRACE(width);
      constexpr int64_t kRows = 5;
      const double eps = 1e-5;
      const Doubles x = normal(random, kRows * width), w = normal(random, width), g = normal(random, kRows * width);
      const Doubles weight_before = normal(random, width);
      Doubles y(x.size()), inverse(kRows), gx(x.size()), gw = weight_before;
      for (int64_t r = 0; r < kRows; ++r) {
        const auto at = [&](int64_t i) { return static_cast<size_t>(r * width + i); };
        double squares = 0, product = 0;
        for (int64_t i = 0; i < width; ++i) squares += x[at(i)] * x[at(i)];
        const double inv = 1 / std::sqrt(squares / static_cast<double>(width) + eps);
        inverse[static_cast<size_t>(r)] = inv;
        for (int64_t i = 0; i < width; ++i) {
          y[at(i)] = x[at(i)] * inv * w[static_cast<size_t>(i)];
          product += g[at(i)] * w[static_cast<size_t>(i)] * x[at(i)];
          gw[static_cast<size_t>(i)] += g[at(i)] * x[at(i)] * inv;
        }
        for (int64_t i = 0; i < width; ++i) {
          gx[at(i)] = inv * (g[at(i)] * w[static_cast<size_t>(i)] - x[at(i)] * inv * inv * product / static_cast<double>(width));
        }
      }
      const std::vector<T> xt = as<T>(x), wt = as<T>(w), gt = as<T>(g);
      std::vector<T> yt(x.size()), it(kRows), gxt(x.size()), gwt = as<T>(weight_before);
      rms_norm_forward<T>(xt.data(), wt.data(), kRows, width, static_cast<T>(eps), yt.data(), it.data());
      rms_norm_backward<T>(xt.data(), wt.data(), it.data(), gt.data(), kRows, width, gxt.data(), gwt.data());
      expect_near(yt, y, tolerance, "y");
      expect_near(it, inverse, tolerance, "inverse_rms");
      expect_near(gxt, gx, 10 * tolerance, "grad_x");
      expect_near(gwt, gw, tolerance, "grad_weight");
    }
  });
}

TEST(Swiglu, EqualsTheFormulaForwardAndBackwardInPlace) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(2);
    for (const int64_t n : kSizes) {
      SCOPED_TRACE(n);
      Doubles gate = normal(random, n, 3), up = normal(random, n), g = normal(random, n), y, g_gate, g_up;
      gate[0] = -200;  // e^200 is past the floats
      for (size_t i = 0; i < gate.size(); ++i) {
        const double sigmoid = 1 / (1 + std::exp(-gate[i]));
        y.push_back(gate[i] * sigmoid * up[i]);
        g_up.push_back(g[i] * gate[i] * sigmoid);
        g_gate.push_back(g[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid)));
      }
      std::vector<T> gate_t = as<T>(gate), up_t = as<T>(up), y_t(gate.size());
      const std::vector<T> g_t = as<T>(g);
      swiglu_forward<T>(gate_t.data(), up_t.data(), n, y_t.data());
      expect_near(y_t, y, tolerance, "y");
      swiglu_backward<T>(gate_t.data(), up_t.data(), g_t.data(), n, gate_t.data(), up_t.data());
      expect_near(gate_t, g_gate, tolerance, "grad_gate");
      expect_near(up_t, g_up, tolerance, "grad_up");
    }
  });
}

TEST(Rope, RotatesHalfSplitPairsAndBack) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(3);
    for (const auto& [head_width, rotary] :
         {std::pair<int64_t, int64_t>{32, 32}, {24, 24}, {80, 20}, {128, 128}, {6, 2}, {8, 0}}) {
      SCOPED_TRACE(head_width);
      constexpr int64_t kRows = 3, kHeads = 2;
      const int64_t stride = kHeads * head_width + 5, half = rotary / 2;
      const Doubles x = normal(random, kRows * stride), angle = normal(random, kRows * half, 10);
      Doubles cosine, sine, want = x;
      for (const double a : angle) {
        cosine.push_back(std::cos(a));
        sine.push_back(std::sin(a));
      }
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t h = 0; h < kHeads; ++h) {
          for (int64_t e = 0; e < half; ++e) {
            const auto first = static_cast<size_t>(r * stride + h * head_width + e), second = first + static_cast<size_t>(half);
            const auto at = static_cast<size_t>(r * half + e);
            want[first] = x[first] * cosine[at] - x[second] * sine[at];
            want[second] = x[second] * cosine[at] + x[first] * sine[at];
          }
        }
      }
      std::vector<T> got = as<T>(x);
      const std::vector<T> c = as<T>(cosine), s = as<T>(sine);
      rope<T>(got.data(), kRows, kHeads, head_width, stride, rotary, c.data(), s.data(), false);
      expect_near(got, want, tolerance, "rotated");
      rope<T>(got.data(), kRows, kHeads, head_width, stride, rotary, c.data(), s.data(), true);
      expect_near(got, x, tolerance, "rotated back");
    }
  });
  float x[8] = {};
  EXPECT_THROW(rope<float>(x, 1, 1, 8, 8, 10, x, x, false), Error);
  EXPECT_THROW(rope<float>(x, 1, 1, 8, 8, 3, x, x, false), Error);
}

TEST(CrossEntropy, EqualsTheFormulaUpToLargeVocabularies) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(4);
    for (const int64_t width : {int64_t{1}, int64_t{2}, int64_t{7}, int64_t{17}, int64_t{400}, int64_t{1025}, int64_t{151655}}) {
      SCOPED_TRACE(width);
      constexpr int64_t kRows = 2;
      const Doubles x = normal(random, kRows * width, 5);
      const Doubles scale = {0.25, -3};
      const std::vector<int64_t> labels = {static_cast<int64_t>(random() % static_cast<uint64_t>(width)), width - 1};
      Doubles loss, gradient(x.size());
      for (int64_t r = 0; r < kRows; ++r) {
        const double* row = x.data() + r * width;
        const double largest = *std::max_element(row, row + width);
        double sum = 0;
        for (int64_t i = 0; i < width; ++i) sum += std::exp(row[i] - largest);
        const int64_t label = labels[static_cast<size_t>(r)];
        loss.push_back(std::log(sum) + largest - row[label]);
        for (int64_t i = 0; i < width; ++i) {
          gradient[static_cast<size_t>(r * width + i)] =
              (std::exp(row[i] - largest) / sum - (i == label)) * scale[static_cast<size_t>(r)];
        }
      }
      std::vector<T> logits = as<T>(x), got(kRows);
      const std::vector<T> scale_t = as<T>(scale);
      cross_entropy_in_place<T>(logits.data(), labels.data(), scale_t.data(), kRows, width, got.data());
      expect_near(got, loss, tolerance, "loss");
      expect_near(logits, gradient, tolerance, "gradient");
    }
  });
}

/// The small probabilities too are right to a few units in the last place: every instruction set's own exponential.
TEST(CrossEntropy, GivesSmallProbabilitiesToTheirLastPlaces) {
  with_every_isa([](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    constexpr int64_t kWidth = 8000;
    std::vector<float> logits(kWidth);
    for (int64_t i = 1; i < kWidth; ++i) logits[static_cast<size_t>(i)] = -10.0f - 0.009f * static_cast<float>(i);
    const std::vector<float> before = logits;
    double sum = 0;
    for (const float x : before) sum += std::exp(static_cast<double>(x));
    const int64_t label = 0;
    const float scale = 1;
    float loss = 0;
    cross_entropy_in_place<float>(logits.data(), &label, &scale, 1, kWidth, &loss);
    for (size_t i = 1; i < kWidth; ++i) {
      const double want = std::exp(static_cast<double>(before[i])) / sum;
      ASSERT_NEAR(static_cast<double>(logits[i]), want, 4e-7 * want) << before[i];
    }
  });
}

TEST(CrossEntropy, NamesALabelOutside) {
  std::vector<float> logits(10), loss(2);
  const std::vector<float> scale = {1, 1};
  for (const int64_t label : {int64_t{-1}, int64_t{5}}) {
    const std::vector<int64_t> labels = {2, label};
    EXPECT_THROW(cross_entropy_in_place<float>(logits.data(), labels.data(), scale.data(), 2, 5, loss.data()), Error);
  }
}

TEST(BatchNormRelu, EqualsTheFormulaForwardAndBackward) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(5);
    for (const int64_t channels : {int64_t{1}, int64_t{3}, int64_t{16}, int64_t{24}, int64_t{33}}) {
      SCOPED_TRACE(channels);
      constexpr int64_t kRows = 300;
      const auto n = static_cast<size_t>(channels);
      Doubles x = normal(random, kRows * channels);
      for (double& v : x) v = static_cast<float>(v + 20);  // a large mean, where sums in float would lose the variance
      const Doubles g = normal(random, kRows * channels), scale = normal(random, channels), shift = normal(random, channels, 20);
      const Doubles mean = normal(random, channels), a = normal(random, channels), b = normal(random, channels),
                    c = normal(random, channels);
      Doubles sum(n), squares(n), y(x.size()), sum_g(n), sum_gx(n), gx(x.size());
      const std::vector<T> xt = as<T>(x), gt = as<T>(g), scale_t = as<T>(scale), shift_t = as<T>(shift), mean_t = as<T>(mean);
      const std::vector<T> at = as<T>(a), bt = as<T>(b), ct = as<T>(c);
      std::vector<T> yt(x.size()), gxt(x.size());
      Doubles got_sum(n), got_squares(n), got_g(n), got_gx(n);
      channel_sums<T>(xt.data(), kRows, channels, got_sum.data(), got_squares.data());
      scale_shift_relu<T>(xt.data(), kRows, channels, scale_t.data(), shift_t.data(), yt.data());
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t k = i % n;
        sum[k] += x[i];
        squares[k] += x[i] * x[i];
        y[i] = std::max(0.0, x[i] * scale[k] + shift[k]);
        const double through = yt[i] > 0 ? g[i] : 0;
        sum_g[k] += through;
        sum_gx[k] += through * (x[i] - mean[k]);
        gx[i] = a[k] * through + b[k] * x[i] + c[k];
      }
      batch_norm_relu_backward_sums<T>(xt.data(), yt.data(), gt.data(), kRows, channels, mean_t.data(), got_g.data(),
                                       got_gx.data());
      batch_norm_relu_backward<T>(xt.data(), yt.data(), gt.data(), kRows, channels, at.data(), bt.data(), ct.data(), gxt.data());
      expect_near(got_sum, sum, 1e-12, "sum");
      expect_near(got_squares, squares, 1e-12, "sum of squares");
      expect_near(yt, y, tolerance, "y");
      expect_near(got_g, sum_g, 1e-12, "sum of g");
      expect_near(got_gx, sum_gx, tolerance / 10, "sum of g (x - mean)");
      expect_near(gxt, gx, tolerance, "grad_x");
    }
  });
}

TEST(AdamW, FollowsTheFormulaOverSteps) {
  with_every_type([](auto type, double tolerance) {
    using T = decltype(type);
    std::mt19937 random(6);
    for (const int64_t n : kSizes) {
      SCOPED_TRACE(n);
      Doubles p = normal(random, n), m(p.size()), v(p.size());
      std::vector<T> pt = as<T>(p), mt = as<T>(m), vt = as<T>(v);
      AdamW options{
          .learning_rate = 3e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .step = 1, .gradient_scale = 0.5};
      for (options.step = 1; options.step <= 20; ++options.step) {
        const Doubles g = normal(random, n);
        const std::vector<T> gt = as<T>(g);
        adamw_step<T>(options, n, pt.data(), gt.data(), mt.data(), vt.data());
        const double correction1 = 1 - std::pow(0.9, options.step), correction2 = 1 - std::pow(0.95, options.step);
        for (size_t i = 0; i < p.size(); ++i) {
          const double scaled = g[i] * 0.5;
          p[i] *= 1 - 3e-3 * 0.1;
          m[i] = 0.9 * m[i] + 0.1 * scaled;
          v[i] = 0.95 * v[i] + 0.05 * scaled * scaled;
          p[i] -= 3e-3 / correction1 * m[i] / (std::sqrt(v[i]) / std::sqrt(correction2) + 1e-8);
        }
      }
      expect_near(pt, p, tolerance, "parameter");
      expect_near(mt, m, tolerance, "first moment");
      expect_near(vt, v, tolerance, "second moment");
    }
  });
  AdamW options{.step = 0};
  float x = 0;
  EXPECT_THROW(adamw_step<float>(options, 1, &x, &x, &x, &x), Error);
}

TEST(SumOfSquares, IsTakenInDouble) {
  with_every_type([](auto type, double) {
    using T = decltype(type);
    std::mt19937 random(7);
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{16}, int64_t{33}, int64_t{100001}}) {
      Doubles x = normal(random, n);
      if (n > 0) x[0] = 1e6;  // squared, it hides the others from a float
      double want = 0;
      for (const double v : x) want += v * v;
      const std::vector<T> xt = as<T>(x);
      EXPECT_NEAR(sum_of_squares<T>(xt.data(), n), want, 1e-13 * want) << n;
    }
  });
}

}  // namespace
}  // namespace ocelli::kernels
