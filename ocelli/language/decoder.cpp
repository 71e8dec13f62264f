#include "ocelli/language/decoder.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/language/decoder_attention.h"
#include "ocelli/nn/mlp.h"

namespace ocelli::language {
namespace {

/// Either form of MLP, of one kind of row.
class FeedForward final : public nn::Module {
 public:
  explicit FeedForward(const DecoderConfig& config) {
    if (config.gated_mlp) {
      gated_ = std::make_shared<nn::GatedMlp>(config.hidden_size, config.intermediate_size, config.hidden_act, config.mlp_bias,
                                              opening(config), closing(config));
    } else {
      dense_ = std::make_shared<nn::Mlp>(config.hidden_size, config.intermediate_size, config.hidden_act, closing(config),
                                         config.mlp_bias);
    }
  }
  /// Registers the MLP itself under `name` of the block.
  template <typename Owner>
  void register_with(Owner& owner, const std::string& name) const {
    if (gated_) {
      owner.register_module(name, gated_);
    } else {
      owner.register_module(name, dense_);
    }
  }
  at::Tensor forward(const at::Tensor& x) const { return gated_ ? gated_->forward(x) : dense_->forward(x); }
  Cost cost(int64_t rows, const Workload& work) const { return gated_ ? gated_->cost(rows, work) : dense_->cost(rows, work); }

 private:
  std::shared_ptr<nn::GatedMlp> gated_;
  std::shared_ptr<nn::Mlp> dense_;
};

struct Embedding final : nn::Module {
  explicit Embedding(const DecoderConfig& config) {
    weight = declare("weight", {config.vocab_size, config.hidden_size}, nn::Init::normal(config.initializer_range));
  }
  at::Tensor weight;  ///< [V, D]
};

/// Learned positions.
struct PositionTable final : nn::Module {
  explicit PositionTable(const DecoderConfig& config) : offset(config.position_offset) {
    weight = declare("weight", {config.max_position_embeddings + offset, config.hidden_size},
                     nn::Init::normal(config.initializer_range));
  }
  int64_t offset;
  at::Tensor weight;  ///< [rows, D]
};

}  // namespace

class Decoder::Block final : public nn::Module {
 public:
  explicit Block(const DecoderConfig& config)
      : parallel_(config.parallel_residual), residual_scale_(config.residual_scale), mlp_(config) {
    input_layernorm_ = register_module("input_layernorm", nn::make_norm(config.norm, config.hidden_size, config.norm_eps));
    self_attn_ = register_module("self_attn", std::make_shared<SelfAttention>(config));
    if (config.cross_attention.num_heads > 0) {
      post_cross_attention_layernorm_ =
          register_module("post_cross_attention_layernorm", nn::make_norm(config.norm, config.hidden_size, config.norm_eps));
      cross_attn_ = register_module("cross_attn", std::make_shared<CrossAttention>(config));
    }
    if (!parallel_) {
      post_attention_layernorm_ =
          register_module("post_attention_layernorm", nn::make_norm(config.norm, config.hidden_size, config.norm_eps));
    }
    mlp_.register_with(*this, "mlp");
    if (config.visual_expert) {
      visual_mlp_ = std::make_shared<FeedForward>(config);
      visual_mlp_->register_with(*this, "visual_mlp");
    }
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t layer, const Wanted& wanted) const {
    const at::Tensor residual = wanted.rows.defined() ? x.index_select(0, wanted.rows) : x;
    const at::Tensor normed = input_layernorm_->forward(x);
    const at::Tensor attended = self_attn_->forward(normed, pass, layer, wanted);
    if (parallel_) {
      return residual + attended + mlp_.forward(wanted.rows.defined() ? normed.index_select(0, wanted.rows) : normed);
    }
    at::Tensor mixed = added(residual, attended);
    if (cross_attn_) mixed = mixed + cross_attn_->forward(post_cross_attention_layernorm_->forward(mixed), pass, layer, wanted);
    return added(mixed, feed_forward(post_attention_layernorm_->forward(mixed), wanted));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    Cost total = input_layernorm_->cost(rows, work) + self_attn_->cost(rows, pairs, work) + mlp_.cost(rows, work);
    if (post_attention_layernorm_) total += post_attention_layernorm_->cost(rows, work);
    if (cross_attn_) total += post_cross_attention_layernorm_->cost(rows, work) + cross_attn_->cost(rows, work.memory_rows, work);
    if (visual_mlp_) {  // each row goes through one of the two
      const Cost other = visual_mlp_->cost(0, work);
      total.parameters += other.parameters;
      total.weight_bytes += other.weight_bytes;
    }
    return total;
  }

