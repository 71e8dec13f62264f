#include "ocelli/nn/rope.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

/// Rotates a contiguous copy of x [T, heads, E]; `inverse` turns back.
at::Tensor rotated(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  at::Tensor y = x.clone(at::MemoryFormat::Contiguous);
  const int64_t heads = y.size(1), width = y.size(2), rotary = 2 * cosine.size(1);
  AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "rope", [&] {
    parallel_chunks(y.size(0), 64, [&](int64_t, int64_t begin, int64_t end) {
      kernels::rope<scalar_t>(y.data_ptr<scalar_t>() + begin * heads * width, end - begin, heads, width, heads * width, rotary,
                              cosine.const_data_ptr<scalar_t>() + begin * rotary / 2,
                              sine.const_data_ptr<scalar_t>() + begin * rotary / 2, inverse);
    });
  });
  return y;
}

struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotated(x, cosine, sine, false);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotated(gradients[0], saved[0], saved[1], true), at::Tensor(), at::Tensor()};
  }
};

/// theta^(-2i/R) with the scaling's change, [R / 2].
at::Tensor inverse_frequencies(const RopeConfig& config, int64_t length, const at::TensorOptions& options) {
  const int64_t width = config.rotary_width;
  const double power = static_cast<double>(width) / static_cast<double>(width - 2);
  const auto at_base = [&](double theta) {
    return 1.0 / at::pow(theta, at::arange(0, width, 2, options) / static_cast<double>(width));
  };
  const double ratio =
      config.original_length > 0 ? static_cast<double>(length) / static_cast<double>(config.original_length) : 1.0;
  switch (config.scaling) {
    case RopeConfig::Scaling::kNone:
      break;
    case RopeConfig::Scaling::kLinear:
      return at_base(config.theta) / config.factor;
    case RopeConfig::Scaling::kDynamic:
      if (ratio <= 1) break;
      return at_base(config.theta * std::pow(config.factor * ratio - (config.factor - 1), power));
    case RopeConfig::Scaling::kQwen: {
      const double alpha = std::max(std::exp2(std::ceil(std::log2(ratio) + 1)) - 1, 1.0);
      return at_base(config.theta * std::pow(alpha, power));
    }
    case RopeConfig::Scaling::kLlama3: {
      const at::Tensor plain = at_base(config.theta);
      const double original = static_cast<double>(config.original_length);
      const at::Tensor wavelength = 2 * M_PI / plain;
      const at::Tensor smooth =
          (original / wavelength - config.low_frequency_factor) / (config.high_frequency_factor - config.low_frequency_factor);
      const at::Tensor blended = (1 - smooth) * plain / config.factor + smooth * plain;
      const at::Tensor low = at::where(wavelength > original / config.low_frequency_factor, plain / config.factor, plain);
      const at::Tensor between =
          (wavelength <= original / config.low_frequency_factor) & (wavelength >= original / config.high_frequency_factor);
      return at::where(between, blended, low);
    }
    case RopeConfig::Scaling::kLongRope: {
      const auto& factors = ratio > 1 ? config.long_factor : config.short_factor;
      return at_base(config.theta) / at::tensor(factors, at::kDouble).to(options.dtype());
    }
  }
  return at_base(config.theta);
}

/// Which of the three position rows each frequency follows.
at::Tensor rows_of_frequencies(const RopeConfig& config) {
  const int64_t count = config.rotary_width / 2;
  std::vector<int64_t> rows;
  if (config.mrope_interleaved) {
    rows.assign(static_cast<size_t>(count), 0);
    for (int64_t row = 1; row < 3; ++row) {
      for (int64_t i = row; i < config.mrope_section[static_cast<size_t>(row)] * 3; i += 3) rows[static_cast<size_t>(i)] = row;
    }
  } else {
    for (size_t row = 0; row < config.mrope_section.size(); ++row) {
      rows.insert(rows.end(), static_cast<size_t>(config.mrope_section[row]), static_cast<int64_t>(row));
    }
  }
  require(static_cast<int64_t>(rows.size()) == count, "rope: mrope_section covers {} frequencies of {}", rows.size(), count);
  return at::tensor(rows, at::kLong);
}

}  // namespace

