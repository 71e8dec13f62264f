#include "ocelli/vision/sam_tower.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/norm.h"
#include "ocelli/vision/conv.h"
#include "ocelli/vision/relative_attention.h"

namespace ocelli::vision {
namespace {

class WindowAttention final : public nn::Module {
 public:
  /// `window`: patches a side of what attends together.
  WindowAttention(const SamConfig& config, int64_t window)
      : heads_(config.num_attention_heads), head_width_(config.hidden_size / config.num_attention_heads), window_(window) {
    const int64_t width = config.hidden_size;
    qkv_ = register_module("qkv", std::make_shared<nn::Linear>(width, 3 * width, config.qkv_bias));
    proj_ = register_module("proj", std::make_shared<nn::Linear>(width, width, true, nn::Init::zeros()));
    if (config.use_rel_pos) {
      relative_rows_ = declare("rel_pos_h", {2 * window - 1, head_width_}, nn::Init::zeros());
      relative_columns_ = declare("rel_pos_w", {2 * window - 1, head_width_}, nn::Init::zeros());
    }
  }

  /// x: [windows, window, window, D]. Returns the same shape.
  at::Tensor forward(const at::Tensor& x) const {
    const int64_t windows = x.size(0), length = window_ * window_, groups = windows * heads_;
    const at::Tensor qkv = qkv_->forward(x)
                               .view({windows, length, 3, heads_, head_width_})
                               .permute({2, 0, 3, 1, 4})
                               .reshape({3, groups, length, head_width_});
    const at::Tensor query = qkv.select(0, 0), key = qkv.select(0, 1), value = qkv.select(0, 2);
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_width_));
    const at::Tensor mixed =
        relative_rows_.defined()
            ? relative_attention(query, key, value, relative_rows_, relative_columns_, {window_, window_}, scale)
            : at::scaled_dot_product_attention(query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0), {}, 0, false, scale)
                  .squeeze(0);
    return proj_->forward(mixed.view({windows, heads_, length, head_width_}).transpose(1, 2).reshape(x.sizes()));
  }

  Cost cost(int64_t windows, const Workload& work) const {
    const int64_t rows = windows * window_ * window_;
    Cost total = qkv_->cost(rows, work) + proj_->cost(rows, work) +
                 nn::attention_cost(rows * window_ * window_, rows, heads_, head_width_, work);
    if (relative_rows_.defined()) {
      total.parameters += 2 * (2 * window_ - 1) * head_width_;
      total.weight_bytes += static_cast<double>(2 * (2 * window_ - 1) * head_width_ * work.weight_bytes);
      total.flops += 4.0 * static_cast<double>(rows * heads_ * window_ * head_width_);
      total.flops += 2.0 * static_cast<double>(rows * heads_ * window_ * window_);
    }
    return total;
  }

 private:
  int64_t heads_, head_width_, window_;
  std::shared_ptr<nn::Linear> qkv_, proj_;
  at::Tensor relative_rows_, relative_columns_;  ///< [2 window - 1, E]
};

}  // namespace

class SamTower::PatchEmbed final : public nn::Module {
 public:
  explicit PatchEmbed(const SamConfig& config) {
    const ConvConfig patches{.in = 3, .out = config.hidden_size, .kernel = config.patch_size, .stride = config.patch_size};
    projection = register_module("projection", std::make_shared<Conv>(patches));
  }
  std::shared_ptr<Conv> projection;
};