 private:
  at::Tensor added(const at::Tensor& x, const at::Tensor& branch) const {
    return residual_scale_ == 1 ? x + branch : x + branch * residual_scale_;
  }
  at::Tensor feed_forward(const at::Tensor& x, const Wanted& wanted) const {
    return by_kind(
        x, wanted.kinds, [&](const at::Tensor& rows) { return mlp_.forward(rows); },
        [&](const at::Tensor& rows) { return visual_mlp_->forward(rows); });
  }

  bool parallel_;
  double residual_scale_;
  std::shared_ptr<nn::Norm> input_layernorm_, post_cross_attention_layernorm_, post_attention_layernorm_;
  std::shared_ptr<SelfAttention> self_attn_;
  std::shared_ptr<CrossAttention> cross_attn_;  ///< null without
  FeedForward mlp_;
  std::shared_ptr<FeedForward> visual_mlp_;  ///< null without a visual expert
};

/// `model.*` of the checkpoints.
class Decoder::Body final : public nn::Module {
 public:
  explicit Body(const DecoderConfig& config) {
    embed_tokens = register_module("embed_tokens", std::make_shared<Embedding>(config));
    if (config.learned_positions) embed_positions = register_module("embed_positions", std::make_shared<PositionTable>(config));
    auto layers = register_module("layers", std::make_shared<nn::Holder>());
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      blocks.push_back(layers->register_module(std::to_string(i), std::make_shared<Block>(config)));
    }
    norm = register_module("norm", nn::make_norm(config.norm, config.hidden_size, config.norm_eps));
  }
  std::shared_ptr<Embedding> embed_tokens;
  std::shared_ptr<PositionTable> embed_positions;  ///< null without
  std::vector<std::shared_ptr<Block>> blocks;
  std::shared_ptr<nn::Norm> norm;
};

Decoder::Decoder(const DecoderConfig& config) : config_(config) {
  model_ = register_module("model", std::make_shared<Body>(config));
  if (!config.tie_word_embeddings) {
    lm_head_ = register_module(
        "lm_head", std::make_shared<nn::Linear>(config.hidden_size, config.vocab_size, config.head_bias, opening(config)));
  }
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
  const at::Tensor rows = at::embedding(model_->embed_tokens->weight, ids);
  // The factor is rounded to the activations' type first, as Gemma's reference does.
  return config_.embedding_scale == 1 ? rows : rows * at::scalar_tensor(config_.embedding_scale, rows.options());
}

