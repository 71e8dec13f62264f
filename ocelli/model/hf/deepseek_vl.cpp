// DeepSeek-VL: its own layout (`multi_modality`) and transformers' two classes.
#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

using connector::ConnectorConfig;

// The original layout. Heads, MLP ratio, windows and global blocks are tables in its code, keyed by names; sizes are the
// tensors'.

/// deepseek_vl/models/siglip_vit.py: every entry of its table has as many.
constexpr int64_t kSiglipHeads = 16;
/// clip_encoder.py, sam.py: SAM's map is brought to 96 x 96 before it is halved, whatever the picture's size.
constexpr int64_t kSamMapSide = 96;
constexpr int64_t kPublishedPlaceholder = 100015;

bool is_original(const JsonView& config) {
  return config.string("model_type", "") == "multi_modality";
}

/// The id of an added token by its text; -1 when tokenizer.json has none.
int64_t added_token(const Source& source, std::string_view text) {
  const std::filesystem::path file = source.folder() / "tokenizer.json";
  if (source.folder().empty() || text.empty() || !std::filesystem::exists(file)) return -1;
  const Json json = read_json(file, {.max_bytes = 256ULL << 20, .reject_duplicate_keys = false});
  if (!json.contains("added_tokens") || !json["added_tokens"].is_array()) return -1;
  for (const Json& token : json["added_tokens"]) {
    if (token.is_object() && token.value("content", "") == text) return token.value("id", int64_t{-1});
  }
  return -1;
}

Json file_beside(const Source& source, const char* name) {
  const std::filesystem::path file = source.folder() / name;
  return source.folder().empty() || !std::filesystem::exists(file) ? Json::object() : read_json(file);
}

/// An entry of siglip_vit.py's table.
struct SiglipSizes {
  std::string_view name;
  int64_t hidden_size, patch_size, num_hidden_layers, intermediate_size;
};
constexpr SiglipSizes kSiglips[] = {
    {"siglip_large_patch16_384", 1024, 16, 24, 4096},
    {"siglip_so400m_patch14_384", 1152, 14, 27, 4304},
    {"siglip_so400m_patch14_224", 1152, 14, 27, 4304},
};

/// The aligner's `input_dim` is the width that towers have behind them.
void require_aligned(const Source& source, std::string_view tower, int64_t width) {
  const JsonView aligner = source.config().object("aligner_config").object("params");
  require_published(source, "aligner_config.params.input_dim", aligner.integer("input_dim", width), tower, width);
}

SiglipSizes siglip_sizes(const Source& source, const JsonView& params, const std::string& prefix) {
  const std::string name = params.string("model_name", "");
  require(name.starts_with("siglip_"), "{}.model_name is \"{}\", expected one that starts with siglip_", params.path(), name);
  if (!source.has_weights()) {
    for (const SiglipSizes& sizes : kSiglips) {
      if (sizes.name != name) continue;
      require_aligned(source, sizes.name, sizes.hidden_size);
      return sizes;
    }
    fail("{}.model_name is \"{}\"; known without weights are {}, {}, {}, and the folder has none", params.path(), name,
         kSiglips[0].name, kSiglips[1].name, kSiglips[2].name);
  }
  const auto patch = source.shape(prefix + "patch_embed.proj.weight");
  require(patch.size() == 4 && patch[0] > 0 && patch[2] > 0, "{}patch_embed.proj.weight has {} dimensions, expected 4", prefix,
          patch.size());
  require(patch[0] % kSiglipHeads == 0, "{}patch_embed.proj.weight: {} channels are no multiple of {} heads", prefix, patch[0],
          kSiglipHeads);
  const int64_t layers = source.count(prefix + "blocks.", ".norm1.weight");
  require(layers > 0, "{}blocks.0.norm1.weight is missing", prefix);
  return {"", patch[0], patch[2], layers, source.shape(prefix + "blocks.0.mlp.fc1.bias").at(0)};
}

