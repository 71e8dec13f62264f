#include "ocelli/language/decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/rope.h"

namespace ocelli::language {
namespace {

/// What every block of one forward pass shares.
struct Pass {
  const DecoderInputs& inputs;
  nn::RopeTable rope;
};

class SelfAttention final : public nn::Module {
 public:
  explicit SelfAttention(const DecoderConfig& config)
      : heads_(config.num_attention_heads), kv_heads_(config.num_key_value_heads), head_width_(config.head_dim) {
    const auto init = nn::Init::normal(config.initializer_range);
    const auto closing = nn::Init::normal(config.initializer_range / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers)));
    const bool bias = config.attention_bias;
    q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(config.hidden_size, heads_ * head_width_, bias, init));
    k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(config.hidden_size, kv_heads_ * head_width_, bias, init));
    v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(config.hidden_size, kv_heads_ * head_width_, bias, init));
    o_proj_ = register_module("o_proj", std::make_shared<nn::Linear>(heads_ * head_width_, config.hidden_size, bias, closing));
  }

  /// x: [T, D], every row. Returns the rows in `wanted` (all when undefined), whose view of the keys is `layout`.
  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t layer, const at::Tensor& wanted, const nn::AttentionLayout& layout) const {
    const auto heads = [&](const at::Tensor& rows, int64_t count) { return rows.view({rows.size(0), count, head_width_}); };
    at::Tensor key = nn::apply_rope(heads(k_proj_->forward(x), kv_heads_), pass.rope);
    at::Tensor value = heads(v_proj_->forward(x), kv_heads_);
    nn::RopeTable rope = pass.rope;
    at::Tensor asking = x;
    if (wanted.defined()) {
      asking = x.index_select(0, wanted);
      rope = {rope.cosine.index_select(0, wanted), rope.sine.index_select(0, wanted)};
    }
    const at::Tensor query = nn::apply_rope(heads(q_proj_->forward(asking), heads_), rope);
    if (nn::KvCache* cache = pass.inputs.cache) {
      for (const CacheRows& rows : pass.inputs.cache_rows) {
        cache->append(rows.sequence, layer, key.slice(0, rows.begin, rows.end), value.slice(0, rows.begin, rows.end));
      }
      key = cache->keys(layer);
      value = cache->values(layer);
    }
    const at::Tensor mixed = nn::attention(query, key, value, layout, 1.0 / std::sqrt(static_cast<double>(head_width_)));
    return o_proj_->forward(mixed.reshape({mixed.size(0), heads_ * head_width_}));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return q_proj_->cost(rows, work) + k_proj_->cost(rows, work) + v_proj_->cost(rows, work) + o_proj_->cost(rows, work) +
           nn::attention_cost(pairs, rows, heads_, head_width_, work);
  }

 private:
  int64_t heads_, kv_heads_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, o_proj_;
};

struct Embedding final : nn::Module {
  explicit Embedding(const DecoderConfig& config) {
    weight = declare("weight", {config.vocab_size, config.hidden_size}, nn::Init::normal(config.initializer_range));
  }
  at::Tensor weight;  ///< [V, D]
};

struct Holder final : nn::Module {};

}  // namespace

class Decoder::Block final : public nn::Module {
 public:
  explicit Block(const DecoderConfig& config) {
    input_layernorm_ = register_module("input_layernorm", std::make_shared<nn::RmsNorm>(config.hidden_size, config.rms_norm_eps));
    self_attn_ = register_module("self_attn", std::make_shared<SelfAttention>(config));
    post_attention_layernorm_ =
        register_module("post_attention_layernorm", std::make_shared<nn::RmsNorm>(config.hidden_size, config.rms_norm_eps));
    const auto init = nn::Init::normal(config.initializer_range);
    const auto closing = nn::Init::normal(config.initializer_range / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers)));
    mlp_ = register_module("mlp", std::make_shared<nn::GatedMlp>(config.hidden_size, config.intermediate_size, config.hidden_act,
                                                                 config.mlp_bias, init, closing));
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t layer, const at::Tensor& wanted, const nn::AttentionLayout& layout) const {
    const at::Tensor residual = wanted.defined() ? x.index_select(0, wanted) : x;
    const at::Tensor mixed = residual + self_attn_->forward(input_layernorm_->forward(x), pass, layer, wanted, layout);
    return mixed + mlp_->forward(post_attention_layernorm_->forward(mixed));
  }

  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const {
    return input_layernorm_->cost(rows, work) + self_attn_->cost(rows, pairs, work) + post_attention_layernorm_->cost(rows, work) +
           mlp_->cost(rows, work);
  }

 private:
  std::shared_ptr<nn::RmsNorm> input_layernorm_, post_attention_layernorm_;
  std::shared_ptr<SelfAttention> self_attn_;
  std::shared_ptr<nn::GatedMlp> mlp_;
};

