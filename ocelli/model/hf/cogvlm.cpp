// CogVLM and CogAgent in the layout of their published code (CogVLMForCausalLM, CogAgentForCausalLM).
#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

using connector::ConnectorConfig;

constexpr std::string_view kCross = "model.cross_vision.";
const std::string kCrossTower = "model.cross_vision.vit.model.";
/// EVA02-CLIP-L as eva_clip_L_hf.py fixes it: positions of the rotation run over what 16 x 16 patches had in training.
constexpr double kRotarySpan = 16;

/// Their published configs name no `model_type`, but their classes.
bool matches(const JsonView& config) {
  if (!config.has("architectures")) return false;
  const Json& classes = config.value()["architectures"];
  return classes.is_array() && !classes.empty() && (classes[0] == "CogVLMForCausalLM" || classes[0] == "CogAgentForCausalLM");
}

/// EVA2-CLIP-E: norms on the branches, features of the last block that is stored.
vision::VisionConfig read_tower(const JsonView& config) {
  constexpr int64_t kWidest = 1 << 16;
  vision::VisionConfig out;
  out.hidden_size = config.integer_in("hidden_size", 1, kWidest);
  out.num_attention_heads = config.integer_in("num_heads", 1, kWidest);
  require(out.hidden_size % out.num_attention_heads == 0, "{}: hidden_size {} is no multiple of num_heads {}", config.path(),
          out.hidden_size, out.num_attention_heads);
  out.intermediate_size = config.integer_in("intermediate_size", 1, 8 * kWidest);
  out.num_hidden_layers = config.integer_in("num_hidden_layers", 0, 512);
  out.num_channels = config.integer_in("in_channels", 3, 3, 3);
  out.patch_size = config.integer_in("patch_size", 1, 1 << 14);
  out.image_size = config.integer_in("image_size", out.patch_size, 1 << 14);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "gelu"));
  out.layer_norm_eps = config.number("layer_norm_eps", 1e-6);
  out.class_embedding = true;
  out.branch_norm = true;
  out.post_layernorm = false;
  const int64_t positions = out.table_grid().count() + 1;
  require(config.integer("num_positions", positions) == positions, "{}.num_positions is {}, expected {} for pictures of {}",
          config.path(), config.integer("num_positions", positions), positions, out.image_size);
  return out;
}

/// The sizes of a tower that no key gives.
struct CrossSizes {
  int64_t hidden_size = 1024, patch_size = 14, num_hidden_layers = 24, intermediate_size = 2730, head_dim = 64;
};

CrossSizes cross_sizes(const Source& source, int64_t image_size) {
  CrossSizes out;
  if (!source.has_weights()) {
    const int64_t given = source.config().integer("cross_hidden_size", out.hidden_size);
    require_published(source, "cross_hidden_size", given, "EVA02-CLIP-L", out.hidden_size);
    return out;
  }
  const auto& patch = source.shape(kCrossTower + "patch_embed.proj.weight");
  require(patch.size() == 4 && patch[0] > 0 && patch[2] > 0 && patch[2] <= image_size,
          "{}patch_embed.proj.weight has {} dimensions or patches larger than cross_image_size {}", kCrossTower, patch.size(),
          image_size);
  out.hidden_size = patch[0];
  out.patch_size = patch[2];
  out.num_hidden_layers = source.count(kCrossTower + "blocks.", ".norm1.weight");
  require(out.num_hidden_layers > 1, "{}blocks has {} blocks, expected at least 2", kCrossTower, out.num_hidden_layers);
  out.intermediate_size = source.shape(kCrossTower + "blocks.0.mlp.w1.bias").at(0);
  out.head_dim = source.config().has("cross_head_dim") ? source.config().integer("cross_head_dim")
                                                       : source.shape(kCrossTower + "rope.freqs_cos").back();
  return out;
}

/// EVA02-CLIP-L: its sizes are the tensors', without any the published ones. The last block and the norm behind it are stored,
/// not used.
vision::VisionConfig read_cross_tower(const Source& source, int64_t image_size) {
  const CrossSizes sizes = cross_sizes(source, image_size);
  vision::VisionConfig out;
  out.hidden_size = sizes.hidden_size;
  out.patch_size = sizes.patch_size;
  out.image_size = image_size;
  out.num_hidden_layers = sizes.num_hidden_layers;
  out.intermediate_size = sizes.intermediate_size;
  const int64_t head = sizes.head_dim;
  require(head > 0 && head % 4 == 0 && out.hidden_size % head == 0,
          "{}: heads of {} in the cross tower, expected a multiple of 4 that divides its width {}", source.config().path(), head,
          out.hidden_size);
  out.num_attention_heads = out.hidden_size / head;
  out.class_embedding = true;
  out.key_bias = false;
  out.gated_mlp = true;
  out.rotary_span = kRotarySpan;
  out.feature_layers = {-2};
  out.feature_positions = true;
  return out;
}

