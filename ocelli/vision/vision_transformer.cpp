#include "ocelli/vision/vision_transformer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/rope.h"

namespace ocelli::vision {
namespace {

/// Angles of EVA-02's rotation for the patches of `grid`, [P, E / 2]: the first half of the pairs follows the row, the second the
/// column.
nn::RopeTable grid_rotation(image::Grid grid, int64_t head_width, double span, bool class_token,
                            const at::TensorOptions& options) {
  const int64_t quarter = head_width / 4;
  const at::Tensor frequency = 1.0 / at::pow(10000.0, at::arange(0, 2 * quarter, 2, options) / static_cast<double>(2 * quarter));
  const auto along = [&](int64_t count) {
    return (at::arange(count, options) / static_cast<double>(count) * span).unsqueeze(1) * frequency.unsqueeze(0);
  };
  at::Tensor angles = at::cat({along(grid.rows).unsqueeze(1).expand({grid.rows, grid.columns, quarter}),
                               along(grid.columns).unsqueeze(0).expand({grid.rows, grid.columns, quarter})},
                              -1)
                          .reshape({grid.count(), 2 * quarter});
  if (class_token) angles = at::cat({at::zeros({1, 2 * quarter}, options), angles});
  return nn::turned(angles);
}

class SelfAttention final : public nn::Module {
 public:
  explicit SelfAttention(const VisionConfig& config)
      : heads_(config.num_attention_heads),
        width_(config.hidden_size),
        head_width_(config.hidden_size / config.num_attention_heads) {
    q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(width_, width_, config.query_bias));
    k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(width_, width_, config.key_bias));
    v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(width_, width_, config.value_bias));
    // Closing a branch it starts at zero, unless a norm or a vector behind it decides how the branch starts.
    const bool closes = !config.layer_scale && !config.branch_norm;
    out_proj_ = register_module("out_proj", closes ? std::make_shared<nn::Linear>(width_, width_, true, nn::Init::zeros())
                                                   : std::make_shared<nn::Linear>(width_, width_, true));
    if (config.query_key_norm) {
      q_norm_ = register_module("q_norm", std::make_shared<nn::RmsNorm>(width_, config.layer_norm_eps));
      k_norm_ = register_module("k_norm", std::make_shared<nn::RmsNorm>(width_, config.layer_norm_eps));
    }
    if (config.gated_mlp && config.gated_norms)
      sub_norm_ = register_module("sub_norm", nn::make_norm(config.norm, width_, config.layer_norm_eps));
  }

  /// x: [T, D]; `rotation` (of T rows) is empty without.
  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout, const nn::RopeTable& rotation) const {
    const auto heads = [&](const at::Tensor& rows) { return rows.view({rows.size(0), heads_, head_width_}); };
    at::Tensor query = q_proj_->forward(x), key = k_proj_->forward(x);
    if (q_norm_) {
      query = q_norm_->forward(query);
      key = k_norm_->forward(key);
    }
    query = heads(query);
    key = heads(key);
    if (rotation.cosine.defined()) {
      query = nn::apply_rope_interleaved(query, rotation);
      key = nn::apply_rope_interleaved(key, rotation);
    }
    at::Tensor mixed =
        nn::attention(query, key, heads(v_proj_->forward(x)), layout, 1.0 / std::sqrt(static_cast<double>(head_width_)))
            .reshape({x.size(0), width_});
    if (sub_norm_) mixed = sub_norm_->forward(mixed);
    return out_proj_->forward(mixed);
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    Cost total = q_proj_->cost(rows, work) + k_proj_->cost(rows, work) + v_proj_->cost(rows, work) + out_proj_->cost(rows, work) +
                 nn::attention_cost(pairs, rows, heads_, head_width_, work);
    if (q_norm_) total += q_norm_->cost(rows, work) + k_norm_->cost(rows, work);
    if (sub_norm_) total += sub_norm_->cost(rows, work);
    return total;
  }

 private:
  int64_t heads_, width_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, out_proj_;
  std::shared_ptr<nn::Norm> q_norm_, k_norm_, sub_norm_;  ///< null without
};

