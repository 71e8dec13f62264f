#include "ocelli/language/encoder_decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/language/relative_attention.h"
#include "ocelli/nn/attention.h"
#include "ocelli/nn/norm.h"

namespace ocelli::language {
namespace {

std::shared_ptr<nn::Linear> linear(int64_t in, int64_t out, double variance, const EncoderDecoderConfig& config) {
  return std::make_shared<nn::Linear>(in, out, false, nn::Init::normal(config.initializer_factor / std::sqrt(variance)));
}

std::shared_ptr<nn::RmsNorm> norm_of(const EncoderDecoderConfig& config) {
  return std::make_shared<nn::RmsNorm>(config.d_model, config.layer_norm_epsilon);
}

struct Table final : nn::Module {
  Table(int64_t rows, int64_t width, double std) { weight = declare("weight", {rows, width}, nn::Init::normal(std)); }
  at::Tensor weight;  ///< [rows, width]
};

}  // namespace

/// What every block of one forward pass shares.
struct EncoderDecoder::Pass {
  DecoderInputs inputs;
  std::shared_ptr<RelativeBias> bias;
};

/// Projections of one attention, named as T5 names them.
class EncoderDecoder::Attention final : public nn::Module {
 public:
  Attention(const EncoderDecoderConfig& config, bool has_table) : heads_(config.num_heads), head_width_(config.d_kv) {
    const double width = static_cast<double>(config.d_model), inner = static_cast<double>(heads_ * head_width_);
    const int64_t all = heads_ * head_width_;
    q_ = register_module("q", linear(config.d_model, all, width * static_cast<double>(head_width_), config));
    k_ = register_module("k", linear(config.d_model, all, width, config));
    v_ = register_module("v", linear(config.d_model, all, width, config));
    o_ = register_module("o", linear(all, config.d_model, inner, config));
    if (has_table) {
      table_ = register_module("relative_attention_bias", std::make_shared<Table>(config.relative_attention_num_buckets, heads_,
                                                                                  config.initializer_factor / std::sqrt(width)));
    }
  }

  at::Tensor query(const at::Tensor& x) const { return heads(q_->forward(x)); }
  at::Tensor key(const at::Tensor& x) const { return heads(k_->forward(x)); }
  at::Tensor value(const at::Tensor& x) const { return heads(v_->forward(x)); }
  at::Tensor closed(const at::Tensor& mixed) const { return o_->forward(mixed.reshape({mixed.size(0), heads_ * head_width_})); }
  const at::Tensor& table() const { return table_->weight; }

  Cost cost(int64_t rows, int64_t source_rows, int64_t pairs, const Workload& work) const {
    Cost total = q_->cost(rows, work) + k_->cost(source_rows, work) + v_->cost(source_rows, work) + o_->cost(rows, work) +
                 nn::attention_cost(pairs, rows, heads_, head_width_, work);
    if (table_) total.parameters += table_->declared().front().shape[0] * heads_;
    return total;
  }

 private:
  at::Tensor heads(const at::Tensor& rows) const { return rows.view({rows.size(0), heads_, head_width_}); }

  int64_t heads_, head_width_;
  std::shared_ptr<nn::Linear> q_, k_, v_, o_;
  std::shared_ptr<Table> table_;  ///< in a stack's first block alone
};

class EncoderDecoder::FeedForward final : public nn::Module {
 public:
  explicit FeedForward(const EncoderDecoderConfig& config) : activation_(config.dense_act_fn), width_(config.d_ff) {
    const double in = static_cast<double>(config.d_model);
    if (config.is_gated_act) {
      wi_ = register_module("wi_0", linear(config.d_model, width_, in, config));
      up_ = register_module("wi_1", linear(config.d_model, width_, in, config));
    } else {
      wi_ = register_module("wi", linear(config.d_model, width_, in, config));
    }
    wo_ = register_module("wo", linear(width_, config.d_model, static_cast<double>(width_), config));
  }
  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor inner = wi_->forward(x);
    if (up_ && activation_ == nn::Activation::kSilu) return wo_->forward(nn::swiglu(inner, up_->forward(x)));
    const at::Tensor active = nn::activate(activation_, inner);
    return wo_->forward(up_ ? active * up_->forward(x) : active);
  }
  Cost cost(int64_t rows, const Workload& work) const {
    Cost total = wi_->cost(rows, work) + wo_->cost(rows, work);
    if (up_) total += up_->cost(rows, work);
    total.flops += static_cast<double>(rows * width_) * (up_ ? 5 : 4);
    return total;
  }

 private:
  nn::Activation activation_;
  int64_t width_;
  std::shared_ptr<nn::Linear> wi_, up_, wo_;  ///< `up_` is null in the dense form
};