/// Pictures stretched to a square, CLIP's mean and deviation.
ImageProcessor stretched(int64_t side) {
  ImageProcessor out;
  out.shape = ImageProcessor::Shape::kSquash;
  out.size = out.height = out.width = side;
  out.mean = kClipMean;
  out.std = kClipStd;
  out.decode = image::DecodeOptions::pillow();
  return out;
}

/// `template_version`; a picture is no text: its rows stand behind the first id.
std::string chat_template(const JsonView& config, bool agent) {
  const std::string version = config.string("template_version", "chat");
  if (version == "base") {
    return "{% for message in messages %}{% if message.content is string %}{{ message.content | replace('<image>', '') }}"
           "{% else %}{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}";
  }
  require(version == "chat" || version == "vqa", "{}.template_version is \"{}\"; known are base, chat, vqa", config.path(),
          version);
  return text::builtin_template((agent ? "cogagent_" : "cogvlm_") + version, "");
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  const bool agent = config.value()["architectures"][0] == "CogAgentForCausalLM";
  ModelConfig out;
  Json text = config.value();
  text["model_type"] = "llama";
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));
  out.decoder.visual_expert = true;
  out.vision = read_tower(config.object("vision_config"));
  ConnectorConfig connector;
  connector.type = ConnectorConfig::Type::kGlu;
  connector.hidden_width = out.decoder.intermediate_size;
  connector.position_table = agent;
  connector.num_patches = out.vision->table_grid().count();
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.connector = connector;
  out.images = stretched(out.vision->image_size);
  if (agent) {
    const int64_t side = config.integer_in("cross_image_size", 1, 1 << 14);
    out.aux_vision = read_cross_tower(source, side);
    require(config.integer("cross_hidden_size", out.aux_vision->hidden_size) == out.aux_vision->hidden_size,
            "{}.cross_hidden_size is {}, but the tower in the file is {} wide", config.path(),
            config.integer("cross_hidden_size", 0), out.aux_vision->hidden_size);
    const int64_t inner = config.integer_in("cross_compute_hidden_size", 1, 1 << 16);
    const int64_t heads = out.decoder.num_attention_heads;
    require(inner % heads == 0, "{}.cross_compute_hidden_size {} is no multiple of num_attention_heads {}", config.path(), inner,
            heads);
    out.decoder.cross_attention = {.memory_width = out.aux_vision->hidden_size, .num_heads = heads, .head_dim = inner / heads};
    out.images->aux = std::make_shared<const ImageProcessor>(stretched(side));
  }
  out.placeholder.kind = PlaceholderRule::Kind::kAfterBos;
  out.placeholder.token_id = config.integer_in("pad_token_id", 0, out.decoder.vocab_size - 1, 0);
  out.placeholder.marker = "<image>";
  out.positions = PositionRule::kSharedPatch;
  out.chat_template = chat_template(config, agent);
  read_special_tokens(config, out);
  return out;
}