/// down_proj(norm(silu(gate_proj(x)) * up_proj(x))), every projection with a bias; DINOv2 has no norm there. Source: EVA-02,
/// arXiv:2303.11331, section 2.1.
class NormedGatedMlp final : public nn::Module {
 public:
  explicit NormedGatedMlp(const VisionConfig& config) : width_(config.intermediate_size) {
    gate_proj_ = register_module("gate_proj", std::make_shared<nn::Linear>(config.hidden_size, width_, true));
    up_proj_ = register_module("up_proj", std::make_shared<nn::Linear>(config.hidden_size, width_, true));
    if (config.gated_norms) norm_ = register_module("norm", nn::make_norm(config.norm, width_, config.layer_norm_eps));
    down_proj_ = register_module("down_proj", std::make_shared<nn::Linear>(width_, config.hidden_size, true, nn::Init::zeros()));
  }
  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor inner = nn::swiglu(gate_proj_->forward(x), up_proj_->forward(x));
    return down_proj_->forward(norm_ ? norm_->forward(inner) : inner);
  }
  Cost cost(int64_t rows, const Workload& work) const {
    Cost product;
    product.flops = static_cast<double>(rows * width_) * 5;
    product += gate_proj_->cost(rows, work) + up_proj_->cost(rows, work) + down_proj_->cost(rows, work);
    return norm_ ? product + norm_->cost(rows, work) : product;
  }

 private:
  int64_t width_;
  std::shared_ptr<nn::Linear> gate_proj_, up_proj_, down_proj_;
  std::shared_ptr<nn::Norm> norm_;  ///< null without
};

/// A tensor under the name of a module.
struct Weight final : nn::Module {
  using nn::Module::declare;
};

}  // namespace

/// x + attention(norm(x)), then x + mlp(norm(x)), or with the norm on the branch. The projections that close a branch start at
/// zero: each block starts as the identity.
class VisionTransformer::Block final : public nn::Module {
 public:
  explicit Block(const VisionConfig& config) : branch_norm_(config.branch_norm) {
    const int64_t width = config.hidden_size;
    layer_norm1_ = register_module("layer_norm1", nn::make_norm(config.norm, width, config.layer_norm_eps));
    self_attn_ = register_module("self_attn", std::make_shared<SelfAttention>(config));
    layer_norm2_ = register_module("layer_norm2", nn::make_norm(config.norm, width, config.layer_norm_eps));
    if (config.gated_mlp) {
      gated_ = register_module("mlp", std::make_shared<NormedGatedMlp>(config));
    } else {
      const double bound = 1.0 / std::sqrt(static_cast<double>(config.intermediate_size));
      const nn::Init closing = config.layer_scale || config.branch_norm ? nn::Init::uniform(bound) : nn::Init::zeros();
      mlp_ = register_module("mlp", std::make_shared<nn::Mlp>(width, config.intermediate_size, config.hidden_act, closing));
    }
    if (config.layer_scale) {
      lambda_1_ = declare("lambda_1", {width}, nn::Init::constant(config.layer_scale_init));
      lambda_2_ = declare("lambda_2", {width}, nn::Init::constant(config.layer_scale_init));
    }
  }

  at::Tensor forward(const at::Tensor& x, const nn::AttentionLayout& layout, const nn::RopeTable& rotation) const {
    const at::Tensor mixed =
        branch(x, layer_norm1_, lambda_1_, [&](const at::Tensor& rows) { return self_attn_->forward(rows, layout, rotation); });
    return branch(mixed, layer_norm2_, lambda_2_,
                  [&](const at::Tensor& rows) { return gated_ ? gated_->forward(rows) : mlp_->forward(rows); });
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    Cost total = layer_norm1_->cost(rows, work) + self_attn_->cost(rows, pairs, work) + layer_norm2_->cost(rows, work) +
                 (gated_ ? gated_->cost(rows, work) : mlp_->cost(rows, work));
    for (const at::Tensor* scale : {&lambda_1_, &lambda_2_}) {
      if (!scale->defined()) continue;
      total.parameters += width_of_scale();
      total.flops += static_cast<double>(rows * width_of_scale());
    }
    return total;
  }

 private:
  template <typename Function>
  at::Tensor branch(const at::Tensor& x, const std::shared_ptr<nn::Norm>& norm, const at::Tensor& scale,
                    const Function& function) const {
    at::Tensor added = branch_norm_ ? norm->forward(function(x)) : function(norm->forward(x));
    if (scale.defined()) added = added * scale;
    return x + added;
  }
  int64_t width_of_scale() const { return declared().empty() ? 0 : declared().front().shape.front(); }