at::Tensor Decoder::forward(const DecoderInputs& inputs, nn::RunContext& context) {
  const int64_t length = inputs.embeds.size(0);
  require(inputs.embeds.dim() == 2 && inputs.embeds.size(1) == config_.hidden_size && inputs.positions.size(-1) == length,
          "decoder: embeddings {} and positions {}, expected T x {} and T", c10::str(inputs.embeds.sizes()),
          c10::str(inputs.positions.sizes()), config_.hidden_size);
  const at::ScalarType angles = inputs.embeds.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  // The blocks of a checkpointed pass run again in the backward pass, so what they read is owned by the closures.
  const auto kept = std::make_shared<DecoderInputs>(inputs);
  Pass shared{*kept, {}, {}, {}};
  if (config_.rope.rotary_width > 0) shared.rope = nn::rope_table(inputs.positions, config_.rope, inputs.rope_length, angles);
  if (config_.log_n_length > 0) {
    // In fp64 as the reference: scores are large where this rule is at work.
    const double limit = static_cast<double>(config_.log_n_length);
    const at::Tensor places = inputs.positions.to(at::kCPU).contiguous();
    at::Tensor scale = at::empty({length, 1, 1}, at::kDouble);
    for (int64_t i = 0; i < length; ++i) {
      const double place = static_cast<double>(places.const_data_ptr<int64_t>()[i] + 1);
      scale.data_ptr<double>()[i] = std::log(std::max(place, limit)) / std::log(limit);
    }
    shared.query_scale = scale.to(inputs.embeds.device(), angles);
  }
  if (config_.visual_expert && inputs.visual_rows.defined() && inputs.visual_rows.numel() > 0) {
    shared.kinds = Kinds::of(inputs.visual_rows, length);
  }
  const auto pass = std::make_shared<const Pass>(std::move(shared));
  const auto layout_in = [&](int64_t layer) {
    return config_.slides(layer) ? kept->layout.windowed(config_.sliding_window) : kept->layout;
  };
  const auto layers = static_cast<int64_t>(model_->blocks.size());
  std::array<std::shared_ptr<const Wanted>, 2> every;  // by whether the layer has a window
  const auto wanted_in = [&](int64_t layer) {
    if (layer + 1 == layers && inputs.output_rows.defined()) {
      return std::make_shared<const Wanted>(Wanted{inputs.output_rows, layout_in(layer).restricted_to(inputs.output_rows),
                                                   kept->memory_layout.restricted_to(inputs.output_rows),
                                                   pass->kinds.restricted_to(inputs.output_rows)});
    }
    auto& known = every[config_.slides(layer) ? 1 : 0];
    if (!known) known = std::make_shared<const Wanted>(Wanted{{}, layout_in(layer), kept->memory_layout, pass->kinds});
    return known;
  };
  at::Tensor x = inputs.embeds;
  if (model_->embed_positions) x = x + at::embedding(model_->embed_positions->weight, learned_places(inputs.positions));
  for (int64_t i = 0; i < layers; ++i) {
    const auto& block = model_->blocks[static_cast<size_t>(i)];
    const auto wanted = wanted_in(i);
    x = nn::run_block(
        "language_model.model.layers." + std::to_string(i),
        [block, kept, pass, i, wanted](const at::Tensor& hidden) { return block->forward(hidden, *pass, i, *wanted); }, x,
        context, !context.gradient_checkpointing || nn::trains(*block));
  }
  x = model_->norm->forward(x);
  return config_.logits_divisor == 1 ? x : x / config_.logits_divisor;
}

at::Tensor Decoder::learned_places(const at::Tensor& positions) const {
  if (positions.numel() > 0) {
    for (const int64_t place : {positions.min().item<int64_t>(), positions.max().item<int64_t>()}) {
      require(place >= 0 && place < config_.max_position_embeddings,
              "decoder: position {} is outside the table of {} learned positions", place, config_.max_position_embeddings);
    }
  }
  return positions + config_.position_offset;
}

at::Tensor Decoder::head(const at::Tensor& hidden) const {
  return lm_head_ ? lm_head_->forward(hidden) : at::linear(hidden, model_->embed_tokens->weight);
}

const at::Tensor& Decoder::head_weight() const {
  return lm_head_ ? lm_head_->weight() : model_->embed_tokens->weight;
}

at::Tensor Decoder::head_bias() const {
  return lm_head_ ? lm_head_->bias() : at::Tensor();
}

Cost Decoder::cost(const Workload& work) const {
  const int64_t rows = work.visual_tokens + work.text_tokens;
  const int64_t pairs = rows * work.cached_tokens + rows * (rows + 1) / 2;
  Cost total;
  for (const auto& block : model_->blocks) total += block->cost(work.batch * rows, work.batch * pairs, work);
  total += model_->norm->cost(work.batch * rows, work);
  total.cache_bytes = static_cast<double>(work.batch * (work.cached_tokens + rows) * 2 * config_.num_hidden_layers *
                                          config_.num_key_value_heads * config_.head_dim * work.activation_bytes);
  return total;
}

Cost Decoder::head_cost(const Workload& work) const {
  Cost cost = linear_cost(work.batch * work.logit_rows, config_.hidden_size, config_.vocab_size, config_.head_bias, work);
  if (!lm_head_) cost.parameters = 0;  // counted with the embedding
  return cost;
}

Cost Decoder::embedding_cost(const Workload& work) const {
  Cost cost;
  cost.parameters = config_.vocab_size * config_.hidden_size;
  if (config_.learned_positions)
    cost.parameters += (config_.max_position_embeddings + config_.position_offset) * config_.hidden_size;
  cost.activation_bytes = static_cast<double>(work.batch * work.text_tokens * config_.hidden_size * work.activation_bytes) * 2;
  return cost;
}

}  // namespace ocelli::language