/// Ours without `aux_tower.`.
NameMap cross_tower_names() {
  NameMap names;
  const std::string from = "blocks.*.", to = "encoder.layers.*.";
  names.add({"rope.**", {}, Transform::kIgnore});
  names.add({"head.**", {}, Transform::kIgnore});
  names.add({"cls_token", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"pos_embed", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add({"patch_embed.proj.**", {"embeddings.patch_embedding.**"}});
  names.add({from + "norm1.**", {to + "layer_norm1.**"}});
  names.add({from + "norm2.**", {to + "layer_norm2.**"}});
  names.add({from + "attn.q_bias", {to + "self_attn.q_proj.bias"}});
  names.add({from + "attn.v_bias", {to + "self_attn.v_proj.bias"}});
  for (const char* weight : {"q_proj.weight", "k_proj.weight", "v_proj.weight"}) {
    names.add({from + "attn." + weight, {to + "self_attn." + weight}});
  }
  names.add({from + "attn.inner_attn_ln.**", {to + "self_attn.sub_norm.**"}});
  names.add({from + "attn.proj.**", {to + "self_attn.out_proj.**"}});
  names.add({from + "mlp.w1.**", {to + "mlp.gate_proj.**"}});
  names.add({from + "mlp.w2.**", {to + "mlp.up_proj.**"}});
  names.add({from + "mlp.ffn_ln.**", {to + "mlp.norm.**"}});
  names.add({from + "mlp.w3.**", {to + "mlp.down_proj.**"}});
  names.add({"norm.**", {"post_layernorm.**"}});
  return names;
}

/// The tower, the GLU and its two tokens, below `model.vision.`; ours in full.
NameMap vision_names() {
  NameMap names;
  const std::string from = "transformer.layers.*.", to = "vision_tower.encoder.layers.*.", glu = "multi_modal_projector.";
  names.add({"patch_embedding.proj.**", {"vision_tower.embeddings.patch_embedding.**"}});
  names.add({"patch_embedding.cls_embedding", {"vision_tower.embeddings.class_embedding"}, Transform::kSqueeze, 1});
  names.add({"patch_embedding.position_embedding.weight", {"vision_tower.embeddings.position_embedding.weight"}});
  names.add({from + "input_layernorm.**", {to + "layer_norm1.**"}});
  names.add({from + "post_attention_layernorm.**", {to + "layer_norm2.**"}});
  names.add({from + "attention.query_key_value.**",
             {to + "self_attn.q_proj.**", to + "self_attn.k_proj.**", to + "self_attn.v_proj.**"},
             Transform::kSplit});
  names.add({from + "attention.dense.**", {to + "self_attn.out_proj.**"}});
  names.add({from + "mlp.**", {to + "mlp.**"}});
  names.add({"linear_proj.linear_proj.**", {glu + "linear_proj.**"}});
  names.add({"linear_proj.norm1.**", {glu + "norm1.**"}});
  names.add({"linear_proj.gate_proj.**", {glu + "mlp.gate_proj.**"}});
  names.add({"linear_proj.dense_h_to_4h.**", {glu + "mlp.up_proj.**"}});
  names.add({"linear_proj.dense_4h_to_h.**", {glu + "mlp.down_proj.**"}});
  for (const char* token : {"boi", "eoi"}) names.add({token, {glu + token}, Transform::kSqueeze, 1});
  names.add({"pos_embed", {glu + "pos_embed"}});
  return names;
}

NameMap names(const ModelConfig&) {
  NameMap names;
  const std::string from = "model.layers.*.", to = "language_model.model.layers.*.";
  names.add({from + "self_attn.rotary_emb.inv_freq", {}, Transform::kIgnore});
  for (const auto& [expert, ours] : {std::pair{"language", "self_attn."}, {"vision", "self_attn.visual_expert."}}) {
    const std::string published = from + "self_attn." + expert + "_expert_", own = to + ours;
    names.add({published + "query_key_value.**", {own + "q_proj.**", own + "k_proj.**", own + "v_proj.**"}, Transform::kSplit});
    names.add({published + "dense.**", {own + "o_proj.**"}});
  }
  names.add({from + "mlp.language_mlp.**", {to + "mlp.**"}});
  names.add({from + "mlp.vision_mlp.**", {to + "visual_mlp.**"}});
  names.add({from + "cross_attn.query.**", {to + "cross_attn.q_proj.**"}});
  names.add({from + "cross_attn.key_value.**", {to + "cross_attn.k_proj.**", to + "cross_attn.v_proj.**"}, Transform::kSplit});
  names.add({from + "cross_attn.dense.**", {to + "cross_attn.o_proj.**"}});
  names.add(vision_names(), "model.vision.", "");
  names.add({std::string(kCross) + "pos_embed", {"aux_tower.feature_position_embedding.weight"}});
  names.add(cross_tower_names(), kCrossTower, "aux_tower.");
  names.add({"model.**", {"language_model.model.**"}});
  names.add({"lm_head.**", {"language_model.lm_head.**"}});
  return names;
}

/// What read() reads; `cross_head_dim` stands for the tables of angles, which are not written.
Json write(const ModelConfig& config) {
  const bool agent = config.aux_vision.has_value();
  const vision::VisionConfig& tower = *config.vision;
  Json json = config.decoder.to_json();
  json.erase("model_type");
  json["architectures"] = {agent ? "CogAgentForCausalLM" : "CogVLMForCausalLM"};
  json["template_version"] = "chat";
  json["pad_token_id"] = config.placeholder.token_id;
  json["vision_config"] = {{"hidden_size", tower.hidden_size},
                           {"num_heads", tower.num_attention_heads},
                           {"intermediate_size", tower.intermediate_size},
                           {"num_hidden_layers", tower.num_hidden_layers},
                           {"num_positions", tower.table_grid().count() + 1},
                           {"in_channels", tower.num_channels},
                           {"image_size", tower.image_size},
                           {"patch_size", tower.patch_size},
                           {"hidden_act", nn::name_of(tower.hidden_act)},
                           {"layer_norm_eps", tower.layer_norm_eps},
                           {"dropout_prob", 0.0}};
  if (!agent) return json;
  const language::CrossAttentionConfig& cross = config.decoder.cross_attention;
  json["cross_image_size"] = config.aux_vision->image_size;
  json["cross_hidden_size"] = cross.memory_width;
  json["cross_compute_hidden_size"] = cross.num_heads * cross.head_dim;
  json["cross_head_dim"] = config.aux_vision->hidden_size / config.aux_vision->num_attention_heads;
  return json;
}

}  // namespace

Family cogvlm() {
  return {"cogvlm", matches, read, names, write};
}

}  // namespace ocelli::model::hf
