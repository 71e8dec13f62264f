#include "ocelli/base/json.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

/// `attention.attention.query` and the like are transformers 4's, `attention.q_proj` version 5's inside; files have the former.
NameMap dinov2_names() {
  NameMap names;
  const std::string from = "encoder.layer.*.", to = "encoder.layers.*.";
  names.add({"embeddings.mask_token", {}, Transform::kIgnore});
  names.add({"embeddings.cls_token", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"embeddings.position_embeddings", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add({"embeddings.patch_embeddings.projection.**", {"embeddings.patch_embedding.**"}});
  for (const auto& [published, ours] : {std::pair{"query", "q_proj"}, {"key", "k_proj"}, {"value", "v_proj"}}) {
    names.add({from + "attention.attention." + published + ".**", {to + "self_attn." + ours + ".**"}});
    names.add({from + "attention." + ours + ".**", {to + "self_attn." + ours + ".**"}, Transform::kSame, 0, true});
  }
  names.add({from + "attention.output.dense.**", {to + "self_attn.out_proj.**"}});
  names.add({from + "attention.o_proj.**", {to + "self_attn.out_proj.**"}, Transform::kSame, 0, true});
  names.add({from + "mlp.weights_in.**", {to + "mlp.gate_proj.**", to + "mlp.up_proj.**"}, Transform::kSplit});
  names.add({from + "mlp.weights_out.**", {to + "mlp.down_proj.**"}});
  names.add({from + "mlp.**", {to + "mlp.**"}});
  for (const std::string n : {"1", "2"}) {
    names.add({from + "norm" + n + ".**", {to + "layer_norm" + n + ".**"}});
    names.add({from + "layer_scale" + n + ".lambda1", {to + "lambda_" + n}});
  }
  names.add({"layernorm.**", {"post_layernorm.**"}});
  return names;
}

NameMap blip2_vision_names() {
  NameMap names;
  const std::string attention = "encoder.layers.*.self_attn.";
  names.add({"embeddings.class_embedding", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"embeddings.position_embedding", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add(
      {attention + "qkv.**", {attention + "q_proj.**", attention + "k_proj.**", attention + "v_proj.**"}, Transform::kSplit});
  names.add({attention + "projection.**", {attention + "out_proj.**"}});
  names.add({"**", {"**"}});
  return names;
}

}  // namespace

NameMap internvl_vision_names() {
  NameMap names;
  const std::string from = "encoder.layer.*.", to = "encoder.layers.*.";
  names.add({"embeddings.mask_token", {}, Transform::kIgnore});
  names.add({"embeddings.cls_token", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"embeddings.position_embeddings", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add({"embeddings.patch_embeddings.projection.**", {"embeddings.patch_embedding.**"}});
  names.add({from + "attention.projection_layer.**", {to + "self_attn.out_proj.**"}});
  names.add({from + "attention.**", {to + "self_attn.**"}});
  names.add({from + "layernorm_before.**", {to + "layer_norm1.**"}});
  names.add({from + "layernorm_after.**", {to + "layer_norm2.**"}});
  names.add({from + "mlp.**", {to + "mlp.**"}});
  for (const char* scale : {"lambda_1", "lambda_2"}) names.add({from + scale, {to + scale}});
  names.add({"layernorm.**", {"post_layernorm.**"}});
  return names;
}

NameMap intern_vit_names() {
  NameMap names;
  const std::string from = "encoder.layers.*.", to = "encoder.layers.*.";
  names.add({"embeddings.class_embedding", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"embeddings.position_embedding", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add({"embeddings.**", {"embeddings.**"}});
  names.add({from + "attn.qkv.**",
             {to + "self_attn.q_proj.**", to + "self_attn.k_proj.**", to + "self_attn.v_proj.**"},
             Transform::kSplit});
  names.add({from + "attn.proj.**", {to + "self_attn.out_proj.**"}});
  names.add({from + "attn.**", {to + "self_attn.**"}});
  names.add({from + "mlp.**", {to + "mlp.**"}});
  for (const std::string n : {"1", "2"}) {
    names.add({from + "norm" + n + ".**", {to + "layer_norm" + n + ".**"}});
    names.add({from + "ls" + n, {to + "lambda_" + n}});
  }
  return names;
}

std::optional<NameMap> tower_names(const JsonView& config) {
  const std::string type = config.string("model_type", "");
  NameMap tower;
  if (type == "dinov2") {
    tower = dinov2_names();
  } else if (type == "internvl_vision") {
    tower = internvl_vision_names();
  } else if (type == "intern_vit_6b") {
    tower = intern_vit_names();
  } else if (type == "blip_2_vision_model") {
    tower = blip2_vision_names();
  } else if (type == "clip_vision_model" || type == "siglip_vision_model") {
    // Version 5 writes no prefix, earlier ones `vision_model.`.
    tower.add(transformer_tower_names(), "vision_model.", "");
    tower.add(transformer_tower_names(), "", "");
  } else {
    return std::nullopt;
  }
  NameMap names;
  names.add(tower, "", "vision_tower.");
  return names;
}

}  // namespace ocelli::model::hf
