#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {

NameMap decoder_names(const language::DecoderConfig&) {
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