vision::VisionConfig read_siglip(const Source& source, const JsonView& params, const std::string& prefix) {
  const SiglipSizes sizes = siglip_sizes(source, params, prefix);
  const std::string feature = params.string("select_feature", "patch");
  require(feature == "same" || feature == "cls_patch", "{}.select_feature is \"{}\"; a SigLIP tower goes with \"same\"",
          params.path(), feature);
  vision::VisionConfig out;
  out.hidden_size = sizes.hidden_size;
  out.patch_size = sizes.patch_size;
  out.image_size = params.integer_in("image_size", out.patch_size, 1 << 14);
  out.num_hidden_layers = sizes.num_hidden_layers;
  out.intermediate_size = sizes.intermediate_size;
  out.num_attention_heads = kSiglipHeads;
  out.hidden_act = nn::Activation::kGelu;  // nn.GELU, by erf
  out.apply_post_layernorm = true;
  return out;
}

/// What the shapes say of a SAM; everything else is as published.
void read_sam_shapes(const Source& source, const std::string& prefix, vision::SamConfig& sam) {
  const auto patch = source.shape(prefix + "patch_embed.proj.weight");
  require(patch.size() == 4 && patch[0] > 0 && patch[2] > 0, "{}patch_embed.proj.weight has {} dimensions, expected 4", prefix,
          patch.size());
  sam.hidden_size = patch[0];
  sam.patch_size = patch[2];
  sam.num_hidden_layers = source.count(prefix + "blocks.", ".norm1.weight");
  require(sam.num_hidden_layers > 0, "{}blocks.0.norm1.weight is missing", prefix);
  sam.mlp_dim = source.shape(prefix + "blocks.0.mlp.lin1.bias").at(0);
  const int64_t head_width = source.shape(prefix + "blocks.0.attn.rel_pos_h").at(1);
  require(head_width > 0 && sam.hidden_size % head_width == 0, "{}blocks.0.attn.rel_pos_h has {} columns, which do not divide {}",
          prefix, head_width, sam.hidden_size);
  sam.num_attention_heads = sam.hidden_size / head_width;
  sam.output_channels = source.shape(prefix + "neck.0.weight").at(0);
  sam.global_neck = source.weights().find(prefix + "neck_hd.0.weight") != nullptr;
  const int64_t halvings = source.count(prefix + "downsamples.", ".weight");
  require(halvings >= 1 && halvings <= 4, "{}downsamples: {} of them, expected 1 to 4", prefix, halvings);
  for (int64_t i = 0; i < halvings; ++i) {
    sam.downsample_channels.push_back(source.shape(prefix + "downsamples." + std::to_string(i) + ".weight").at(0));
  }
}

vision::VisionConfig read_sam(const Source& source, const JsonView& params, const std::string& prefix) {
  const std::string name = params.string("model_name", "");
  require(name.starts_with("sam_"), "{}.model_name is \"{}\", expected one that starts with sam_", params.path(), name);
  vision::SamConfig sam;
  if (source.has_weights()) {
    read_sam_shapes(source, prefix, sam);
  } else {
    require(name == "sam_b_downsample",
            "{}.model_name is \"{}\"; known without weights is sam_b_downsample, and the folder has none", params.path(), name);
    sam.downsample_channels = {512, 1024};
    sam.global_neck = true;
    require_aligned(source, name, sam.feature_width());
  }
  sam.image_size = params.integer_in("image_size", sam.patch_size, 1 << 14);
  sam.downsample_grid = kSamMapSide >> sam.downsample_channels.size();
  const Json json = sam.to_json();  // read again: sizes are checked there
  return vision::VisionConfig::from_json(JsonView(json, params.path()));
}

/// mean and std that a tower's code applies itself.
void read_input_norm(const JsonView& params, vision::VisionConfig& tower) {
  if (!params.has("pixel_mean") || !params.has("pixel_std")) return;
  const std::vector<double> mean = params.numbers("pixel_mean"), std = params.numbers("pixel_std");
  require(mean.size() == 3 && std.size() == 3, "{}: pixel_mean and pixel_std have {} and {} numbers, expected 3", params.path(),
          mean.size(), std.size());
  tower.input_norm.emplace();
  for (size_t c = 0; c < 3; ++c) {
    require(std[c] > 0, "{}.pixel_std holds {}, expected positive numbers", params.path(), std[c]);
    tower.input_norm->mean[c] = static_cast<float>(mean[c]);
    tower.input_norm->std[c] = static_cast<float>(std[c]);
  }
}

