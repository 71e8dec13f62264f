#include "ocelli/train/assemble.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"
#include "ocelli/base/log.h"
#include "ocelli/model/load.h"

namespace ocelli::train {

const char* const kDefaultChatTemplate =
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% "
    "endfor %}"
    "{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kSpecialTokens = {"<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<image>"};
/// Text a tokenizer is trained on: more than this changes little.
constexpr size_t kMostTrainingText = 64 << 20;

std::vector<std::string> texts_of(const std::vector<std::shared_ptr<const data::Dataset>>& sources) {
  std::vector<std::string> texts;
  size_t bytes = 0;
  for (const auto& source : sources) {
    for (int64_t i = 0; i < source->size() && bytes < kMostTrainingText; ++i) {
      try {
        for (data::Turn& turn : source->get(i).turns) {
          bytes += turn.text.size();
          texts.push_back(std::move(turn.text));
        }
      } catch (const Error&) {
        continue;  // broken records are reported when they are drawn
      }
    }
  }
  return texts;
}

/// The config object of a part inside `folder`'s config.json: the whole file, or the named object of a model with several parts.
Json part_config(const fs::path& folder, const char* key) {
  Json config = read_json(folder / "config.json");
  return config.contains(key) ? config[key] : config;
}

vision::VisionConfig vision_config(const PartRecipe& part) {
  Json config = part.config;
  std::vector<int64_t> layers;
  if (config.contains("select_layer")) {
    require(config["select_layer"].is_number_integer(), "model.vision.select_layer is {}, expected an integer",
            config["select_layer"].dump());
    layers = {config["select_layer"].get<int64_t>()};
    config.erase("select_layer");
  }
  if (!part.base.empty()) {
    require(config.empty(), "model.vision: base and \"{}\" can't both be given", config.empty() ? "" : config.begin().key());
    config = part_config(model::resolve_model(part.base), "vision_config");
  } else {
    require(config.contains("architecture"),
            "model.vision: give base or architecture (ocelli_vision, clip_vision_model, siglip_vision_model)");
    config["model_type"] = config["architecture"];
    config.erase("architecture");
  }
  vision::VisionConfig out = vision::VisionConfig::from_json(JsonView(config, "model.vision"));
  if (!layers.empty()) out.feature_layers = layers;
  return out;
}

model::ImageProcessor image_processor(const Recipe& recipe, const vision::VisionConfig& tower) {
  Json config = recipe.model.image;
  if (config.empty() && !recipe.model.vision.base.empty()) {
    const fs::path file = model::resolve_model(recipe.model.vision.base) / "preprocessor_config.json";
    if (fs::exists(file)) {
      const Json json = read_json(file);
      return model::ImageProcessor::from_json(JsonView(json, file.string()));
    }
  }
  config["image_processor_type"] = "OcelliImageProcessor";
  if (!config.contains("size")) config["size"] = tower.image_size;
  model::ImageProcessor out = model::ImageProcessor::from_json(JsonView(config, "model.image"));
  require(out.height == tower.image_size && out.width == tower.image_size, "model.image.size is {}, the vision tower takes {}",
          out.height, tower.image_size);
  return out;
}

struct TextParts {
  Json tokenizer_json;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string chat_template, bos, eos;
};

TextParts tokenizer_parts(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>& sources) {
  TextParts out;
  if (recipe.tokenizer.train) {
    out.tokenizer_json = text::train_byte_level_bpe(
        texts_of(sources), {.vocab_size = recipe.tokenizer.vocab_size, .min_frequency = 2, .special_tokens = kSpecialTokens});
    out.bos = kSpecialTokens[0];
    out.eos = kSpecialTokens[1];
    out.chat_template = kDefaultChatTemplate;
  } else {
    const std::string base = !recipe.tokenizer.base.empty() ? recipe.tokenizer.base : recipe.model.decoder.base;
    require(!base.empty(), "tokenizer: give base, or train = true (a new decoder has none)");
    const fs::path folder = model::resolve_model(base);
    require(fs::exists(folder / "tokenizer.json"), "tokenizer: {} has no tokenizer.json", folder.string());
    // Through the processor, so that every place a template may stand in is looked at.
    const auto processor = model::Processor::load_text(folder);
    out.tokenizer_json = processor.tokenizer_json;
    out.bos = processor.bos_token;
    out.eos = processor.eos_token;
    out.chat_template = processor.chat_template.empty() ? kDefaultChatTemplate : processor.chat_template;
  }
  if (!recipe.tokenizer.chat_template.empty()) out.chat_template = recipe.tokenizer.chat_template;
  return out;
}

/// The id of `<image>`, which is added to the tokenizer when it has none.
int64_t image_token(TextParts& parts) {
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "tokenizer.json");
  if (const auto id = parts.tokenizer->id_of("<image>")) return *id;
  const int64_t id = parts.tokenizer->vocab_size();
  parts.tokenizer_json["added_tokens"].push_back({{"id", id},
                                                  {"content", "<image>"},
                                                  {"single_word", false},
                                                  {"lstrip", false},
                                                  {"rstrip", false},
                                                  {"normalized", false},
                                                  {"special", true}});
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "tokenizer.json");
  return id;
}

}  // namespace