/// x + attention(norm(x)), then x + mlp(norm(x)), over maps [N, rows, columns, D]. The closing projections start at zero.
class SamTower::Block final : public nn::Module {
 public:
  Block(const SamConfig& config, bool global)
      : side_(config.image_size / config.patch_size), window_(global ? side_ : config.window_size) {
    layer_norm1_ = register_module("layer_norm1", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
    attn_ = register_module("attn", std::make_shared<WindowAttention>(config, window_));
    layer_norm2_ = register_module("layer_norm2", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
    mlp_ = register_module("mlp",
                           std::make_shared<nn::Mlp>(config.hidden_size, config.mlp_dim, config.hidden_act, nn::Init::zeros()));
  }

  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor mixed = x + together(attn_->forward(windows(layer_norm1_->forward(x))), x.size(0));
    return mixed + mlp_->forward(layer_norm2_->forward(mixed));
  }

  Cost cost(int64_t tiles, const Workload& work) const {
    const int64_t rows = tiles * side_ * side_;
    return layer_norm1_->cost(rows, work) + attn_->cost(tiles * count() * count(), work) + layer_norm2_->cost(rows, work) +
           mlp_->cost(rows, work);
  }

 private:
  /// Windows along a side.
  int64_t count() const { return (side_ + window_ - 1) / window_; }

  /// [N, side, side, D] to [N * windows, window, window, D], zeros where the last windows reach over the edge.
  at::Tensor windows(const at::Tensor& x) const {
    const int64_t tiles = x.size(0), width = x.size(3), n = count(), pad = n * window_ - side_;
    const at::Tensor padded = pad == 0 ? x : at::constant_pad_nd(x, {0, 0, 0, pad, 0, pad});
    return padded.view({tiles, n, window_, n, window_, width})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({tiles * n * n, window_, window_, width});
  }

  at::Tensor together(const at::Tensor& x, int64_t tiles) const {
    const int64_t width = x.size(3), n = count();
    return x.view({tiles, n, n, window_, window_, width})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({tiles, n * window_, n * window_, width})
        .slice(1, 0, side_)
        .slice(2, 0, side_);
  }

  int64_t side_, window_;
  std::shared_ptr<nn::LayerNorm> layer_norm1_, layer_norm2_;
  std::shared_ptr<WindowAttention> attn_;
  std::shared_ptr<nn::Mlp> mlp_;
};

class SamTower::Neck final : public nn::Module {
 public:
  explicit Neck(const SamConfig& config) {
    const int64_t width = config.output_channels;
    const ConvConfig narrow{.in = config.hidden_size, .out = width, .bias = false};
    const ConvConfig mix{.in = width, .out = width, .kernel = 3, .padding = 1, .bias = false};
    conv1_ = register_module("conv1", std::make_shared<Conv>(narrow));
    layer_norm1_ = register_module("layer_norm1", std::make_shared<nn::LayerNorm>(width, 1e-6));
    conv2_ = register_module("conv2", std::make_shared<Conv>(mix));
    layer_norm2_ = register_module("layer_norm2", std::make_shared<nn::LayerNorm>(width, 1e-6));
  }

  /// [N, rows, columns, D] to [N, rows, columns, output_channels].
  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor narrow = layer_norm1_->forward(channels_last(conv1_->forward(channels_first(x))));
    return layer_norm2_->forward(channels_last(conv2_->forward(channels_first(narrow))));
  }

  Cost cost(int64_t tiles, image::Grid grid, const Workload& work) const {
    const int64_t rows = tiles * grid.count();
    return conv1_->cost(tiles, grid, work) + layer_norm1_->cost(rows, work) + conv2_->cost(tiles, grid, work) +
           layer_norm2_->cost(rows, work);
  }

 private:
  std::shared_ptr<Conv> conv1_, conv2_;
  std::shared_ptr<nn::LayerNorm> layer_norm1_, layer_norm2_;
};

class SamTower::Downsample final : public nn::Module {
 public:
  explicit Downsample(const SamConfig& config) : grid_(config.downsample_grid), channels_(config.output_channels) {
    int64_t in = config.output_channels;
    for (const int64_t out : config.downsample_channels) {
      const ConvConfig halve{.in = in, .out = out, .kernel = 3, .stride = 2, .padding = 1, .bias = false};
      convs_.push_back(register_module("conv" + std::to_string(convs_.size() + 1), std::make_shared<Conv>(halve)));
      in = out;
    }
  }

  /// [N, rows, columns, output_channels] to [N, grid, grid, C].
  at::Tensor forward(const at::Tensor& x) const {
    at::Tensor map = at::upsample_bilinear2d(channels_first(x), {start(), start()}, false);
    for (const auto& conv : convs_) map = conv->forward(map);
    return channels_last(map);
  }

