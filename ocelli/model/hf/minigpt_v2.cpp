#include "ocelli/base/error.h"
#include "ocelli/model/hf/blip2_parts.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {
namespace {

/// eva_vit.py: 16 heads whatever the width, and its last block is built but not run.
constexpr int64_t kHeads = 16, kBlocks = -1;
/// `<s>` is text here, and the tokenizer puts its own in front: the prompt starts with two.
constexpr const char* kTemplate =
    "{% for message in messages %}{% if message.role == 'user' %}<s>[INST] {% if message.content is string %}{{ message.content "
    "}}"
    "{% else %}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% else %}<Img><ImageHere></Img> {% "
    "endif %}"
    "{% endfor %}{% endif %} [/INST]{% elif message.role == 'assistant' %} {{ message.content }}</s>{% endif %}{% endfor %}";

bool matches(const JsonView& config) {
  return config.has("minigpt_v2");
}

ModelConfig read(const Source& source) {
  const JsonView& config = source.config();
  const JsonView own = config.object("minigpt_v2");
  ModelConfig out;
  out.decoder = language::DecoderConfig::from_json(config);
  const int64_t side = own.integer_in("image_size", 1, 1 << 14, 448);
  out.vision = eva_tower(source, "", side, kHeads, kBlocks, {});
  out.vision->keep_class_token = false;
  connector::ConnectorConfig connector;
  connector.type = connector::ConnectorConfig::Type::kConcatNeighbours;
  connector.concat.neighbours = 4;
  connector.set_widths(out.vision->feature_width(), out.decoder.hidden_size, 0);
  out.connector = connector;
  const int64_t rank = own.integer_in("lora_r", 0, 1 << 12, 64);
  if (rank > 0) out.adapter_scale = own.number("lora_alpha", 16) / static_cast<double>(rank);
  out.placeholder.token_id = -200;
  out.placeholder.marker = "<ImageHere>";
  out.placeholder.bos_twice = true;
  out.chat_template = kTemplate;
  out.images = blip_images(side);
  read_special_tokens(config, out);
  return out;
}

NameMap names(const ModelConfig& config) {
  NameMap names;
  names.add(eva_names("", config.vision->num_hidden_layers), "", "");
  // ln_vision was frozen at its start and saved by no one.
  names.add({"", {"vision_tower.post_layernorm.weight", "vision_tower.post_layernorm.bias"}, Transform::kInitial});
  names.add({"ln_vision.**", {"vision_tower.post_layernorm.**"}});
  names.add({"llama_proj.**", {"multi_modal_projector.linear_1.**"}});
  names.add({"llama_model.base_model.model.**", {"language_model.**"}});
  names.add(decoder_names(config.decoder), "", "language_model.");
  return names;
}

}  // namespace

Family minigpt_v2() {
  return {"minigpt_v2", matches, read, names, nullptr};
}

}  // namespace ocelli::model::hf