Assembled assemble(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>& sources) {
  Assembled out;
  const model::LoadOptions trainable{.dtype = at::kFloat, .trainable = true};
  if (!recipe.model.base.empty()) {
    const fs::path folder = model::resolve_model(recipe.model.base);
    out.model = model::load_model(folder, trainable);
    out.processor = model::Processor::load(folder, out.model->config());
    return out;
  }
  TextParts text = tokenizer_parts(recipe, sources);
  model::ModelConfig config;
  config.model_type = "ocelli";

  Json decoder = recipe.model.decoder.config;
  if (!recipe.model.decoder.base.empty()) {
    require(decoder.empty(), "model.decoder: base and \"{}\" can't both be given", decoder.empty() ? "" : decoder.begin().key());
    decoder = part_config(model::resolve_model(recipe.model.decoder.base), "text_config");
  } else {
    require(decoder.contains("architecture"), "model.decoder: give base or architecture (llama)");
    decoder["model_type"] = decoder["architecture"];
    decoder.erase("architecture");
  }
  const bool sees = !recipe.model.vision.base.empty() || !recipe.model.vision.config.empty();
  if (sees) config.image_token_id = image_token(text);
  text.tokenizer = text::make_tokenizer(text.tokenizer_json, "tokenizer.json");
  const int64_t known =
      decoder.contains("vocab_size") && decoder["vocab_size"].is_number_integer() ? decoder["vocab_size"].get<int64_t>() : 0;
  decoder["vocab_size"] = std::max(known, text.tokenizer->vocab_size());
  config.decoder = language::DecoderConfig::from_json(JsonView(decoder, "model.decoder"));
  if (const auto id = text.tokenizer->id_of(text.bos)) config.bos_token_id = *id;
  if (const auto id = text.tokenizer->id_of(text.eos)) config.eos_token_ids = {*id};

  model::Processor::Parts parts;
  if (sees) {
    config.vision = vision_config(recipe.model.vision);
    require(recipe.model.connector.base.empty(), "model.connector.base: connectors are loaded with a whole model (model.base)");
    const Json connector = recipe.model.connector.config.empty() ? Json{{"type", "mlp"}} : recipe.model.connector.config;
    config.connector = connector::ConnectorConfig::from_json(JsonView(connector, "model.connector"),
                                                             config.vision->feature_width(), config.decoder.hidden_size);
    parts.images = image_processor(recipe, *config.vision);
  }
  parts.tokenizer = text.tokenizer;
  parts.tokenizer_json = text.tokenizer_json;
  parts.chat_template = text.chat_template;
  parts.bos_token = text.bos;
  parts.eos_token = text.eos;
  parts.image_token_id = config.image_token_id;
  parts.processor_config = model::published_processor_config(config);
  out.processor = std::make_shared<const model::Processor>(std::move(parts));
  out.model = std::make_shared<model::Model>(config);
  nn::initialize(*out.model, recipe.seed);
  if (!recipe.model.vision.base.empty()) {
    model::load_part(*out.model, "vision_tower.", model::resolve_model(recipe.model.vision.base), trainable);
  }
  if (!recipe.model.decoder.base.empty()) {
    model::load_part(*out.model, "language_model.", model::resolve_model(recipe.model.decoder.base), trainable);
  }
  return out;
}

}  // namespace ocelli::train
