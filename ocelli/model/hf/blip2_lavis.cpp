#include "ocelli/base/error.h"
#include "ocelli/model/hf/blip2_parts.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

/// LAVIS and VPGTrans publish no config.json: `model` and `preprocess` repeat their YAML, `vit_config`, `qformer_config` and the
/// section of the language model spell out what is otherwise in code, in BERT's and in the language model's own folder.
struct Arch {
  std::string_view model_type;
  const char* section;     ///< of the language model's config
  const char* language;    ///< prefix of its weights
  const char* projection;  ///< from the Q-Former's width
  bool instruct;
};
constexpr Arch kArchs[] = {
    {"blip2_opt", "opt_config", "opt_model", "opt_proj", false},
    {"blip2_t5", "t5_config", "t5_model", "t5_proj", false},
    {"blip2_vicuna", "llama_config", "llama_model", "llama_proj", false},  // VL-Vicuna
    {"blip2_llama", "llama_config", "llama_model", "llama_proj", false},   // VL-LLaMA
    {"blip2_vicuna_instruct", "llm_config", "llm_model", "llm_proj", true},
    {"blip2_t5_instruct", "t5_config", "t5_model", "t5_proj", true},
};

const Arch* arch_of(std::string_view model_type) {
  for (const Arch& arch : kArchs) {
    if (arch.model_type == model_type) return &arch;
  }
  return nullptr;
}

bool matches(const JsonView& config) {
  return arch_of(config.string("model_type", "")) != nullptr;
}

/// The prompt of VPGTrans' chat; VL-LLaMA continues a text.
constexpr const char* kVicunaTemplate =
    "{% for message in messages %}###{% if message.role == 'user' %}Human: {% if message.content is string %}{{ message.content "
    "}}{% else %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% else %}<Img><ImageHere></Img> {% endif %}{% "
    "endfor %}"
    "{% endif %} {% else %}Assistant: {{ message.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}###Assistant:{% "
    "endif %}";

/// The tower by `vit_config`, what it leaves out as published.
EvaSizes spelled_out(const JsonView& vit) {
  EvaSizes out;
  out.blocks = vit.integer_in("depth", 0, 1024, 0);
  if (out.blocks == 0) out.blocks = 39;
  out.hidden_size = vit.integer_in("embed_dim", 1, 1 << 16, out.hidden_size);
  const double ratio = vit.number("mlp_ratio", 4.3637);
  require(ratio > 0 && ratio <= 64, "{}.mlp_ratio is {}, expected a positive number up to 64", vit.path(), ratio);
  out.intermediate_size = static_cast<int64_t>(static_cast<double>(out.hidden_size) * ratio);
  out.patch_size = vit.integer_in("patch_size", 1, 1 << 14, out.patch_size);
  out.positions_side = vit.integer_in("img_size", out.patch_size, 1 << 14, 224) / out.patch_size;
  return out;
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  const Arch& arch = *arch_of(config.string("model_type"));
  const JsonView model = config.object("model"), vit = config.object("vit_config"), bert = config.object("qformer_config");
  const JsonView text = config.object(arch.section);
  ModelConfig out;
  if (text.string("model_type", "") == "t5") {
    auto t5 = language::EncoderDecoderConfig::from_json(text);
    if (source.has_weights()) {
      t5.tie_word_embeddings = source.weights().find(std::string(arch.language) + ".lm_head.weight") == nullptr;
    }
    // LAVIS sets this whatever the language model's own config says (blip2_t5.py).
    t5.dense_act_fn = nn::Activation::kGelu;
    set_encoder_decoder(out, t5);
  } else {
    out.decoder = language::DecoderConfig::from_json(text);
  }
  const int64_t side = model.integer_in("image_size", 1, 1 << 14, 224);
  const int64_t depth = vit.integer_in("depth", 0, 1024, 0);
  out.vision = eva_tower(source, "visual_encoder.", side, vit.integer_in("num_heads", 1, 1 << 12, 16), depth, spelled_out(vit));

  Json qformer = bert.value();
  qformer["cross_attention_frequency"] = bert.integer_in("cross_attention_freq", 1, 256, 2);
  qformer["num_query_tokens"] = model.integer_in("num_query_token", 1, 1 << 16, 32);
  qformer["text_input"] = arch.instruct;
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kQFormer;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  connector.qformer = connector::QFormerConfig::from_json(JsonView(qformer, config.path() + ": qformer_config"));
  out.connector = connector;

  out.placeholder.token_id = -200;
  out.placeholder.front = true;
  out.placeholder.marker = "<ImageHere>";
  out.chat_template = arch.model_type == "blip2_vicuna" ? kVicunaTemplate : arch.instruct ? kPlainTemplate : kQuestionTemplate;
  if (arch.model_type == "blip2_llama") out.chat_template = kPlainTemplate;
  out.images = blip_images(side);
  out.images->rows_first = true;
  read_special_tokens(config, out);
  return out;
}

NameMap names_for(const ModelConfig& config, const Arch& arch) {
  NameMap names;
  names.add(eva_names("visual_encoder.", config.vision->num_hidden_layers), "", "");
  names.add({"ln_vision.**", {"vision_tower.post_layernorm.**"}});
  const std::string ours = "multi_modal_projector.", bert = "Qformer.bert.", layer = "encoder.layer.*.";
  names.add({"query_tokens", {ours + "query_tokens"}});
  names.add({bert + "embeddings.position_ids", {}, Transform::kIgnore});
  names.add(
      {bert + "embeddings.LayerNorm.**", {ours + (arch.instruct ? "qformer.embeddings.layernorm.**" : "qformer.layernorm.**")}});
  if (!arch.instruct) {
    // The text branch of the first stage, which later stages delete.
    for (const char* unused : {"embeddings.word_embeddings.**", "embeddings.position_embeddings.**"}) {
      names.add({bert + unused, {}, Transform::kIgnore});
    }
    for (const char* unused : {"intermediate.**", "output.**"}) names.add({bert + layer + unused, {}, Transform::kIgnore});
  }
  for (const char* kind : {"attention.", "crossattention."}) {
    names.add({bert + layer + kind + "self.**", {ours + "qformer." + layer + kind + "attention.**"}});
  }
  names.add({bert + "**", {ours + "qformer.**"}});
  names.add({"Qformer.cls.**", {}, Transform::kIgnore});
  names.add({std::string(arch.projection) + ".**", {ours + "language_projection.**"}});
  names.add(language_names(config), std::string(arch.language) + ".", "language_model.");
  return names;
}

NameMap names(const ModelConfig& config) {
  // Layouts differ in prefixes alone, so every one may stand: the file has those of one.
  NameMap names;
  for (const Arch& arch : kArchs) {
    const bool instruct = config.connector->qformer.vocab_size > 0;
    if (arch.instruct == instruct) names.add(names_for(config, arch), "", "");
  }
  return names;
}

}  // namespace

Family blip2_lavis() {
  return {"lavis", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