/// x + SelfAttention(norm(x)); in the decoder x + EncDecAttention(norm(x)); x + DenseReluDense(norm(x)). Each branch is a module
/// `layer.N` with its norm.
class EncoderDecoder::Block final : public nn::Module {
 public:
  Block(const EncoderDecoderConfig& config, bool first, bool decodes) {
    auto layer = register_module("layer", std::make_shared<nn::Holder>());
    int64_t count = 0;
    const auto branch = [&](const std::string& name, const auto& module, std::shared_ptr<nn::RmsNorm>& norm) {
      auto holder = layer->register_module(std::to_string(count++), std::make_shared<nn::Holder>());
      holder->register_module(name, module);
      norm = holder->register_module("layer_norm", norm_of(config));
    };
    self_ = std::make_shared<Attention>(config, first);
    branch("SelfAttention", self_, self_norm_);
    if (decodes) {
      cross_ = std::make_shared<Attention>(config, false);
      branch("EncDecAttention", cross_, cross_norm_);
    }
    mlp_ = std::make_shared<FeedForward>(config);
    branch("DenseReluDense", mlp_, mlp_norm_);
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t index) const {
    at::Tensor mixed = x + attend(self_norm_->forward(x), pass, index);
    if (cross_) mixed = mixed + look(cross_norm_->forward(mixed), pass, index);
    return mixed + mlp_->forward(mlp_norm_->forward(mixed));
  }

  const Attention& self_attention() const { return *self_; }

  Cost cost(int64_t rows, int64_t pairs, int64_t memory_rows, int64_t new_memory_rows, const Workload& work) const {
    Cost total = self_norm_->cost(rows, work) + self_->cost(rows, rows, pairs, work) + mlp_norm_->cost(rows, work) +
                 mlp_->cost(rows, work);
    if (cross_) total += cross_norm_->cost(rows, work) + cross_->cost(rows, new_memory_rows, rows * memory_rows, work);
    return total;
  }

 private:
  at::Tensor attend(const at::Tensor& x, const Pass& pass, int64_t index) const {
    at::Tensor key = self_->key(x), value = self_->value(x);
    if (nn::KvCache* cache = pass.inputs.cache) {
      for (const CacheRows& rows : pass.inputs.cache_rows) {
        cache->append(rows.sequence, index, key.slice(0, rows.begin, rows.end), value.slice(0, rows.begin, rows.end));
      }
      key = cache->keys(index);
      value = cache->values(index);
    }
    return self_->closed(biased_attention(self_->query(x), key, value, pass.inputs.layout, *pass.bias));
  }

  at::Tensor look(const at::Tensor& x, const Pass& pass, int64_t index) const {
    const DecoderInputs& inputs = pass.inputs;
    at::Tensor key, value;
    nn::AttentionLayout layout = inputs.memory_layout;
    if (inputs.memory.defined()) {
      key = cross_->key(inputs.memory);
      value = cross_->value(inputs.memory);
      if (inputs.cache != nullptr) keep(key, value, inputs, index);
    } else {
      layout = {};
      std::vector<at::Tensor> keys, values;
      int64_t at_key = 0;
      for (const CacheRows& rows : inputs.cache_rows) {
        const auto [one_key, one_value] = inputs.cache->memory(rows.sequence, index);
        require(one_key.defined(), "decoder: sequence {} has no memory to look at", rows.sequence);
        layout.add({rows.begin, rows.end, at_key, at_key + one_key.size(0), false, 0});
        at_key += one_key.size(0);
        keys.push_back(one_key);
        values.push_back(one_value);
      }
      key = keys.size() == 1 ? keys[0] : at::cat(keys);
      value = values.size() == 1 ? values[0] : at::cat(values);
    }
    return cross_->closed(nn::attention(cross_->query(x), key, value, layout, 1.0));
  }

  static void keep(const at::Tensor& key, const at::Tensor& value, const DecoderInputs& inputs, int64_t index) {
    for (const CacheRows& rows : inputs.cache_rows) {
      int64_t spans = 0;
      for (const nn::Span& span : inputs.memory_layout.spans()) {
        if (span.query_begin != rows.begin || span.query_end != rows.end) continue;
        ++spans;
        inputs.cache->set_memory(rows.sequence, index, key.slice(0, span.key_begin, span.key_end).contiguous(),
                                 value.slice(0, span.key_begin, span.key_end).contiguous());
      }
      require(spans == 1, "decoder: sequence {} has {} spans of memory, expected 1", rows.sequence, spans);
    }
  }

  std::shared_ptr<Attention> self_, cross_;  ///< the second is null in the encoder
  std::shared_ptr<FeedForward> mlp_;
  std::shared_ptr<nn::RmsNorm> self_norm_, cross_norm_, mlp_norm_;
};

/// `encoder.*` or `decoder.*` of the checkpoints.
class EncoderDecoder::Stack final : public nn::Module {
 public:
  Stack(const EncoderDecoderConfig& config, bool decodes)
      : name_(decodes ? "decoder" : "encoder"), decodes_(decodes), max_distance_(config.relative_attention_max_distance) {
    auto list = register_module("block", std::make_shared<nn::Holder>());
    const int64_t count = decodes ? config.num_decoder_layers : config.num_layers;
    for (int64_t i = 0; i < count; ++i) {
      blocks_.push_back(list->register_module(std::to_string(i), std::make_shared<Block>(config, i == 0, decodes)));
    }
    norm_ = register_module("final_layer_norm", norm_of(config));
  }

