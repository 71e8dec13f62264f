#include "ocelli/vision/vision_transformer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::vision {
namespace {

class SelfAttention final : public nn::Module {
 public:
  explicit SelfAttention(const VisionConfig& config)
      : heads_(config.num_attention_heads), width_(config.hidden_size), head_width_(config.hidden_size / config.num_attention_heads) {
    q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(width_, width_, true));
    k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(width_, width_, true));
    v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(width_, width_, true));
    out_proj_ = register_module("out_proj", std::make_shared<nn::Linear>(width_, width_, true, nn::Init::zeros()));
  }

  /// x: [T, D].
  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout) const {
    const auto heads = [&](const at::Tensor& rows) { return rows.view({rows.size(0), heads_, head_width_}); };
    const at::Tensor mixed = nn::attention(heads(q_proj_->forward(x)), heads(k_proj_->forward(x)), heads(v_proj_->forward(x)), layout,
                                           1.0 / std::sqrt(static_cast<double>(head_width_)));
    return out_proj_->forward(mixed.reshape({x.size(0), width_}));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return q_proj_->cost(rows, work) + k_proj_->cost(rows, work) + v_proj_->cost(rows, work) + out_proj_->cost(rows, work) +
           nn::attention_cost(pairs, rows, heads_, head_width_, work);
  }

 private:
  int64_t heads_, width_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, out_proj_;
};

/// Holds what lies between the tower and its blocks in checkpoint names: `encoder.layers.0`.
struct Holder final : nn::Module {};

}  // namespace

/// x + attention(norm(x)), then x + mlp(norm(x)). The projections that close a branch start at zero: each block starts as the identity.
class VisionTransformer::Block final : public nn::Module {
 public:
  explicit Block(const VisionConfig& config) {
    layer_norm1_ = register_module("layer_norm1", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
    self_attn_ = register_module("self_attn", std::make_shared<SelfAttention>(config));
    layer_norm2_ = register_module("layer_norm2", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
    mlp_ = register_module("mlp", std::make_shared<nn::Mlp>(config.hidden_size, config.intermediate_size, config.hidden_act,
                                                            nn::Init::zeros()));
  }

  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout) const {
    const at::Tensor mixed = x + self_attn_->forward(layer_norm1_->forward(x), layout);
    return mixed + mlp_->forward(layer_norm2_->forward(mixed));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return layer_norm1_->cost(rows, work) + self_attn_->cost(rows, pairs, work) + layer_norm2_->cost(rows, work) + mlp_->cost(rows, work);
  }

 private:
  std::shared_ptr<nn::LayerNorm> layer_norm1_, layer_norm2_;
  std::shared_ptr<SelfAttention> self_attn_;
  std::shared_ptr<nn::Mlp> mlp_;
};

/// Patches to rows, with the class token and positions.
class VisionTransformer::Embeddings final : public nn::Module {
 public:
  explicit Embeddings(const VisionConfig& config) : config_(config) {
    const double std = 0.02;
    if (config.class_embedding) class_embedding_ = declare("class_embedding", {config.hidden_size}, nn::Init::normal(std));
    if (config.stem_channels.empty()) {
      auto patch = register_module("patch_embedding", std::make_shared<Weight>());
      patch_weight_ = patch->declare("weight", {config.hidden_size, config.num_channels, config.patch_size, config.patch_size},
                                     nn::Init::normal(std));
      if (config.patch_bias) patch_bias_ = patch->declare("bias", {config.hidden_size}, nn::Init::zeros());
    }
    auto position = register_module("position_embedding", std::make_shared<Weight>());
    const int64_t side = config.image_size / config.patch_size;
    position_ = position->declare("weight", {side * side + (config.class_embedding ? 1 : 0), config.hidden_size}, nn::Init::normal(std));
  }

  /// map: [N, D, rows, columns] from a stem, or pixels. Returns [N, P', D], the class token first.
  at::Tensor forward(const at::Tensor& input, bool from_stem) const {
    const at::Tensor map = from_stem ? input
                                     : at::conv2d(input, patch_weight_, patch_bias_, {config_.patch_size, config_.patch_size});
    const int64_t tiles = map.size(0);
    at::Tensor rows = map.permute({0, 2, 3, 1}).reshape({tiles, map.size(2) * map.size(3), config_.hidden_size});
    if (config_.class_embedding) {
      rows = at::cat({class_embedding_.view({1, 1, -1}).expand({tiles, 1, config_.hidden_size}), rows}, 1);
    }
    return rows + position_;
  }

  Cost cost(int64_t patches, const Workload& work) const {
    Cost cost;
    if (config_.stem_channels.empty()) {
      cost = linear_cost(patches, config_.num_channels * config_.patch_size * config_.patch_size, config_.hidden_size, config_.patch_bias,
                         work);
    }
    const int64_t side = config_.image_size / config_.patch_size;
    cost.parameters += (side * side + (config_.class_embedding ? 1 : 0)) * config_.hidden_size;
    if (config_.class_embedding) cost.parameters += config_.hidden_size;
    cost.flops += static_cast<double>(patches * config_.hidden_size);
    return cost;
  }

