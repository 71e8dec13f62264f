#include "ocelli/vision/conv_stem.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::vision {
namespace {

/// Holds the tensors of one sub-module, so that names come out as stem.0.conv.weight, stem.0.norm.weight.
struct Holder final : nn::Module {
  using nn::Module::declare;
  using nn::Module::declare_buffer;
};

constexpr int64_t kLeastRows = 256;

/// Sums over chunks of rows, added in order of the chunks: the same bits for the same thread count.
std::pair<std::vector<double>, std::vector<double>> summed(const std::vector<double>& first, const std::vector<double>& second,
                                                           int64_t chunks, int64_t channels) {
  std::vector<double> a(static_cast<size_t>(channels)), b(static_cast<size_t>(channels));
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int64_t c = 0; c < channels; ++c) {
      a[static_cast<size_t>(c)] += first[static_cast<size_t>(chunk * channels + c)];
      b[static_cast<size_t>(c)] += second[static_cast<size_t>(chunk * channels + c)];
    }
  }
  return {std::move(a), std::move(b)};
}

/// x [N, C, H, W], channels-last. Training: normalises by the batch and updates the running statistics.
struct BatchNormRelu : torch::autograd::Function<BatchNormRelu> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_in, const at::Tensor& weight,
                            const at::Tensor& bias, at::Tensor running_mean, at::Tensor running_variance, bool training,
                            double momentum, double eps) {
    const at::Tensor x = x_in.contiguous(at::MemoryFormat::ChannelsLast);
    const int64_t channels = x.size(1), rows = x.numel() / channels;
    at::Tensor y = at::empty_like(x);
    at::Tensor mean = at::empty({channels}, x.options());
    at::Tensor inverse_deviation = at::empty({channels}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "batch_norm_relu", [&] {
      const scalar_t* input = x.const_data_ptr<scalar_t>();
      scalar_t* means = mean.data_ptr<scalar_t>();
      scalar_t* inverses = inverse_deviation.data_ptr<scalar_t>();
      scalar_t* mean_kept = running_mean.data_ptr<scalar_t>();
      scalar_t* variance_kept = running_variance.data_ptr<scalar_t>();
      if (training) {
        const int64_t threads = at::get_num_threads();
        std::vector<double> sum(static_cast<size_t>(threads * channels)), squares(static_cast<size_t>(threads * channels));
        const int64_t chunks = nn::parallel_chunks(rows, kLeastRows, [&](int64_t chunk, int64_t begin, int64_t end) {
          kernels::channel_sums<scalar_t>(input + begin * channels, end - begin, channels, sum.data() + chunk * channels,
                                          squares.data() + chunk * channels);
        });
        const auto [total, total_squares] = summed(sum, squares, chunks, channels);
        const double n = static_cast<double>(rows);
        for (int64_t c = 0; c < channels; ++c) {
          const double m = total[static_cast<size_t>(c)] / n;
          const double variance = std::max(0.0, total_squares[static_cast<size_t>(c)] / n - m * m);
          means[c] = static_cast<scalar_t>(m);
          inverses[c] = static_cast<scalar_t>(1.0 / std::sqrt(variance + eps));
          mean_kept[c] = static_cast<scalar_t>((1 - momentum) * mean_kept[c] + momentum * m);
          variance_kept[c] =
              static_cast<scalar_t>((1 - momentum) * variance_kept[c] + momentum * variance * n / std::max(1.0, n - 1));
        }
      } else {
        for (int64_t c = 0; c < channels; ++c) {
          means[c] = mean_kept[c];
          inverses[c] = static_cast<scalar_t>(1.0 / std::sqrt(static_cast<double>(variance_kept[c]) + eps));
        }
      }
      std::vector<scalar_t> scale(static_cast<size_t>(channels)), shift(static_cast<size_t>(channels));
      for (int64_t c = 0; c < channels; ++c) {
        scale[static_cast<size_t>(c)] = weight.const_data_ptr<scalar_t>()[c] * inverses[c];
        shift[static_cast<size_t>(c)] = bias.const_data_ptr<scalar_t>()[c] - means[c] * scale[static_cast<size_t>(c)];
      }
      nn::parallel_chunks(rows, kLeastRows, [&](int64_t, int64_t begin, int64_t end) {
        kernels::scale_shift_relu<scalar_t>(input + begin * channels, end - begin, channels, scale.data(), shift.data(),
                                            y.data_ptr<scalar_t>() + begin * channels);
      });
    });
    context->save_for_backward({x, y, weight, mean, inverse_deviation});
    context->saved_data["training"] = training;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &y = saved[1], &weight = saved[2], &mean = saved[3], &inverse_deviation = saved[4];
    const bool training = context->saved_data["training"].toBool();
    const at::Tensor grad_y = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const int64_t channels = x.size(1), rows = x.numel() / channels;
    at::Tensor grad_x = at::empty_like(x);
    at::Tensor grad_weight = at::empty_like(weight);
    at::Tensor grad_bias = at::empty_like(weight);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "batch_norm_relu_backward", [&] {
      const scalar_t* input = x.const_data_ptr<scalar_t>();
      const scalar_t* output = y.const_data_ptr<scalar_t>();
      const scalar_t* gradient = grad_y.const_data_ptr<scalar_t>();
      const scalar_t* means = mean.const_data_ptr<scalar_t>();
      const scalar_t* inverses = inverse_deviation.const_data_ptr<scalar_t>();
      const int64_t threads = at::get_num_threads();
      std::vector<double> sum(static_cast<size_t>(threads * channels)), product(static_cast<size_t>(threads * channels));
      const int64_t chunks = nn::parallel_chunks(rows, kLeastRows, [&](int64_t chunk, int64_t begin, int64_t end) {
        kernels::batch_norm_relu_backward_sums<scalar_t>(input + begin * channels, output + begin * channels,
                                                         gradient + begin * channels, end - begin, channels, means,
                                                         sum.data() + chunk * channels, product.data() + chunk * channels);
      });
      const auto [sum_g, sum_gx] = summed(sum, product, chunks, channels);
      // grad_x = w * inv * (g - mean(g) - (x - mean) * inv^2 * mean(g * (x - mean))); without batch statistics only the first
      // term.
      std::vector<scalar_t> a(static_cast<size_t>(channels)), b(static_cast<size_t>(channels)),
          shift(static_cast<size_t>(channels));
      const double n = static_cast<double>(rows);
      for (int64_t c = 0; c < channels; ++c) {
        const size_t i = static_cast<size_t>(c);
        const double inverse = inverses[c];
        const double scale = static_cast<double>(weight.const_data_ptr<scalar_t>()[c]) * inverse;
        const double slope = training ? -scale * inverse * inverse * sum_gx[i] / n : 0.0;
        a[i] = static_cast<scalar_t>(scale);
        b[i] = static_cast<scalar_t>(slope);
        shift[i] = static_cast<scalar_t>((training ? -scale * sum_g[i] / n : 0.0) - slope * means[c]);
        grad_weight.data_ptr<scalar_t>()[c] = static_cast<scalar_t>(sum_gx[i] * inverse);
        grad_bias.data_ptr<scalar_t>()[c] = static_cast<scalar_t>(sum_g[i]);
      }
      nn::parallel_chunks(rows, kLeastRows, [&](int64_t, int64_t begin, int64_t end) {
        kernels::batch_norm_relu_backward<scalar_t>(input + begin * channels, output + begin * channels,
                                                    gradient + begin * channels, end - begin, channels, a.data(), b.data(),
                                                    shift.data(), grad_x.data_ptr<scalar_t>() + begin * channels);
      });
    });
    return {grad_x, grad_weight, grad_bias, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

ConvStem::ConvStem(const VisionConfig& config) : config_(config) {
  int64_t in = config.num_channels;
  for (size_t i = 0; i < config.stem_channels.size(); ++i) {
    const int64_t out = config.stem_channels[i];
    auto layer = std::make_shared<Holder>(), conv = std::make_shared<Holder>(), norm = std::make_shared<Holder>();
    register_module(std::to_string(i), layer);
    layer->register_module("conv", conv);
    layer->register_module("norm", norm);
    Layer parts;
    // He et al., arXiv:1502.01852, by what leaves the layer.
    parts.conv_weight = conv->declare("weight", {out, in, 3, 3}, nn::Init::normal(std::sqrt(2.0 / static_cast<double>(out * 9))));
    parts.weight = norm->declare("weight", {out}, nn::Init::ones());
    parts.bias = norm->declare("bias", {out}, nn::Init::zeros());
    parts.running_mean = norm->declare_buffer("running_mean", {out}, nn::Init::zeros());
    parts.running_variance = norm->declare_buffer("running_var", {out}, nn::Init::ones());
    layers_.push_back(parts);
    in = out;
  }
}

at::Tensor ConvStem::forward(const at::Tensor& pixels, bool training) const {
  at::Tensor x = pixels.contiguous(at::MemoryFormat::ChannelsLast);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const int64_t stride = config_.stem_strides[i];
    x = at::conv2d(x, layer.conv_weight, {}, {stride, stride}, {1, 1});
    // Statistics are fp32 whatever the activations are.
    const at::ScalarType wide = layer.running_mean.scalar_type();
    const at::Tensor y = x.to(wide), weight = layer.weight.to(wide), bias = layer.bias.to(wide);
    const double momentum = config_.batch_norm_momentum, eps = config_.batch_norm_eps;
    x = (y.is_cpu() ? BatchNormRelu::apply(y, weight, bias, layer.running_mean, layer.running_variance, training, momentum, eps)
                    : at::relu(at::batch_norm(y, weight, bias, layer.running_mean, layer.running_variance, training, momentum,
                                              eps, false)))
            .to(x.scalar_type());
  }
  return x;
}

Cost ConvStem::cost(int64_t tiles, int64_t height, int64_t width, const Workload& work) const {
  Cost total;
  int64_t in = config_.num_channels;
  for (size_t i = 0; i < config_.stem_channels.size(); ++i) {
    const int64_t out = config_.stem_channels[i], stride = config_.stem_strides[i];
    height = (height + stride - 1) / stride;
    width = (width + stride - 1) / stride;
    total += linear_cost(tiles * height * width, in * 9, out, false, work);
    total.parameters += 2 * out;
    total.flops += static_cast<double>(tiles * height * width * out) * 3;
    total.activation_bytes += static_cast<double>(tiles * height * width * out * work.activation_bytes) * 2;
    in = out;
  }
  return total;
}

}  // namespace ocelli::vision
