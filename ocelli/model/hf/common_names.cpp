#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {

namespace {

/// Rows of one decoder block, `layers.*.` in front of both names.
void add_block_row(NameMap& names, const std::string& published, std::vector<std::string> ours,
                   Transform transform = Transform::kSame, int64_t argument = 0) {
  for (std::string& name : ours) name = "layers.*." + name;
  names.add({"layers.*." + published, std::move(ours), transform, argument});
}

/// One LayerNorm a block, and the closing projection has a name of its own.
void add_phi(NameMap& names) {
  add_block_row(names, "self_attn.dense.**", {"self_attn.o_proj.**"});
  names.add({"final_layernorm.**", {"norm.**"}});
}

/// Queries, keys and values lie in one matrix, gate and up projection in another.
void add_phi3(NameMap& names, const language::DecoderConfig& config) {
  add_block_row(names, "self_attn.qkv_proj.weight",
                {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}, Transform::kSplitQkv,
                config.num_key_value_heads * config.head_dim);
  add_block_row(names, "mlp.gate_up_proj.weight", {"mlp.gate_proj.weight", "mlp.up_proj.weight"}, Transform::kSplit);
}

void add_internlm2(NameMap& names, const language::DecoderConfig& config) {
  const int64_t groups = group_argument(config.num_attention_heads / config.num_key_value_heads, config.head_dim);
  for (const std::string part : {"weight", "bias"}) {
    add_block_row(names, "attention.wqkv." + part,
                  {"self_attn.q_proj." + part, "self_attn.k_proj." + part, "self_attn.v_proj." + part}, Transform::kSplitGroups,
                  groups);
  }
  names.add({"layers.*.attention.rotary_emb.inv_freq", {}, Transform::kIgnore});
  add_block_row(names, "attention.wo.**", {"self_attn.o_proj.**"});
  add_block_row(names, "feed_forward.w1.**", {"mlp.gate_proj.**"});
  add_block_row(names, "feed_forward.w3.**", {"mlp.up_proj.**"});
  add_block_row(names, "feed_forward.w2.**", {"mlp.down_proj.**"});
  add_block_row(names, "attention_norm.**", {"input_layernorm.**"});
  add_block_row(names, "ffn_norm.**", {"post_attention_layernorm.**"});
  names.add({"tok_embeddings.**", {"embed_tokens.**"}});
}

/// OPT calls the norms by what they stand before, and its MLP has no name of its own.
NameMap opt_names() {
  NameMap names;
  names.add({"version", {}, Transform::kIgnore});
  add_block_row(names, "self_attn.out_proj.**", {"self_attn.o_proj.**"});
  add_block_row(names, "self_attn_layer_norm.**", {"input_layernorm.**"});
  add_block_row(names, "final_layer_norm.**", {"post_attention_layernorm.**"});
  for (const std::string part : {"fc1.**", "fc2.**"}) add_block_row(names, part, {"mlp." + part});
  names.add({"final_layer_norm.**", {"norm.**"}});
  names.add({"**", {"**"}});
  return names;
}

}  // namespace

NameMap decoder_body_names(const language::DecoderConfig& config) {
  NameMap names;
  if (config.model_type == "opt") {
    names.add(opt_names(), "decoder.", "model.");
    return names;
  }
  NameMap own;
  own.add({"layers.*.self_attn.rotary_emb.inv_freq", {}, Transform::kIgnore});
  own.add({"rotary_emb.inv_freq", {}, Transform::kIgnore});
  if (config.model_type == "phi") add_phi(own);
  if (config.model_type == "phi3") add_phi3(own, config);
  if (config.model_type == "internlm2") add_internlm2(own, config);
  own.add({"**", {"**"}});
  names.add(own, "", "model.");
  return names;
}

NameMap decoder_names(const language::DecoderConfig& config) {
  NameMap names;
  names.add(decoder_body_names(config), "model.", "");
  if (config.model_type == "internlm2") names.add({"output.**", {"lm_head.**"}});
  names.add({"lm_head.**", {"lm_head.**"}});
  // OPT's first checkpoints leave `model.` out.
  if (config.model_type == "opt") names.add(decoder_body_names(config), "", "");
  return names;
}

NameMap transformer_tower_names() {
  NameMap names;
  names.add({"embeddings.position_ids", {}, Transform::kIgnore});
  names.add({"head.**", {}, Transform::kIgnore});
  names.add({"**", {"**"}});
  return names;
}

}  // namespace ocelli::model::hf