  bool branch_norm_;
  std::shared_ptr<nn::Norm> layer_norm1_, layer_norm2_;
  std::shared_ptr<SelfAttention> self_attn_;
  std::shared_ptr<nn::Mlp> mlp_;
  std::shared_ptr<NormedGatedMlp> gated_;
  at::Tensor lambda_1_, lambda_2_;  ///< [D], undefined without
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
    position_ = position->declare("weight", {position_rows(), config.hidden_size}, nn::Init::normal(std));
  }

  /// map: [N, D, rows, columns] from a stem, or pixels. Returns [N, P', D], the class token first.
  at::Tensor forward(const at::Tensor& input, bool from_stem) const {
    const at::Tensor map =
        from_stem ? input : at::conv2d(input, patch_weight_, patch_bias_, {config_.patch_size, config_.patch_size});
    const int64_t tiles = map.size(0);
    at::Tensor rows = map.permute({0, 2, 3, 1}).reshape({tiles, map.size(2) * map.size(3), config_.hidden_size});
    if (config_.class_embedding) {
      rows = at::cat({class_embedding_.view({1, 1, -1}).expand({tiles, 1, config_.hidden_size}), rows}, 1);
    }
    return rows + positions({map.size(2), map.size(3)});
  }

  Cost cost(int64_t patches, const Workload& work) const {
    Cost cost;
    if (config_.stem_channels.empty()) {
      cost = linear_cost(patches, config_.num_channels * config_.patch_size * config_.patch_size, config_.hidden_size,
                         config_.patch_bias, work);
    }
    cost.parameters += position_rows() * config_.hidden_size;
    if (config_.class_embedding) cost.parameters += config_.hidden_size;
    cost.flops += static_cast<double>(patches * config_.hidden_size);
    return cost;
  }

 private:
  int64_t position_rows() const { return config_.table_grid().count() + (config_.class_embedding ? 1 : 0); }

  /// Which of the table's `stored` rows each of `count` patches of a side takes.
  static at::Tensor buckets(int64_t count, int64_t stored, const at::Device& device) {
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
    const double step = 1.0 / static_cast<double>(stored);
    const at::Tensor boundaries = at::arange(step, 1.0, step, options);
    const at::Tensor share = at::arange(count, options) * (1.0 / at::full({}, count, options));
    return at::bucketize(at::clamp_max(share, 1.0 - 1e-6), boundaries, false, true);
  }

  /// The table at another grid; the class token's row is never touched.
  at::Tensor positions(image::Grid grid) const {
    const bool own = grid == config_.table_grid() && config_.position_resize != PositionResize::kBuckets;
    if (config_.position_resize == PositionResize::kNone || own) return position_;
    const int64_t first = config_.class_embedding ? 1 : 0;
    if (config_.position_resize == PositionResize::kBuckets) {
      const image::Grid table = config_.table_grid();
      const at::Tensor rows = buckets(grid.rows, table.rows, position_.device()).unsqueeze(1) * table.columns +
                              buckets(grid.columns, table.columns, position_.device()).unsqueeze(0);
      const at::Tensor taken = position_.slice(0, first).index_select(0, rows.flatten());
      return first == 0 ? taken : at::cat({position_.slice(0, 0, 1), taken});
    }
    // Contiguous: torch 2.13's antialiased resize of a channels-last map to a single column is wrong.
    const at::Tensor map = position_.slice(0, first)
                               .view({1, config_.table_grid().rows, config_.table_grid().columns, config_.hidden_size})
                               .permute({0, 3, 1, 2})
                               .to(position_.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)
                               .contiguous();
    const std::array<int64_t, 2> size = {grid.rows, grid.columns};
    const at::Tensor resized = config_.position_resize == PositionResize::kBicubic ? at::upsample_bicubic2d(map, size, false)
                                                                                   : at::_upsample_bicubic2d_aa(map, size, false);
    const at::Tensor rows =
        resized.permute({0, 2, 3, 1}).reshape({grid.count(), config_.hidden_size}).to(position_.scalar_type());
    return first == 0 ? rows : at::cat({position_.slice(0, 0, 1), rows});
  }

  VisionConfig config_;
  at::Tensor class_embedding_, patch_weight_, patch_bias_, position_;
};

VisionTransformer::VisionTransformer(const VisionConfig& config) : config_(config) {
  if (!config.stem_channels.empty()) stem_ = register_module("stem", std::make_shared<ConvStem>(config));
  embeddings_ = register_module("embeddings", std::make_shared<Embeddings>(config));
  // The checkpoints' own spelling.
  if (config.pre_layernorm) {
    pre_layernorm_ = register_module("pre_layrnorm", nn::make_norm(config.norm, config.hidden_size, config.layer_norm_eps));
  }
  auto encoder = register_module("encoder", std::make_shared<nn::Holder>());
  auto layers = encoder->register_module("layers", std::make_shared<nn::Holder>());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.push_back(layers->register_module(std::to_string(i), std::make_shared<Block>(config)));
  }
  if (config.post_layernorm) {
    const double eps = config.post_layernorm_eps > 0 ? config.post_layernorm_eps : config.layer_norm_eps;
    post_layernorm_ = register_module("post_layernorm", nn::make_norm(config.norm, config.hidden_size, eps));
  }
  if (config.feature_positions) {
    feature_positions_ = register_module("feature_position_embedding", std::make_shared<Weight>())
                             ->declare("weight", {config.table_grid().count(), config.feature_width()}, nn::Init::zeros());
  }
}