ModelConfig read_original(const Source& source) {
  const JsonView& config = source.config();
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("language_config"));
  const JsonView vision = config.object("vision_config");
  const std::string towers = vision.string("cls");
  require(towers == "CLIPVisionTower" || towers == "HybridVisionTower",
          "{}.cls is \"{}\"; known are CLIPVisionTower, HybridVisionTower", vision.path(), towers);
  const JsonView params = vision.object("params");
  const JsonView aligner = config.object("aligner_config").object("params");
  const std::string projector = aligner.string("projector_type", "mlp_gelu");
  ConnectorConfig connector;
  const int64_t depth = aligner.integer_in("depth", 1, 8, 1);
  const Json preparation = file_beside(source, "preprocessor_config.json");
  require(!preparation.empty(), "{}: preprocessor_config.json is missing beside it", config.path());
  ImageProcessor images =
      ImageProcessor::from_json(JsonView(preparation, (source.folder() / "preprocessor_config.json").string()));
  if (towers == "CLIPVisionTower") {
    out.vision = read_siglip(source, params, "vision_model.vision_tower.");
    read_input_norm(params, *out.vision);
    require(projector == "mlp_gelu" && depth <= 2, "{}: projector_type \"{}\" of depth {}; expected mlp_gelu of depth 1 or 2",
            aligner.path(), projector, depth);
    connector.type = depth == 1 ? ConnectorConfig::Type::kLinear : ConnectorConfig::Type::kMlp;
  } else {
    // The processor gives pixels in [0, 1] of the high resolution; SigLIP sees them shrunk.
    const JsonView high = params.object("high_res_cfg"), low = params.object("low_res_cfg");
    out.vision = read_sam(source, high, "vision_model.vision_tower_high.vision_tower.");
    out.aux_vision = read_siglip(source, low, "vision_model.vision_tower_low.vision_tower.");
    read_input_norm(high, *out.vision);
    read_input_norm(low, *out.aux_vision);
    require(projector == "low_high_hybrid_split_mlp_gelu",
            "{}.projector_type is \"{}\"; two towers go with low_high_hybrid_split_mlp_gelu", aligner.path(), projector);
    connector.type = ConnectorConfig::Type::kHybrid;
    connector.hybrid.depth = depth;
    connector.hybrid.aux_first = false;
    images.second = SecondView{.kind = SecondView::Kind::kShrunk, .side = out.aux_vision->image_size};
  }
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size,
                       out.aux_vision ? out.aux_vision->feature_width() : 0);
  out.connector = connector;
  out.images = images;
  const Json processor = file_beside(source, "processor_config.json");
  const std::string tag = processor.value("image_tag", "<image_placeholder>");
  const int64_t placeholder = added_token(source, tag);
  out.placeholder.token_id = placeholder >= 0 ? placeholder : kPublishedPlaceholder;
  read_special_tokens(config, out);
  const Json tokenizer = file_beside(source, "tokenizer_config.json");
  const auto named = [&](const char* key) {
    if (!tokenizer.contains(key)) return int64_t{-1};
    const Json& token = tokenizer[key];
    return added_token(source, token.is_string()   ? token.get<std::string>()
                               : token.is_object() ? token.value("content", "")
                                                   : "");
  };
  if (!config.has("eos_token_id") && named("eos_token") >= 0) out.eos_token_ids = {named("eos_token")};
  if (!config.has("bos_token_id") && named("bos_token") >= 0) out.bos_token_id = named("bos_token");
  out.chat_template = text::builtin_template("deepseek_vl");
  return out;
}