RopeTable turned(const at::Tensor& angles) {
  if (!angles.is_cpu()) return {angles.cos(), angles.sin()};
  const at::Tensor from = angles.contiguous();
  RopeTable table{at::empty_like(from), at::empty_like(from)};
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "rope_table", [&] {
    const scalar_t* angle = from.const_data_ptr<scalar_t>();
    scalar_t* cosine = table.cosine.data_ptr<scalar_t>();
    scalar_t* sine = table.sine.data_ptr<scalar_t>();
    parallel_chunks(from.numel(), 4096, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        cosine[i] = static_cast<scalar_t>(std::cos(static_cast<double>(angle[i])));
        sine[i] = static_cast<scalar_t>(std::sin(static_cast<double>(angle[i])));
      }
    });
  });
  return table;
}

RopeTable rope_table(const at::Tensor& positions, const RopeConfig& config, int64_t length, at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(dtype).device(positions.device());
  const bool asks_length = config.scaling == RopeConfig::Scaling::kDynamic || config.scaling == RopeConfig::Scaling::kQwen ||
                           config.scaling == RopeConfig::Scaling::kLongRope;
  if (asks_length && length == 0 && positions.numel() > 0) length = positions.max().item<int64_t>() + 1;
  const at::Tensor frequencies = inverse_frequencies(config, length, options);
  at::Tensor angles;
  if (positions.dim() == 2) {
    const at::Tensor rows =
        config.mrope_section.empty() ? at::zeros({config.rotary_width / 2}, at::kLong) : rows_of_frequencies(config);
    // Laid out anew: the rotation reads rows, and a product keeps the layout of what is turned around.
    angles = positions.index_select(0, rows.to(positions.device())).t().contiguous().to(dtype) * frequencies.unsqueeze(0);
  } else {
    angles = positions.to(dtype).unsqueeze(1) * frequencies.unsqueeze(0);
  }
  RopeTable table = turned(angles);
  if (config.attention_factor != 1.0) {
    table.cosine = table.cosine * config.attention_factor;
    table.sine = table.sine * config.attention_factor;
  }
  return table;
}

bool same_angles(const RopeConfig& config, int64_t length, int64_t other) {
  const bool beyond = length > config.original_length, other_beyond = other > config.original_length;
  switch (config.scaling) {
    case RopeConfig::Scaling::kDynamic:
    case RopeConfig::Scaling::kQwen:
      return !beyond && !other_beyond;
    case RopeConfig::Scaling::kLongRope:
      return beyond == other_beyond;
    default:
      return true;
  }
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table) {
  if (x.is_cpu() && x.scalar_type() == table.cosine.scalar_type()) return RopeFunction::apply(x, table.cosine, table.sine);
  // As the references do under bf16: the table is cast down, the rotation runs in the activations' type.
  const at::Tensor cosine = table.cosine.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor sine = table.sine.to(x.scalar_type()).unsqueeze(1);
  const int64_t half = table.cosine.size(1);
  const at::Tensor first = x.slice(-1, 0, half), second = x.slice(-1, half, 2 * half);
  return at::cat({first * cosine - second * sine, second * cosine + first * sine, x.slice(-1, 2 * half)}, -1);
}

at::Tensor apply_rope_interleaved(const at::Tensor& x, const RopeTable& table) {
  const at::Tensor cosine = table.cosine.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor sine = table.sine.to(x.scalar_type()).unsqueeze(1);
  const at::Tensor pairs = x.unflatten(-1, {x.size(-1) / 2, 2});
  const at::Tensor first = pairs.select(-1, 0), second = pairs.select(-1, 1);
  return at::stack({first * cosine - second * sine, second * cosine + first * sine}, -1).flatten(-2);
}

}  // namespace ocelli::nn