image::Grid VisionTransformer::grid(int64_t height, int64_t width) const {
  const image::Grid grid{height / config_.patch_size, width / config_.patch_size};
  require(grid.rows > 0 && grid.columns > 0, "vision tower: a tile of {} x {} pixels holds no patch of {}", width, height,
          config_.patch_size);
  return grid;
}

at::Tensor VisionTransformer::embed(const at::Tensor& pixels, nn::RunContext& context) const {
  const at::Tensor x =
      stem_ ? embeddings_->forward(stem_->forward(pixels, context.training), true) : embeddings_->forward(pixels, false);
  if (context.observe) context.observe("vision_tower.embeddings", x);
  return pre_layernorm_ ? pre_layernorm_->forward(x) : x;
}

at::Tensor VisionTransformer::run_blocks(const at::Tensor& rows, int64_t tiles, int64_t first, int64_t last,
                                         nn::RunContext& context) const {
  const nn::AttentionLayout layout = nn::AttentionLayout::uniform(tiles, rows.size(0) / tiles, false);
  at::Tensor x = rows;
  for (int64_t i = first; i < last; ++i) {
    const auto& block = blocks_[static_cast<size_t>(i)];
    x = nn::run_block(
        "vision_tower.encoder.layers." + std::to_string(i),
        [block, layout](const at::Tensor& hidden) { return block->forward(hidden, layout, {}); }, x, context,
        !context.gradient_checkpointing || nn::trains(*block));
  }
  return x;
}

nn::VisualFeatures VisionTransformer::forward(const at::Tensor& pixels, nn::RunContext& context) {
  const bool any_size = config_.position_resize != PositionResize::kNone;
  require(pixels.dim() == 4 && pixels.size(1) == config_.num_channels &&
              (any_size || (pixels.size(2) == config_.image_size && pixels.size(3) == config_.image_size)),
          "vision tower: pixels of shape {}, expected N x {} x {} x {}", c10::str(pixels.sizes()), config_.num_channels,
          config_.image_size, config_.image_size);
  const int64_t tiles = pixels.size(0), width = config_.hidden_size;
  const image::Grid patches = grid(pixels.size(2), pixels.size(3));
  at::Tensor x = embed(pixels, context);
  const int64_t length = x.size(1);
  x = x.reshape({tiles * length, width});

  nn::RopeTable rotation;
  if (config_.rotary_span > 0) {
    rotation =
        grid_rotation(patches, width / config_.num_attention_heads, config_.rotary_span, config_.class_embedding,
                      at::TensorOptions().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).device(x.device()));
    rotation = {rotation.cosine.repeat({tiles, 1}), rotation.sine.repeat({tiles, 1})};
  }
  const nn::AttentionLayout layout = nn::AttentionLayout::uniform(tiles, length, false);
  const int64_t needed = config_.layers_needed();
  std::vector<at::Tensor> states = {x};
  for (int64_t i = 0; i < needed; ++i) {
    const auto& block = blocks_[static_cast<size_t>(i)];
    x = nn::run_block(
        "vision_tower.encoder.layers." + std::to_string(i),
        [block, layout, rotation](const at::Tensor& hidden) { return block->forward(hidden, layout, rotation); }, x, context,
        !context.gradient_checkpointing || nn::trains(*block));
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
  if (feature_positions_.defined()) {
    require(patches == config_.table_grid() && features.size(1) == patches.count(),
            "vision tower: features of {} x {} patches, expected the {} x {} it has positions for", patches.rows, patches.columns,
            config_.table_grid().rows, config_.table_grid().columns);
    features = features + feature_positions_;
  }
  return {features, patches};
}

Cost VisionTransformer::cost(const Workload& work) const {
  return cost_of_tiles(*this, work, [&](int64_t height, int64_t width) {
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
    if (post_layernorm_)
      tile += config_.apply_post_layernorm ? post_layernorm_->cost(rows, work) : post_layernorm_->cost(rows, work) * 0;
    if (feature_positions_.defined()) {
      tile.parameters += config_.table_grid().count() * config_.feature_width();
      tile.flops += static_cast<double>(patches * config_.feature_width());
    }
    return tile;
  });
}

}  // namespace ocelli::vision
