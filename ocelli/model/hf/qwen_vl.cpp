#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"
#include "ocelli/text/builtin_templates.h"

namespace ocelli::model::hf {
namespace {

/// Of the tower's and of the resampler's tables, whatever the picture: constants of visual.py.
constexpr image::Grid kPositions{16, 16};
constexpr int64_t kQueries = 256;

bool is_qwen_vl(const JsonView& config) {
  const std::string type = config.string("model_type", "");
  return (type == "qwen" || type == "monkey") && config.has("visual");
}

bool is_qwen_text(const JsonView& config) {
  return config.string("model_type", "") == "qwen" && !config.has("visual");
}

/// Keys that TextMonkey adds.
bool is_text_monkey(const JsonView& config) {
  if (!is_qwen_vl(config)) return false;
  const JsonView visual = config.object("visual");
  return visual.has("add_window") || visual.has("use_global") || visual.has("resampler");
}

/// `image_size`: a number or [height, width].
image::Size picture_size(const JsonView& visual) {
  if (!visual.value()["image_size"].is_array()) {
    const int64_t side = visual.integer_in("image_size", 1, 1 << 14);
    return {side, side};
  }
  const std::vector<int64_t> sides = visual.integers("image_size");
  require(sides.size() == 2 && sides[0] >= 1 && sides[1] >= 1 && sides[0] <= (1 << 14) && sides[1] <= (1 << 14),
          "{}.image_size has {} numbers, expected a height and a width of 1 to 16384", visual.path(), sides.size());
  return {sides[0], sides[1]};
}

/// Everything but what stands between tower and decoder.
ModelConfig read_parts(const Source& source, const char* name) {
  const JsonView& config = source.config();
  const JsonView visual = config.object("visual");
  ModelConfig out;
  out.family = name;
  Json text = config.value();
  text["model_type"] = "qwen";
  out.decoder = language::DecoderConfig::from_json(JsonView(text, config.path()));

  vision::VisionConfig tower;
  const image::Size size = picture_size(visual);
  tower.hidden_size = visual.integer_in("width", 1, 1 << 16);
  tower.intermediate_size = static_cast<int64_t>(static_cast<double>(tower.hidden_size) * visual.number("mlp_ratio", 4.9231));
  tower.num_hidden_layers = visual.integer_in("layers", 1, 512);
  tower.num_attention_heads = visual.integer_in("heads", 1, tower.hidden_size);
  require(tower.hidden_size % tower.num_attention_heads == 0, "{}: width {} is no multiple of heads {}", visual.path(),
          tower.hidden_size, tower.num_attention_heads);
  tower.patch_size = visual.integer_in("patch_size", 1, std::min(size.height, size.width));
  tower.image_size = size.height;
  tower.patch_bias = false;
  tower.pre_layernorm = true;
  tower.post_layernorm = false;
  tower.position_grid = kPositions;
  tower.position_resize = vision::PositionResize::kBicubic;
  out.vision = tower;
  const int64_t width = visual.integer_in("output_dim", 1, 1 << 16);
  require(width == out.decoder.hidden_size, "{}.output_dim is {}, but the decoder's hidden_size is {}", visual.path(), width,
          out.decoder.hidden_size);

  // `<img>`, the ids its visual tokens replace, `</img>`; the third is the padding behind the path's bytes.
  const int64_t begin = visual.integer_in("image_start_id", 0, out.decoder.vocab_size - 3);
  out.placeholder.kind = PlaceholderRule::Kind::kSpan;
  out.placeholder.begin_id = begin;
  out.placeholder.end_id = begin + 1;
  out.placeholder.token_id = begin + 2;
  out.placeholder.marker = text::builtin_template_marker("qwen_vl");

  ImageProcessor images;
  images.shape = ImageProcessor::Shape::kSquash;
  images.height = size.height;
  images.width = size.width;
  images.size = std::min(size.height, size.width);
  images.mean = kClipMean;
  images.std = kClipStd;
  images.decode = image::DecodeOptions::pillow();
  out.images = images;
  read_special_tokens(config, out);
  return out;
}

ModelConfig read_qwen_vl(const Source& source) {
  ModelConfig out = read_parts(source, "qwen_vl");
  const JsonView visual = source.config().object("visual");
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kResampler;
  connector.resampler.num_queries = visual.integer_in("n_queries", 1, 1 << 16, kQueries);
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  connector.resampler.validate();
  out.connector = connector;
  out.chat_template = text::builtin_template("qwen_vl");
  return out;
}

ModelConfig read_qwen_text(const Source& source) {
  ModelConfig out;
  out.family = "qwen";
  out.decoder = language::DecoderConfig::from_json(source.config());
  read_special_tokens(source.config(), out);
  return out;
}

ModelConfig read_text_monkey(const Source& source) {
  ModelConfig out = read_parts(source, "text_monkey");
  const JsonView visual = source.config().object("visual");
  require(visual.integer("lora_repeat_num", 0) == 0,
          "{}.lora_repeat_num is {}: adapters for single windows are not known, expected 0", visual.path(),
          visual.integer("lora_repeat_num"));
  const image::Size size = picture_size(visual);
  vision::WindowConfig& windows = out.vision->windows;
  windows.window = 32;
  windows.grid = {size.height / out.vision->patch_size, size.width / out.vision->patch_size};
  windows.global_view = visual.boolean("use_global", false);
  require(size.height % out.vision->patch_size == 0 && size.width % out.vision->patch_size == 0 &&
              windows.grid.rows % windows.window == 0 && windows.grid.columns % windows.window == 0,
          "{}.image_size {} x {} is not cut into windows of {} x {} patches of {}", visual.path(), size.height, size.width,
          windows.window, windows.window, out.vision->patch_size);
  out.vision->image_size = windows.window * out.vision->patch_size;
  if (visual.boolean("add_window", false)) {
    windows.adapter_blocks = {2, 6, 24, 46};
    windows.adapter_heads = {4, 8, 16, 32};
    windows.adapter_widths = {128, 256, 512, 1024};
    for (size_t i = 0; source.has_weights() && i < windows.adapter_blocks.size(); ++i) {
      const std::string name =
          "transformer.visual.transformer.window_attention." + std::to_string(i) + ".shift_attn.downsample.weight";
      windows.adapter_widths[i] = source.shape(name).at(0);
    }
  }

  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kWindowResampler;
  connector.window.view.num_queries = kQueries;
  connector.window.num_windows = windows.grid.count() / (windows.window * windows.window);
  connector.window.global_view = windows.global_view;
  if (visual.boolean("resampler", false)) {
    connector.window.local = connector::TokenResamplerConfig{
        .inner_width = source.has_weights() ? source.shape("transformer.visual.downresampler.downsample.weight").at(0) : 1024,
        .num_tokens = visual.integer_in("r", 1, 1 << 16, 512),
    };
  }
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  connector.window.view.validate();
  out.connector = connector;
  out.chat_template = text::builtin_template("monkey");
  return out;
}

/// The first Qwen's decoder: its file says `w2` for what is gated.
NameMap qwen_decoder() {
  NameMap names;
  const std::string theirs = "transformer.h.*.", ours = "language_model.model.layers.*.";
  names.add({"transformer.wte.weight", {"language_model.model.embed_tokens.weight"}});
  names.add({theirs + "ln_1.**", {ours + "input_layernorm.**"}});
  names.add({theirs + "ln_2.**", {ours + "post_attention_layernorm.**"}});
  names.add({theirs + "attn.c_attn.**",
             {ours + "self_attn.q_proj.**", ours + "self_attn.k_proj.**", ours + "self_attn.v_proj.**"},
             Transform::kSplit});
  names.add({theirs + "attn.c_proj.**", {ours + "self_attn.o_proj.**"}});
  names.add({theirs + "mlp.w1.**", {ours + "mlp.up_proj.**"}});
  names.add({theirs + "mlp.w2.**", {ours + "mlp.gate_proj.**"}});
  names.add({theirs + "mlp.c_proj.**", {ours + "mlp.down_proj.**"}});
  names.add({"transformer.ln_f.**", {"language_model.model.norm.**"}});
  names.add({"lm_head.**", {"language_model.lm_head.**"}});
  return names;
}

/// `transformer.visual.`: open_clip's names, each head's query, key and value together.
NameMap big_g(const std::string& tower, const std::string& connector, int64_t heads) {
  NameMap names;
  const std::string theirs = "transformer.resblocks.*.", ours = tower + "encoder.layers.*.";
  names.add({"conv1.weight", {tower + "embeddings.patch_embedding.weight"}});
  names.add({"positional_embedding", {tower + "embeddings.position_embedding.weight"}});
  names.add({"ln_pre.**", {tower + "pre_layrnorm.**"}});
  names.add({theirs + "ln_1.**", {ours + "layer_norm1.**"}});
  names.add({theirs + "ln_2.**", {ours + "layer_norm2.**"}});
  names.add({theirs + "attn.in_proj.**",
             {ours + "self_attn.q_proj.**", ours + "self_attn.k_proj.**", ours + "self_attn.v_proj.**"},
             Transform::kSplitHeads,
             heads});
  names.add({theirs + "attn.out_proj.**", {ours + "self_attn.out_proj.**"}});
  names.add({theirs + "mlp.c_fc.**", {ours + "mlp.fc1.**"}});
  names.add({theirs + "mlp.c_proj.**", {ours + "mlp.fc2.**"}});
  names.add(resampler_names(), "attn_pool.", connector);
  names.add({"ln_post.**", {connector + "ln_post.**"}});
  names.add({"proj", {connector + "proj.weight"}, Transform::kTranspose});
  return names;
}

NameMap qwen_vl_names(const ModelConfig& config) {
  NameMap names = qwen_decoder();
  names.add(big_g("vision_tower.", "multi_modal_projector.", config.vision->num_attention_heads), "transformer.visual.", "");
  return names;
}

NameMap text_monkey_names(const ModelConfig& config) {
  NameMap names = qwen_decoder();
  const std::string visual = "transformer.visual.", connector = "multi_modal_projector.";
  names.add(big_g("vision_tower.trunk.", connector + "resampler.", config.vision->num_attention_heads), visual, "");
  const std::string theirs = visual + "transformer.window_attention.*.", ours = "vision_tower.adapters.*.";
  names.add({theirs + "position_embedding", {ours + "position_embedding"}});
  names.add({theirs + "shift_attn.attn.**", {ours + "**"}});
  names.add({theirs + "shift_attn.mlp.**", {ours + "**"}});
  names.add({theirs + "shift_attn.**", {ours + "**"}});
  const std::string down = visual + "downresampler.", local = connector + "token_resampler.";
  names.add({down + "layers.0.0.to_kv.**", {local + "to_k.**", local + "to_v.**"}, Transform::kSplit});
  names.add({down + "layers.0.0.**", {local + "**"}});
  names.add({down + "layers.0.1.**", {local + "**"}});
  names.add({down + "**", {local + "**"}});
  return names;
}

}  // namespace

NameMap resampler_names() {
  NameMap names;
  for (const char* part : {"weight", "bias"}) {
    const std::string end = part;
    names.add({"attn.in_proj_" + end, {"attn.q_proj." + end, "attn.k_proj." + end, "attn.v_proj." + end}, Transform::kSplit});
  }
  names.add({"attn.out_proj.**", {"attn.out_proj.**"}});
  for (const char* same : {"query", "pos_embed", "kv_proj.weight", "ln_q.**", "ln_kv.**", "ln_post.**"})
    names.add({same, {same}});
  names.add({"proj", {"proj.weight"}, Transform::kTranspose});
  return names;
}

Family qwen_text() {
  return {"qwen", is_qwen_text, read_qwen_text, [](const ModelConfig&) { return qwen_decoder(); }, nullptr};
}
Family qwen_vl() {
  return {"qwen_vl", is_qwen_vl, read_qwen_vl, qwen_vl_names, nullptr};
}
Family text_monkey() {
  return {"text_monkey", is_text_monkey, read_text_monkey, text_monkey_names, nullptr};
}

}  // namespace ocelli::model::hf