/// `model.*` of the checkpoints.
class Decoder::Body final : public nn::Module {
 public:
  explicit Body(const DecoderConfig& config) {
    embed_tokens = register_module("embed_tokens", std::make_shared<Embedding>(config));
    auto layers = register_module("layers", std::make_shared<Holder>());
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      blocks.push_back(layers->register_module(std::to_string(i), std::make_shared<Block>(config)));
    }
    norm = register_module("norm", std::make_shared<nn::RmsNorm>(config.hidden_size, config.rms_norm_eps));
  }
  std::shared_ptr<Embedding> embed_tokens;
  std::vector<std::shared_ptr<Block>> blocks;
  std::shared_ptr<nn::RmsNorm> norm;
};

Decoder::Decoder(const DecoderConfig& config) : config_(config) {
  model_ = register_module("model", std::make_shared<Body>(config));
  if (!config.tie_word_embeddings) {
    lm_head_ = register_module("lm_head", std::make_shared<nn::Linear>(config.hidden_size, config.vocab_size, false,
                                                                       nn::Init::normal(config.initializer_range)));
  }
}

at::Tensor Decoder::embed(const at::Tensor& ids) const { return at::embedding(model_->embed_tokens->weight, ids); }

at::Tensor Decoder::forward(const DecoderInputs& inputs, nn::RunContext& context) {
  require(inputs.embeds.dim() == 2 && inputs.embeds.size(1) == config_.hidden_size && inputs.positions.numel() == inputs.embeds.size(0),
          "decoder: embeddings {} and {} positions, expected T x {} and T", c10::str(inputs.embeds.sizes()), inputs.positions.numel(),
          config_.hidden_size);
  const at::ScalarType angles = inputs.embeds.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  // The blocks of a checkpointed pass run again in the backward pass, so what they read is owned by the closures.
  const auto kept = std::make_shared<const DecoderInputs>(inputs);
  const auto pass = std::make_shared<const Pass>(Pass{*kept, nn::rope_table(inputs.positions, config_.head_dim, config_.rope_theta, angles)});
  const nn::AttentionLayout last_layout = inputs.output_rows.defined() ? inputs.layout.restricted_to(inputs.output_rows) : nn::AttentionLayout();
  at::Tensor x = inputs.embeds;
  const size_t layers = model_->blocks.size();
  for (size_t i = 0; i < layers; ++i) {
    const bool narrowed = i + 1 == layers && inputs.output_rows.defined();
    const auto& block = model_->blocks[i];
    x = nn::run_block("language_model.model.layers." + std::to_string(i),
                      [block, kept, pass, i, narrowed, last_layout](const at::Tensor& hidden) {
                        return block->forward(hidden, *pass, static_cast<int64_t>(i), narrowed ? kept->output_rows : at::Tensor(),
                                              narrowed ? last_layout : kept->layout);
                      },
                      x, context);
  }
  return model_->norm->forward(x);
}

at::Tensor Decoder::head(const at::Tensor& hidden) const {
  return lm_head_ ? lm_head_->forward(hidden) : at::linear(hidden, model_->embed_tokens->weight);
}

const at::Tensor& Decoder::head_weight() const { return lm_head_ ? lm_head_->weight() : model_->embed_tokens->weight; }

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
  Cost cost = linear_cost(work.batch * work.logit_rows, config_.hidden_size, config_.vocab_size, false, work);
  if (!lm_head_) cost.parameters = 0;  // counted with the embedding
  return cost;
}

Cost Decoder::embedding_cost(const Workload& work) const {
  Cost cost;
  cost.parameters = config_.vocab_size * config_.hidden_size;
  cost.activation_bytes = static_cast<double>(work.batch * work.text_tokens * config_.hidden_size * work.activation_bytes) * 2;
  return cost;
}

}  // namespace ocelli::language
