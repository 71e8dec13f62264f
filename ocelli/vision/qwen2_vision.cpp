#include "ocelli/vision/qwen2_vision.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/rope.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::vision {
namespace {

constexpr double kNormEps = 1e-6, kRotaryBase = 10000.0;

/// Angles of the patches of `grid` in raster order, [P, E / 2]: the first half follows the row, the second the column.
nn::RopeTable grid_rotation(image::Grid grid, int64_t head_width, const at::TensorOptions& options) {
  const int64_t axis = head_width / 2, each = axis / 2;
  const at::Tensor frequency = 1.0 / at::pow(kRotaryBase, at::arange(0, axis, 2, options) / static_cast<double>(axis));
  const auto along = [&](int64_t count) { return at::arange(count, options).unsqueeze(1) * frequency.unsqueeze(0); };
  const at::Tensor angles = at::cat({along(grid.rows).unsqueeze(1).expand({grid.rows, grid.columns, each}),
                                     along(grid.columns).unsqueeze(0).expand({grid.rows, grid.columns, each})},
                                    -1)
                                .reshape({grid.count(), axis});
  return nn::turned(angles);
}

class SelfAttention final : public nn::Module {
 public:
  explicit SelfAttention(const Qwen2VisionConfig& config)
      : heads_(config.num_attention_heads), head_width_(config.hidden_size / config.num_attention_heads) {
    const int64_t width = config.hidden_size;
    q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(width, width, true));
    k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(width, width, true));
    v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(width, width, true));
    proj_ = register_module("proj", std::make_shared<nn::Linear>(width, width, true, nn::Init::zeros()));
  }

  /// x: [T, D]; `rotation` of T rows.
  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout, const nn::RopeTable& rotation) const {
    const auto heads = [&](const std::shared_ptr<nn::Linear>& projection) {
      return projection->forward(x).view({x.size(0), heads_, head_width_});
    };
    const at::Tensor mixed = nn::attention(nn::apply_rope(heads(q_proj_), rotation), nn::apply_rope(heads(k_proj_), rotation),
                                           heads(v_proj_), layout, 1.0 / std::sqrt(static_cast<double>(head_width_)));
    return proj_->forward(mixed.reshape({x.size(0), heads_ * head_width_}));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return q_proj_->cost(rows, work) + k_proj_->cost(rows, work) + v_proj_->cost(rows, work) + proj_->cost(rows, work) +
           nn::attention_cost(pairs, rows, heads_, head_width_, work);
  }

 private:
  int64_t heads_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, proj_;
};

}  // namespace

/// x + attn(norm1(x)), then x + mlp(norm2(x)).
class Qwen2Vision::Block final : public nn::Module {
 public:
  explicit Block(const Qwen2VisionConfig& config) {
    const nn::NormKind kind = config.windowed ? nn::NormKind::kRms : nn::NormKind::kLayer;
    norm1_ = register_module("norm1", nn::make_norm(kind, config.hidden_size, kNormEps));
    attn_ = register_module("attn", std::make_shared<SelfAttention>(config));
    norm2_ = register_module("norm2", nn::make_norm(kind, config.hidden_size, kNormEps));
    if (config.windowed) {
      const double bound = 1.0 / std::sqrt(static_cast<double>(config.hidden_size));
      gated_ =
          register_module("mlp", std::make_shared<nn::GatedMlp>(config.hidden_size, config.intermediate_size, config.hidden_act,
                                                                true, nn::Init::uniform(bound), nn::Init::zeros()));
    } else {
      mlp_ = register_module(
          "mlp", std::make_shared<nn::Mlp>(config.hidden_size, config.intermediate_size, config.hidden_act, nn::Init::zeros()));
    }
  }

  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout, const nn::RopeTable& rotation) const {
    const at::Tensor mixed = x + attn_->forward(norm1_->forward(x), layout, rotation);
    const at::Tensor rows = norm2_->forward(mixed);
    return mixed + (gated_ ? gated_->forward(rows) : mlp_->forward(rows));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return norm1_->cost(rows, work) + attn_->cost(rows, pairs, work) + norm2_->cost(rows, work) +
           (gated_ ? gated_->cost(rows, work) : mlp_->cost(rows, work));
  }

 private:
  std::shared_ptr<nn::Norm> norm1_, norm2_;
  std::shared_ptr<SelfAttention> attn_;
  std::shared_ptr<nn::Mlp> mlp_;         ///< null in a windowed tower
  std::shared_ptr<nn::GatedMlp> gated_;  ///< null in the other
};

/// The convolution over frames, rows and columns. A picture's frames are equal, so its kernel is summed over them first.
struct Qwen2Vision::Patches final : nn::Module {
  explicit Patches(const Qwen2VisionConfig& config) {
    auto proj = register_module("proj", std::make_shared<Weight>());
    weight = proj->declare("weight", {config.hidden_size, 3, config.temporal_patch_size, config.patch_size, config.patch_size},
                           nn::Init::normal(0.02));
  }
  struct Weight final : nn::Module {
    using nn::Module::declare;
  };
  at::Tensor weight;  ///< [D, 3, frames, patch, patch]
};