  Cost cost(int64_t tiles, const Workload& work) const {
    Cost total;
    int64_t side = start();
    total.flops = static_cast<double>(tiles * side * side * channels_) * 8;
    total.activation_bytes = static_cast<double>(tiles * side * side * channels_ * work.activation_bytes);
    for (const auto& conv : convs_) {
      side /= 2;
      total += conv->cost(tiles, {side, side}, work);
    }
    return total;
  }

 private:
  int64_t start() const { return grid_ << convs_.size(); }
  int64_t grid_, channels_;
  std::vector<std::shared_ptr<Conv>> convs_;
};

SamTower::SamTower(const SamConfig& config) : config_(config) {
  patch_embed_ = register_module("patch_embed", std::make_shared<PatchEmbed>(config));
  if (config.use_abs_pos) pos_embed_ = declare("pos_embed", {1, side(), side(), config.hidden_size}, nn::Init::normal(0.02));
  auto layers = register_module("layers", std::make_shared<nn::Holder>());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.push_back(layers->register_module(std::to_string(i), std::make_shared<Block>(config, config.is_global(i))));
  }
  neck_ = register_module("neck", std::make_shared<Neck>(config));
  if (config.global_neck) {
    neck_hd_ = register_module("neck_hd", std::make_shared<Neck>(config));
    alpha_ = declare("alpha", {1}, nn::Init::zeros());
  }
  if (!config.downsample_channels.empty()) downsample_ = register_module("downsample", std::make_shared<Downsample>(config));
}

image::Grid SamTower::grid(int64_t height, int64_t width) const {
  require(height == config_.image_size && width == config_.image_size, "SAM tower: a tile of {} x {} pixels, expected {} x {}",
          width, height, config_.image_size, config_.image_size);
  if (downsample_) return {config_.downsample_grid, config_.downsample_grid};
  return {side(), side()};
}

nn::VisualFeatures SamTower::forward(const at::Tensor& pixels, nn::RunContext& context) {
  require(pixels.dim() == 4 && pixels.size(1) == 3, "SAM tower: pixels of shape {}, expected N x 3 x {} x {}",
          c10::str(pixels.sizes()), config_.image_size, config_.image_size);
  const image::Grid out = grid(pixels.size(2), pixels.size(3));
  at::Tensor x = channels_last(patch_embed_->projection->forward(pixels)).contiguous();
  if (pos_embed_.defined()) x = x + pos_embed_;
  if (context.observe) context.observe("sam_tower.embeddings", x);
  at::Tensor first_global;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    x = nn::run_block(
        "sam_tower.layers." + std::to_string(i), [block](const at::Tensor& hidden) { return block->forward(hidden); }, x, context,
        !context.gradient_checkpointing || nn::trains(*block));
    if (config_.global_neck && static_cast<int64_t>(i) == config_.first_global_block()) first_global = x;
  }
  const auto closed = [&](const std::shared_ptr<Neck>& neck, const at::Tensor& map) {
    const at::Tensor narrow = neck->forward(map);
    return downsample_ ? downsample_->forward(narrow) : narrow;
  };
  x = closed(neck_, x);
  if (config_.global_neck) x = x + closed(neck_hd_, first_global) * alpha_;
  return {x.reshape({x.size(0), out.count(), feature_width()}), out};
}

Cost SamTower::cost(const Workload& work) const {
  Cost total;
  const int64_t tiles = static_cast<int64_t>(work.tiles.size()) * work.batch;
  for (const auto& [height, width] : work.tiles) (void)grid(height, width);
  const image::Grid map{side(), side()};
  total += patch_embed_->projection->cost(tiles, map, work);
  for (const auto& block : blocks_) total += block->cost(tiles, work);
  const Cost neck = neck_->cost(tiles, map, work);
  total += neck;
  if (downsample_) total += downsample_->cost(tiles, work);
  if (config_.global_neck) {
    total += neck;
    Cost again = downsample_ ? downsample_->cost(tiles, work) : Cost{};
    again.parameters = 1;  // alpha: the convolutions are the same
    again.weight_bytes = 0;
    total += again;
  }
  if (pos_embed_.defined()) total.parameters += map.count() * config_.hidden_size;
  return total;
}

}  // namespace ocelli::vision