void add_siglip_names(NameMap& names, const std::string& published, const std::string& ours) {
  const auto same = [&](const std::string& theirs, const std::string& name) { names.add({published + theirs, {ours + name}}); };
  names.add({published + "pos_embed", {ours + "embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  same("patch_embed.proj.**", "embeddings.patch_embedding.**");
  const std::string layer = ours + "encoder.layers.*.";
  names.add({published + "blocks.*.attn.qkv.**",
             {layer + "self_attn.q_proj.**", layer + "self_attn.k_proj.**", layer + "self_attn.v_proj.**"},
             Transform::kSplit});
  same("blocks.*.attn.proj.**", "encoder.layers.*.self_attn.out_proj.**");
  same("blocks.*.norm1.**", "encoder.layers.*.layer_norm1.**");
  same("blocks.*.norm2.**", "encoder.layers.*.layer_norm2.**");
  same("blocks.*.mlp.**", "encoder.layers.*.mlp.**");
  same("norm.**", "post_layernorm.**");
  names.add({published + "attn_pool.**", {}, Transform::kIgnore});
}

void add_sam_names(NameMap& names, const std::string& published, const std::string& ours) {
  const auto same = [&](const std::string& theirs, const std::string& name) { names.add({published + theirs, {ours + name}}); };
  same("pos_embed", "pos_embed");
  same("patch_embed.proj.**", "patch_embed.projection.**");
  same("blocks.*.norm1.**", "layers.*.layer_norm1.**");
  same("blocks.*.norm2.**", "layers.*.layer_norm2.**");
  same("blocks.*.mlp.lin1.**", "layers.*.mlp.fc1.**");
  same("blocks.*.mlp.lin2.**", "layers.*.mlp.fc2.**");
  same("blocks.*.attn.**", "layers.*.attn.**");
  for (const std::string neck : {"neck", "neck_hd"}) {
    same(neck + ".0.**", neck + ".conv1.**");
    same(neck + ".1.**", neck + ".layer_norm1.**");
    same(neck + ".2.**", neck + ".conv2.**");
    same(neck + ".3.**", neck + ".layer_norm2.**");
  }
  for (int i = 0; i < 4; ++i) same("downsamples." + std::to_string(i) + ".**", "downsample.conv" + std::to_string(i + 1) + ".**");
  same("hd_alpha_downsamples", "alpha");
}

NameMap original_names(const ModelConfig& config) {
  NameMap names;
  if (config.aux_vision) {
    add_sam_names(names, "vision_model.vision_tower_high.vision_tower.", "vision_tower.");
    add_siglip_names(names, "vision_model.vision_tower_low.vision_tower.", "aux_tower.");
    for (const char* unused : {"vision_model.high_layer_norm.**", "vision_model.low_layer_norm.**"}) {
      names.add({unused, {}, Transform::kIgnore});
    }
    names.add({"aligner.high_up_proj.**", {"multi_modal_projector.proj.**"}});
    names.add({"aligner.low_up_proj.**", {"multi_modal_projector.aux_proj.**"}});
    // GELU and projection in turn.
    for (int i = 1; i < 8; ++i) {
      names.add({fmt::format("aligner.layers.{}.**", 2 * i - 1), {fmt::format("multi_modal_projector.linear_{}.**", i + 1)}});
    }
  } else {
    add_siglip_names(names, "vision_model.vision_tower.", "vision_tower.");
    names.add({"aligner.layers.0.**", {"multi_modal_projector.linear_1.**"}});
    names.add({"aligner.layers.2.**", {"multi_modal_projector.linear_2.**"}});
  }
  names.add(decoder_names(config.decoder), "language_model.", "language_model.");
  return names;
}

// transformers' layouts.

bool is_plain(const JsonView& config) {
  return config.string("model_type", "") == "deepseek_vl";
}
bool is_hybrid(const JsonView& config) {
  return config.string("model_type", "") == "deepseek_vl_hybrid";
}

ModelConfig read_plain(const Source& source) {
  // A part without model_type is the default of transformers' class.
  Json filled = source.config().value();
  for (const auto& [key, type] : {std::pair{"text_config", "llama"},
                                  {"vision_config", "siglip_vision_model"},
                                  {"high_res_vision_config", "sam_vision_model"}}) {
    if (filled.contains(key) && filled[key].is_object() && !filled[key].contains("model_type")) filled[key]["model_type"] = type;
  }
  const JsonView config(filled, source.config().path());
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config.object("text_config"));
  out.decoder.tie_word_embeddings = config.boolean("tie_word_embeddings", true);
  out.vision = vision::VisionConfig::from_json(config.object("vision_config"));
  out.vision->apply_post_layernorm = true;
  ConnectorConfig connector;
  connector.type = ConnectorConfig::Type::kMlp;
  if (is_hybrid(config)) {
    vision::SamConfig sam = vision::SamConfig::from_json(config.object("high_res_vision_config"));
    sam.downsample_channels = {2 * sam.output_channels, 4 * sam.output_channels};
    sam.downsample_grid = out.vision->image_size / out.vision->patch_size;
    sam.global_neck = true;
    const Json json = sam.to_json();
    out.aux_vision = vision::VisionConfig::from_json(JsonView(json, config.path() + ": high_res_vision_config"));
    connector.type = ConnectorConfig::Type::kHybrid;
  }
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size,
                       out.aux_vision ? out.aux_vision->feature_width() : 0);
  out.connector = connector;
  out.placeholder.token_id = config.integer_in("image_token_id", 0, out.decoder.vocab_size - 1, kPublishedPlaceholder);
  require(out.placeholder.token_id < out.decoder.vocab_size, "{}.image_token_id {} lies outside the vocabulary of {}",
          config.path(), out.placeholder.token_id, out.decoder.vocab_size);
  read_special_tokens(config, out);
  return out;
}

NameMap plain_names(const ModelConfig& config) {
  NameMap names;
  names.add({"model.vision_model.vision_model.**", {"vision_tower.**"}, Transform::kSame, 0, true});
  names.add(transformer_tower_names(), "model.vision_model.", "vision_tower.");
  if (config.aux_vision) {
    const std::string sam = "model.high_res_vision_model.vision_encoder.";
    names.add({sam + "layers.*.mlp.lin1.**", {"aux_tower.layers.*.mlp.fc1.**"}});
    names.add({sam + "layers.*.mlp.lin2.**", {"aux_tower.layers.*.mlp.fc2.**"}});
    names.add({"model.high_res_vision_neck.**", {"aux_tower.neck_hd.**"}});
    names.add({"model.high_res_vision_proj.**", {"aux_tower.downsample.**"}});
    names.add({"model.high_res_vision_alpha", {"aux_tower.alpha"}});
    names.add({sam + "**", {"aux_tower.**"}});  // last: our names of the three above would fit too
    names.add({"model.aligner.vision_proj.**", {"multi_modal_projector.proj.**"}});
    names.add({"model.aligner.high_res_vision_proj.**", {"multi_modal_projector.aux_proj.**"}});
    names.add({"model.aligner.proj.**", {"multi_modal_projector.linear_2.**"}});
  } else {
    names.add({"model.aligner.linear1.**", {"multi_modal_projector.linear_1.**"}});
    names.add({"model.aligner.linear2.**", {"multi_modal_projector.linear_2.**"}});
  }
  names.add({"model.language_model.layers.*.self_attn.rotary_emb.inv_freq", {}, Transform::kIgnore});
  names.add({"model.language_model.**", {"language_model.model.**"}});
  names.add({"lm_head.**", {"language_model.lm_head.**"}});
  return names;
}

Json write_plain(const ModelConfig& config) {
  Json json = {{"model_type", config.aux_vision ? "deepseek_vl_hybrid" : "deepseek_vl"}};
  json["architectures"] = {config.aux_vision ? "DeepseekVLHybridForConditionalGeneration" : "DeepseekVLForConditionalGeneration"};
  json["text_config"] = config.decoder.to_json();
  json["tie_word_embeddings"] = config.decoder.tie_word_embeddings;
  vision::VisionConfig tower = *config.vision;
  tower.apply_post_layernorm = false;  // SiglipVisionModel's own output has it
  json["vision_config"] = tower.to_json();
  if (config.aux_vision) {
    vision::SamConfig sam = *config.aux_vision->sam;
    sam.downsample_channels.clear();
    sam.global_neck = false;
    json["high_res_vision_config"] = sam.to_json();
  }
  json["image_token_id"] = config.placeholder.token_id;
  return json;
}

Json processor(const ModelConfig& config) {
  const int64_t side = config.vision->image_size / config.vision->patch_size;
  return {{"processor_class", config.aux_vision ? "DeepseekVLHybridProcessor" : "DeepseekVLProcessor"},
          {"num_image_tokens", side * side}};
}

}  // namespace

Family deepseek_vl_original() {
  return {"multi_modality", is_original, read_original, original_names, nullptr};
}
Family deepseek_vl() {
  return {"deepseek_vl", is_plain, read_plain, plain_names, write_plain, processor};
}
Family deepseek_vl_hybrid() {
  return {"deepseek_vl_hybrid", is_hybrid, read_plain, plain_names, write_plain, processor};
}

}  // namespace ocelli::model::hf
