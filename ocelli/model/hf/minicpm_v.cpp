#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/nn/position_table.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

bool matches(const JsonView& config) {
  return config.string("model_type", "") == "minicpmv";
}

/// The only tower the published configs name; the name says what is not in the weights' shapes.
constexpr std::string_view kTower = "vit_so400m_patch14_siglip_384.webli";

vision::VisionConfig tower(const Source& source) {
  const JsonView& config = source.config();
  const std::string name = config.string("vision_encoder");
  require(name == kTower, "{}.vision_encoder is \"{}\"; known is {}", config.path(), name, kTower);
  vision::VisionConfig out;
  out.hidden_size = 1152;
  out.num_hidden_layers = 26;  // the last of 27 was dropped before saving
  out.num_attention_heads = 16;
  out.intermediate_size = 4304;
  out.patch_size = 14;
  out.position_grid = {27, 27};
  out.position_resize = vision::PositionResize::kBicubicAntialias;
  if (source.has_weights()) {
    const std::vector<int64_t>& positions = source.shape("vpm.pos_embed");
    const std::vector<int64_t>& patches = source.shape("vpm.patch_embed.proj.weight");
    require(positions.size() == 3 && patches.size() == 4,
            "{}: vpm.pos_embed has {} dimensions and vpm.patch_embed.proj.weight {}, expected 3 and 4", config.path(),
            positions.size(), patches.size());
    out.hidden_size = positions[2];
    out.position_grid = nn::square_grid(positions[1], "vpm.pos_embed");
    out.patch_size = patches[2];
    out.num_hidden_layers = source.count("vpm.blocks.", ".norm1.weight");
    out.intermediate_size = source.shape("vpm.blocks.0.mlp.fc1.weight").at(0);
    require(out.hidden_size > 0 && out.hidden_size % out.num_attention_heads == 0 && out.patch_size > 0,
            "{}: vpm.pos_embed has width {}, expected a multiple of {} heads, and patches of {}", config.path(), out.hidden_size,
            out.num_attention_heads, out.patch_size);
  }
  out.image_size = config.integer_in("image_size", out.patch_size, 1 << 14, 448);
  out.apply_post_layernorm = true;
  return out;
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  out.family = "minicpm_v";
  Json text = config.value();
  text["model_type"] = "minicpm";
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));
  out.vision = tower(source);
  // The second version cuts pictures, and computes the positions of keys anew.
  const bool second = config.has("slice_mode");

  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kResampler;
  connector.resampler.num_queries = config.integer_in("query_num", 1, 1 << 16, 64);
  connector.resampler.adaptive_positions = second;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  connector.resampler.validate();
  out.connector = connector;

  // `<image>`, `</image>`, `<slice>` and `</slice>` of its tokenizer; `<unk>` stands for a visual token.
  out.placeholder.kind = PlaceholderRule::Kind::kSpan;
  out.placeholder.token_id = 0;
  out.placeholder.begin_id = 101;
  out.placeholder.end_id = 102;
  out.placeholder.marker = text::builtin_template_marker("minicpm_v");
  out.chat_template = text::builtin_template("minicpm_v");

  ImageProcessor images;
  images.shape = ImageProcessor::Shape::kSquash;
  images.size = images.height = images.width = out.vision->image_size;
  images.decode = image::DecodeOptions::pillow();
  if (second) {
    require(config.boolean("slice_mode", true), "{}.slice_mode is false; expected true, as published", config.path());
    out.placeholder.slice_begin_id = 111;
    out.placeholder.slice_end_id = 112;
    images.cut = ImageProcessor::Cut::kUhd;
    images.uhd.max_slice_nums = config.integer_in("max_slice_nums", 1, 1024, 9);
    images.uhd.scale_resolution = config.integer_in("scale_resolution", 1, 1 << 14, 448);
    images.uhd.patch_size = config.integer_in("patch_size", 1, 1 << 10, 14);
    require(images.uhd.patch_size == out.vision->patch_size, "{}.patch_size is {}, but the tower's patches are {} wide",
            config.path(), images.uhd.patch_size, out.vision->patch_size);
  }
  out.images = images;
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add({"vpm.patch_embed.proj.**", {"vision_tower.embeddings.patch_embedding.**"}});
  names.add({"vpm.pos_embed", {"vision_tower.embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  const std::string theirs = "vpm.blocks.*.", ours = "vision_tower.encoder.layers.*.";
  names.add({theirs + "norm1.**", {ours + "layer_norm1.**"}});
  names.add({theirs + "norm2.**", {ours + "layer_norm2.**"}});
  names.add({theirs + "attn.qkv.**",
             {ours + "self_attn.q_proj.**", ours + "self_attn.k_proj.**", ours + "self_attn.v_proj.**"},
             Transform::kSplit});
  names.add({theirs + "attn.proj.**", {ours + "self_attn.out_proj.**"}});
  names.add({theirs + "mlp.**", {ours + "mlp.**"}});
  names.add({"vpm.norm.**", {"vision_tower.post_layernorm.**"}});
  names.add(resampler_names(), "resampler.", "multi_modal_projector.");
  names.add(decoder_names(config.decoder), "llm.", "language_model.");
  return names;
}

}  // namespace

Family minicpm_v() {
  return {"minicpm_v", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
