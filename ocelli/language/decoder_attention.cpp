#include "ocelli/language/decoder_attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::language {
namespace {

at::Tensor rows_of(const at::Tensor& x, const at::Tensor& rows) {
  return rows.defined() ? x.index_select(0, rows) : x;
}

}  // namespace

nn::Init opening(const DecoderConfig& config) {
  return nn::Init::normal(config.initializer_range);
}

nn::Init closing(const DecoderConfig& config) {
  return nn::Init::normal(config.initializer_range / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers)));
}

Kinds Kinds::of(const at::Tensor& visual_rows, int64_t rows) {
  at::Tensor is_text = at::ones({rows}, visual_rows.options().dtype(at::kBool));
  is_text.index_fill_(0, visual_rows, 0);
  return {is_text.nonzero().flatten(), visual_rows};
}

Kinds Kinds::restricted_to(const at::Tensor& rows) const {
  if (!visual.defined()) return {};
  return of(at::isin(rows, visual).nonzero().flatten(), rows.size(0));
}

Projections::Projections(const DecoderConfig& config) {
  const int64_t queries = config.num_attention_heads * config.head_dim, keys = config.num_key_value_heads * config.head_dim;
  q_proj = register_module("q_proj", std::make_shared<nn::Linear>(config.hidden_size, queries, config.qkv_bias, opening(config)));
  k_proj = register_module("k_proj", std::make_shared<nn::Linear>(config.hidden_size, keys, config.qkv_bias, opening(config)));
  v_proj = register_module("v_proj", std::make_shared<nn::Linear>(config.hidden_size, keys, config.qkv_bias, opening(config)));
  o_proj =
      register_module("o_proj", std::make_shared<nn::Linear>(queries, config.hidden_size, config.output_bias, closing(config)));
}

Cost Projections::cost(int64_t rows, const Workload& work) const {
  return q_proj->cost(rows, work) + k_proj->cost(rows, work) + v_proj->cost(rows, work) + o_proj->cost(rows, work);
}

SelfAttention::SelfAttention(const DecoderConfig& config)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      head_width_(config.head_dim),
      rotary_layers_(config.rotary_layers),
      scale_(config.query_scale != 0 ? config.query_scale : 1.0 / std::sqrt(static_cast<double>(config.head_dim))) {
  // Registered here, not under a name of their own: checkpoints say self_attn.q_proj.
  const Projections own(config);
  q_proj_ = register_module("q_proj", own.q_proj);
  k_proj_ = register_module("k_proj", own.k_proj);
  v_proj_ = register_module("v_proj", own.v_proj);
  o_proj_ = register_module("o_proj", own.o_proj);
  if (config.visual_expert) visual_ = register_module("visual_expert", std::make_shared<Projections>(config));
  if (config.query_key_norm) {
    q_norm_ = register_module("q_norm", std::make_shared<nn::RmsNorm>(head_width_, config.norm_eps));
    k_norm_ = register_module("k_norm", std::make_shared<nn::RmsNorm>(head_width_, config.norm_eps));
  }
}

at::Tensor SelfAttention::forward(const at::Tensor& x, const Pass& pass, int64_t layer, const Wanted& wanted) const {
  const auto heads = [&](const at::Tensor& rows, int64_t count) { return rows.view({rows.size(0), count, head_width_}); };
  const auto project = [&](const at::Tensor& rows, const Kinds& kinds, const std::shared_ptr<nn::Linear>& text,
                           std::shared_ptr<nn::Linear> Projections::*visual) {
    return by_kind(
        rows, kinds, [&](const at::Tensor& own) { return text->forward(own); },
        [&](const at::Tensor& own) { return (visual_.get()->*visual)->forward(own); });
  };
  at::Tensor key = heads(project(x, pass.kinds, k_proj_, &Projections::k_proj), kv_heads_);
  at::Tensor value = heads(project(x, pass.kinds, v_proj_, &Projections::v_proj), kv_heads_);
  at::Tensor query = heads(project(rows_of(x, wanted.rows), wanted.kinds, q_proj_, &Projections::q_proj), heads_);
  if (q_norm_) {
    query = q_norm_->forward(query);
    key = k_norm_->forward(key);
  }
  if (pass.rope.cosine.defined() && (rotary_layers_.empty() || rotary_layers_[static_cast<size_t>(layer)])) {
    key = nn::apply_rope(key, pass.rope);
    query = nn::apply_rope(query, {rows_of(pass.rope.cosine, wanted.rows), rows_of(pass.rope.sine, wanted.rows)});
  }
  if (pass.query_scale.defined()) query = query * rows_of(pass.query_scale, wanted.rows).to(query.scalar_type());
  if (nn::KvCache* cache = pass.inputs.cache) {
    for (const CacheRows& rows : pass.inputs.cache_rows) {
      cache->append(rows.sequence, layer, key.slice(0, rows.begin, rows.end), value.slice(0, rows.begin, rows.end));
    }
    key = cache->keys(layer);
    value = cache->values(layer);
  }
  const at::Tensor mixed = nn::attention(query, key, value, wanted.layout, scale_);
  const at::Tensor flat = mixed.reshape({mixed.size(0), heads_ * head_width_});
  return project(flat, wanted.kinds, o_proj_, &Projections::o_proj);
}