  at::Tensor forward(DecoderInputs inputs, nn::RunContext& context) const {
    // The blocks of a checkpointed pass run again in the backward pass, so what they read is owned by the closures.
    auto pass = std::make_shared<Pass>();
    pass->inputs = std::move(inputs);
    pass->bias = std::make_shared<RelativeBias>(blocks_.front()->self_attention().table(), !decodes_, max_distance_);
    auto [x, memory] = nn::share_with_blocks(pass->inputs.embeds, pass->inputs.memory, context);
    pass->inputs.memory = memory;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const auto& block = blocks_[i];
      x = nn::run_block(
          "language_model." + name_ + ".block." + std::to_string(i),
          [block, pass, i](const at::Tensor& hidden) { return block->forward(hidden, *pass, static_cast<int64_t>(i)); }, x,
          context);
    }
    if (pass->inputs.output_rows.defined()) x = x.index_select(0, pass->inputs.output_rows);
    return norm_->forward(x);
  }

  Cost cost(int64_t rows, int64_t pairs, int64_t memory_rows, int64_t new_memory_rows, const Workload& work) const {
    Cost total = norm_->cost(rows, work);
    for (const auto& block : blocks_) total += block->cost(rows, pairs, memory_rows, new_memory_rows, work);
    return total;
  }

 private:
  std::string name_;
  bool decodes_;
  int64_t max_distance_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<nn::RmsNorm> norm_;
};

EncoderDecoder::EncoderDecoder(const EncoderDecoderConfig& config) : config_(config) {
  shared_ =
      register_module("shared", std::make_shared<Table>(config.vocab_size, config.d_model, config.initializer_factor))->weight;
  encoder_ = register_module("encoder", std::make_shared<Stack>(config, false));
  decoder_ = register_module("decoder", std::make_shared<Stack>(config, true));
  if (!config.tie_word_embeddings) lm_head_ = register_module("lm_head", linear(config.d_model, config.vocab_size, 1, config));
}

at::Tensor EncoderDecoder::embed(const at::Tensor& ids) const {
  return at::embedding(shared_, ids);
}

at::Tensor EncoderDecoder::encode(const at::Tensor& embeds, const nn::AttentionLayout& layout, nn::RunContext& context) {
  require(embeds.dim() == 2 && embeds.size(1) == config_.d_model, "encoder: embeddings {}, expected T x {}",
          c10::str(embeds.sizes()), config_.d_model);
  DecoderInputs inputs;
  inputs.embeds = embeds;
  inputs.layout = layout;
  return encoder_->forward(std::move(inputs), context);
}

at::Tensor EncoderDecoder::forward(const DecoderInputs& inputs, nn::RunContext& context) {
  require(inputs.embeds.dim() == 2 && inputs.embeds.size(1) == config_.d_model, "decoder: embeddings {}, expected T x {}",
          c10::str(inputs.embeds.sizes()), config_.d_model);
  require(inputs.memory.defined() || inputs.cache != nullptr, "decoder: no memory to look at was given");
  const at::Tensor hidden = decoder_->forward(inputs, context);
  return config_.scale_decoder_outputs ? hidden / std::sqrt(static_cast<double>(config_.d_model)) : hidden;
}

at::Tensor EncoderDecoder::head(const at::Tensor& hidden) const {
  return at::linear(hidden, head_weight());
}

const at::Tensor& EncoderDecoder::head_weight() const {
  return lm_head_ ? lm_head_->weight() : shared_;
}

Cost EncoderDecoder::encoder_cost(const Workload& work) const {
  const int64_t rows = work.memory_rows;
  return encoder_->cost(work.batch * rows, work.batch * rows * rows, 0, 0, work);
}

Cost EncoderDecoder::cost(const Workload& work) const {
  const int64_t rows = work.text_tokens;
  const int64_t pairs = rows * work.cached_tokens + rows * (rows + 1) / 2;
  const int64_t new_memory = work.cached_tokens == 0 ? work.batch * work.memory_rows : 0;
  Cost total = decoder_->cost(work.batch * rows, work.batch * pairs, work.memory_rows, new_memory, work);
  total.cache_bytes = static_cast<double>(work.batch * (work.cached_tokens + rows + work.memory_rows) * 2 *
                                          config_.num_decoder_layers * config_.num_heads * config_.d_kv * work.activation_bytes);
  return total;
}

Cost EncoderDecoder::head_cost(const Workload& work) const {
  Cost cost = linear_cost(work.batch * work.logit_rows, config_.d_model, config_.vocab_size, false, work);
  if (!lm_head_) cost.parameters = 0;  // counted with the embedding
  return cost;
}

Cost EncoderDecoder::embedding_cost(const Workload& work) const {
  Cost cost;
  cost.parameters = config_.vocab_size * config_.d_model;
  cost.activation_bytes = static_cast<double>(work.batch * work.text_tokens * config_.d_model * work.activation_bytes) * 2;
  return cost;
}

}  // namespace ocelli::language
