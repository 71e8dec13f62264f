#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {

/// OPT calls the norms by what they stand before, and its MLP has no name of its own.
NameMap opt_names() {
  NameMap names;
  const std::string from = "model.decoder.layers.*.", to = "model.layers.*.";
  names.add({from + "self_attn.out_proj.**", {to + "self_attn.o_proj.**"}});
  names.add({from + "self_attn_layer_norm.**", {to + "input_layernorm.**"}});
  names.add({from + "final_layer_norm.**", {to + "post_attention_layernorm.**"}});
  for (const char* part : {"fc1.**", "fc2.**"}) names.add({from + part, {to + "mlp." + part}});
  names.add({from + "self_attn.**", {to + "self_attn.**"}});
  names.add({"model.decoder.final_layer_norm.**", {"model.norm.**"}});
  names.add({"model.decoder.**", {"model.**"}});
  names.add({"lm_head.**", {"lm_head.**"}});
  return names;
}

NameMap decoder_names(const language::DecoderConfig& config) {
  if (config.model_type == "opt") return opt_names();
  NameMap names;
  names.add({"model.layers.*.self_attn.rotary_emb.inv_freq", {}, Transform::kIgnore});
  names.add({"model.rotary_emb.inv_freq", {}, Transform::kIgnore});
  names.add({"model.**", {"model.**"}});
  names.add({"lm_head.**", {"lm_head.**"}});
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