Qwen2Vision::Qwen2Vision(const Qwen2VisionConfig& config) : config_(config) {
  patches_ = register_module("patch_embed", std::make_shared<Patches>(config));
  auto blocks = register_module("blocks", std::make_shared<nn::Holder>());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.push_back(blocks->register_module(std::to_string(i), std::make_shared<Block>(config)));
  }
}

image::Grid Qwen2Vision::grid(int64_t height, int64_t width) const {
  const int64_t unit = config_.patch_size * config_.spatial_merge_size;
  require(height >= unit && width >= unit && height % unit == 0 && width % unit == 0,
          "Qwen2-VL tower: a picture of {} x {} pixels, expected multiples of {}", width, height, unit);
  return {height / config_.patch_size, width / config_.patch_size};
}

Qwen2Vision::Windows Qwen2Vision::windows(image::Grid grid, int64_t window) {
  Windows out;
  out.order.reserve(static_cast<size_t>(grid.count()));
  for (int64_t top = 0; top < grid.rows; top += window) {
    for (int64_t left = 0; left < grid.columns; left += window) {
      const int64_t bottom = std::min(top + window, grid.rows), right = std::min(left + window, grid.columns);
      for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < right; ++column) out.order.push_back(row * grid.columns + column);
      }
      out.sizes.push_back((bottom - top) * (right - left));
    }
  }
  return out;
}

nn::VisualFeatures Qwen2Vision::forward(const at::Tensor& pixels, nn::RunContext& context) {
  require(pixels.dim() == 4 && pixels.size(1) == 3, "Qwen2-VL tower: pixels of shape {}, expected N x 3 x height x width",
          c10::str(pixels.sizes()));
  const image::Grid patches = grid(pixels.size(2), pixels.size(3));
  const int64_t pictures = pixels.size(0), width = config_.hidden_size, count = patches.count();
  at::Tensor x = at::conv2d(pixels, patches_->weight.sum(2), {}, {config_.patch_size, config_.patch_size})
                     .permute({0, 2, 3, 1})
                     .reshape({pictures, count, width});
  nn::RopeTable rotation =
      grid_rotation(patches, width / config_.num_attention_heads,
                    at::TensorOptions().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).device(x.device()));
  const nn::AttentionLayout whole = nn::AttentionLayout::uniform(pictures, count, false);
  nn::AttentionLayout within;
  at::Tensor back;
  if (config_.windowed) {
    const Windows split = windows(patches, config_.window());
    const at::Tensor order = nn::index_tensor(split.order).to(x.device());
    back = at::argsort(order);
    x = x.index_select(1, order);
    rotation = {rotation.cosine.index_select(0, order), rotation.sine.index_select(0, order)};
    for (int64_t picture = 0; picture < pictures; ++picture) {
      int64_t begin = picture * count;
      for (const int64_t size : split.sizes) {
        within.add({begin, begin + size, begin, begin + size, false, 0});
        begin += size;
      }
    }
  }
  rotation = {rotation.cosine.repeat({pictures, 1}), rotation.sine.repeat({pictures, 1})};
  x = x.reshape({pictures * count, width});
  if (context.observe) context.observe("vision_tower.patch_embed", x);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    const nn::AttentionLayout layout = config_.attends_everywhere(static_cast<int64_t>(i)) ? whole : within;
    x = nn::run_block(
        "vision_tower.blocks." + std::to_string(i),
        [block, layout, rotation](const at::Tensor& hidden) { return block->forward(hidden, layout, rotation); }, x, context,
        !context.gradient_checkpointing || nn::trains(*block));
  }
  x = x.view({pictures, count, width});
  if (back.defined()) x = x.index_select(1, back);
  return {x, patches};
}

Cost Qwen2Vision::cost(const Workload& work) const {
  return cost_of_tiles(*this, work, [&](int64_t height, int64_t width) {
    const image::Grid patches = grid(height, width);
    const int64_t rows = patches.count();
    int64_t window_pairs = 0;
    if (config_.windowed) {
      for (const int64_t size : windows(patches, config_.window()).sizes) window_pairs += size * size;
    }
    Cost tile = linear_cost(rows, 3 * config_.patch_size * config_.patch_size, config_.hidden_size, false, work);
    // Every frame's kernel is stored.
    tile.parameters *= config_.temporal_patch_size;
    tile.weight_bytes *= static_cast<double>(config_.temporal_patch_size);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      tile += blocks_[i]->cost(rows, config_.attends_everywhere(static_cast<int64_t>(i)) ? rows * rows : window_pairs, work);
    }
    return tile;
  });
}

}  // namespace ocelli::vision