Cost SelfAttention::cost(int64_t rows, int64_t pairs, const Workload& work) const {
  Cost projections =
      q_proj_->cost(rows, work) + k_proj_->cost(rows, work) + v_proj_->cost(rows, work) + o_proj_->cost(rows, work);
  if (visual_) {  // each row goes through one of the two sets
    const Cost other = visual_->cost(0, work);
    projections.parameters += other.parameters;
    projections.weight_bytes += other.weight_bytes;
  }
  return projections + nn::attention_cost(pairs, rows, heads_, head_width_, work);
}

CrossAttention::CrossAttention(const DecoderConfig& config)
    : heads_(config.cross_attention.num_heads), head_width_(config.cross_attention.head_dim) {
  const int64_t width = heads_ * head_width_, memory = config.cross_attention.memory_width;
  q_proj_ = register_module("q_proj", std::make_shared<nn::Linear>(config.hidden_size, width, false, opening(config)));
  k_proj_ = register_module("k_proj", std::make_shared<nn::Linear>(memory, width, false, opening(config)));
  v_proj_ = register_module("v_proj", std::make_shared<nn::Linear>(memory, width, false, opening(config)));
  // Starts as nothing added, so that a decoder without the branch is a fair beginning.
  o_proj_ = register_module("o_proj", std::make_shared<nn::Linear>(width, config.hidden_size, false, nn::Init::zeros()));
}

at::Tensor CrossAttention::forward(const at::Tensor& x, const Pass& pass, int64_t layer, const Wanted& wanted) const {
  const DecoderInputs& inputs = pass.inputs;
  at::Tensor key, value;
  nn::AttentionLayout layout = wanted.memory_layout;
  if (inputs.memory.defined()) {
    const auto heads = [&](const at::Tensor& rows) { return rows.view({rows.size(0), heads_, head_width_}); };
    key = heads(k_proj_->forward(inputs.memory));
    value = heads(v_proj_->forward(inputs.memory));
    if (inputs.cache != nullptr) {
      require(inputs.cache_rows.size() == 1, "decoder: a memory is cached for one sequence at a time, {} were given",
              inputs.cache_rows.size());
      inputs.cache->set_memory(inputs.cache_rows[0].sequence, layer, key, value);
    }
  } else {
    if (inputs.cache == nullptr || inputs.cache_rows.empty()) return at::zeros_like(x);
    std::vector<at::Tensor> keys, values;
    int64_t at_key = 0;
    layout = {};
    for (const CacheRows& rows : inputs.cache_rows) {
      const auto [one_key, one_value] = inputs.cache->memory(rows.sequence, layer);
      if (!one_key.defined()) continue;
      layout.add({rows.begin, rows.end, at_key, at_key + one_key.size(0), false, 0});
      at_key += one_key.size(0);
      keys.push_back(one_key);
      values.push_back(one_value);
    }
    if (keys.empty()) return at::zeros_like(x);
    if (wanted.rows.defined()) layout = layout.restricted_to(wanted.rows);
    key = at::cat(keys);
    value = at::cat(values);
  }
  const at::Tensor query = q_proj_->forward(x).view({x.size(0), heads_, head_width_});
  const at::Tensor mixed = nn::attention(query, key, value, layout, 1.0 / std::sqrt(static_cast<double>(head_width_)));
  return o_proj_->forward(mixed.reshape({x.size(0), heads_ * head_width_}));
}

Cost CrossAttention::cost(int64_t rows, int64_t memory_rows, const Workload& work) const {
  return q_proj_->cost(rows, work) + k_proj_->cost(memory_rows, work) + v_proj_->cost(memory_rows, work) +
         o_proj_->cost(rows, work) + nn::attention_cost(rows * memory_rows, rows, heads_, head_width_, work);
}

}  // namespace ocelli::language