 private:
  struct Weight final : nn::Module {
    using nn::Module::declare;
  };
  VisionConfig config_;
  at::Tensor class_embedding_, patch_weight_, patch_bias_, position_;
};

VisionTransformer::VisionTransformer(const VisionConfig& config) : config_(config) {
  if (!config.stem_channels.empty()) stem_ = register_module("stem", std::make_shared<ConvStem>(config));
  embeddings_ = register_module("embeddings", std::make_shared<Embeddings>(config));
  // The checkpoints' own spelling.
  if (config.pre_layernorm) {
    pre_layernorm_ = register_module("pre_layrnorm", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
  }
  auto encoder = register_module("encoder", std::make_shared<Holder>());
  auto layers = encoder->register_module("layers", std::make_shared<Holder>());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.push_back(layers->register_module(std::to_string(i), std::make_shared<Block>(config)));
  }
  if (config.post_layernorm) {
    post_layernorm_ = register_module("post_layernorm", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
  }
}

image::Grid VisionTransformer::grid(int64_t height, int64_t width) const {
  const image::Grid grid{height / config_.patch_size, width / config_.patch_size};
  require(grid.rows > 0 && grid.columns > 0, "vision tower: a tile of {} x {} pixels holds no patch of {}", width, height,
          config_.patch_size);
  return grid;
}

nn::VisualFeatures VisionTransformer::forward(const at::Tensor& pixels, nn::RunContext& context) {
  require(pixels.dim() == 4 && pixels.size(1) == config_.num_channels && pixels.size(2) == config_.image_size &&
              pixels.size(3) == config_.image_size,
          "vision tower: pixels of shape {}, expected N x {} x {} x {}", c10::str(pixels.sizes()), config_.num_channels,
          config_.image_size, config_.image_size);
  const int64_t tiles = pixels.size(0), width = config_.hidden_size;
  at::Tensor x = stem_ ? embeddings_->forward(stem_->forward(pixels, context.training), true) : embeddings_->forward(pixels, false);
  if (context.observe) context.observe("vision_tower.embeddings", x);
  if (pre_layernorm_) x = pre_layernorm_->forward(x);
  const int64_t length = x.size(1);
  x = x.reshape({tiles * length, width});

  const nn::AttentionLayout layout = nn::AttentionLayout::uniform(tiles, length, false);
  const int64_t needed = config_.layers_needed();
  std::vector<at::Tensor> states = {x};
  for (int64_t i = 0; i < needed; ++i) {
    const auto& block = blocks_[static_cast<size_t>(i)];
    x = nn::run_block("vision_tower.encoder.layers." + std::to_string(i),
                      [block, layout](const at::Tensor& hidden) { return block->forward(hidden, layout); }, x, context);
    states.push_back(x);
  }
  std::vector<at::Tensor> taken;
  for (const int64_t layer : config_.feature_layers) {
    taken.push_back(states[static_cast<size_t>(layer < 0 ? config_.num_hidden_layers + 1 + layer : layer)]);
  }
  at::Tensor features = taken.size() == 1 ? taken[0] : at::cat(taken, -1);
  if (config_.apply_post_layernorm) features = post_layernorm_->forward(features);
  features = features.view({tiles, length, features.size(-1)});
  if (config_.class_embedding && !config_.keep_class_token) features = features.slice(1, 1);
  return {features, grid(pixels.size(2), pixels.size(3))};
}

Cost VisionTransformer::cost(const Workload& work) const {
  Cost total;
  for (const auto& [height, width] : work.tiles) {
    const int64_t patches = grid(height, width).count();
    const int64_t rows = patches + (config_.class_embedding ? 1 : 0);
    Cost tile = embeddings_->cost(patches, work);
    if (stem_) tile += stem_->cost(1, height, width, work);
    if (pre_layernorm_) tile += pre_layernorm_->cost(rows, work);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const bool runs = static_cast<int64_t>(i) < config_.layers_needed();
      Cost block = blocks_[i]->cost(rows, rows * rows, work);
      if (!runs) block = block * 0;
      tile += block;
    }
    if (post_layernorm_) tile += config_.apply_post_layernorm ? post_layernorm_->cost(rows, work) : post_layernorm_->cost(rows, work) * 0;
    const int64_t parameters = tile.parameters;
    total += tile * static_cast<double>(work.batch);
    total.parameters = parameters;
  }
  if (work.tiles.empty()) total.parameters = nn::count_parameters(*this);
  return total;
}

std::shared_ptr<VisionTower> make_vision_tower(const VisionConfig& config) { return std::make_shared<VisionTransformer>(config); }

}  // namespace ocelli::vision
