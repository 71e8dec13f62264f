#include "ocelli/train/assemble.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "ocelli/base/error.h"
#include "ocelli/model/load.h"
#include "ocelli/train/toml_reader.h"

namespace ocelli::train {

const char* const kDefaultChatTemplate =
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% "
    "endfor %}"
    "{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

namespace {

namespace fs = std::filesystem;
constexpr const char *kBos = "<|bos|>", *kEnd = "<|end|>", *kSystem = "<|system|>", *kUser = "<|user|>",
                     *kAssistant = "<|assistant|>", *kImage = "<image>";
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

/// Where `word` stands as a whole word of `text`; npos when nowhere.
size_t find_word(std::string_view text, std::string_view word) {
  const auto part_of_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !part_of_word(text[at - 1]);
    const bool ends = at + word.size() == text.size() || !part_of_word(text[at + word.size()]);
    if (begins && ends) return at;
  }
  return text.npos;
}

/// Throws what is wrong with a part as a mistake of the recipe, with the place of the key it names first.
[[noreturn]] void refuse(const Recipe& recipe, const std::string& part, const Json& keys, std::string what) {
  std::string place = recipe.name;
  if (const auto found = recipe.places.find(part); found != recipe.places.end()) place = found->second;
  size_t first = what.npos;
  for (const auto& [key, value] : keys.items()) {
    const auto found = recipe.places.find(part + "." + key);
    const size_t at = find_word(what, key);
    if (found == recipe.places.end() || at >= first) continue;
    first = at;
    place = found->second;
  }
  // A JsonView's path joins its first key with ": ".
  if (what.starts_with(part + ": ") && first == part.size() + 2) what.replace(part.size(), 2, ".");
  throw UsageError(fmt::format("{}: {}", place, what));
}

/// Refuses the first key of `keys` that is not among those asked for (`a.b` inside objects).
void check_keys(const Recipe& recipe, const std::string& part, const Json& keys, const std::set<std::string>& asked) {
  std::vector<std::string> known;
  for (const std::string& key : asked) {
    if (key.find('.') == key.npos && key != "model_type" && key != "image_processor_type") known.push_back(key);
  }
  for (const auto& [key, value] : keys.items()) {
    if (!asked.contains(key)) {
      const auto found = recipe.places.find(part + "." + key);
      throw UsageError(fmt::format("{}: {}.{} {}", found == recipe.places.end() ? recipe.name : found->second, part, key,
                                   not_known(key, known)));
    }
    if (!value.is_object()) continue;
    const auto inside = [&, prefix = key + "."](const std::string& one) { return one.starts_with(prefix); };
    if (std::none_of(asked.begin(), asked.end(), inside)) continue;  // taken whole
    for (const auto& [name, item] : value.items()) {
      if (!asked.contains(key + "." + name)) {
        refuse(recipe, part, keys, fmt::format("{}.{}.{} is not known", part, key, name));
      }
    }
  }
}

/// A part given by its keys: read from `config`, which is `keys` in the reader's spelling.
template <typename Read>
auto read_keys(const Recipe& recipe, const std::string& part, const Json& keys, const Json& config, const Read& read) {
  std::set<std::string> asked = {"architecture", "select_layer"};
  try {
    auto out = read(JsonView(config, part).noting(asked));
    if (part != "model.vision" && part != "model.aux_vision") asked.erase("select_layer");
    if (!config.contains("model_type")) asked.erase("architecture");
    check_keys(recipe, part, keys, asked);
    return out;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    refuse(recipe, part, keys, error.what());
  }
}

/// `architecture` is what config.json calls `model_type`.
Json with_model_type(const Recipe& recipe, const std::string& part, const Json& keys, const char* known) {
  if (!keys.contains("architecture")) refuse(recipe, part, keys, fmt::format("{}: give base or architecture ({})", part, known));
  Json config = keys;
  config["model_type"] = config["architecture"];
  config.erase("architecture");
  return config;
}

/// A tower as `part`, which stands at `path`, describes it.
vision::VisionConfig vision_config(const Recipe& recipe, const PartRecipe& part, const std::string& path) {
  Json keys = part.config;
  std::vector<int64_t> layers;
  if (keys.contains("select_layer")) {
    if (!keys["select_layer"].is_number_integer()) {
      refuse(recipe, path, keys, fmt::format("{}.select_layer is {}, expected an integer", path, keys["select_layer"].dump()));
    }
    layers = {keys["select_layer"].get<int64_t>()};
    keys.erase("select_layer");
  }
  // Positions of a loaded tower may be resized to other pictures than it was trained on.
  std::string resize;
  if (!part.base.empty() && keys.contains("position_resize")) {
    if (keys["position_resize"].is_string()) resize = keys["position_resize"].get<std::string>();
    if (resize != "bicubic" && resize != "bicubic_antialias") {
      refuse(recipe, path, keys,
             fmt::format("{}.position_resize is {}, expected \"bicubic\" or \"bicubic_antialias\"", path,
                         keys["position_resize"].dump()));
    }
    keys.erase("position_resize");
  }
  vision::VisionConfig out;
  if (!part.base.empty()) {
    if (!keys.empty()) {
      const std::string& key = keys.begin().key();
      refuse(recipe, path, keys, fmt::format("{}.{} is given beside base, whose own configuration holds", path, key));
    }
    const fs::path folder = model::resolve_model(part.base);
    const Json config = part_config(folder, "vision_config");
    out = vision::VisionConfig::from_json(JsonView(config, (folder / "config.json").string()));
    if (!resize.empty()) {
      using vision::PositionResize;
      out.position_resize = resize == "bicubic" ? PositionResize::kBicubic : PositionResize::kBicubicAntialias;
    }
  } else {
    const Json config = with_model_type(recipe, path, keys, "ocelli_vision, clip_vision_model, siglip_vision_model");
    out = read_keys(recipe, path, keys, config, [](const JsonView& view) { return vision::VisionConfig::from_json(view); });
  }
  if (!layers.empty()) out.feature_layers = layers;
  return out;
}

language::DecoderConfig decoder_config(const Recipe& recipe, int64_t vocabulary) {
  const PartRecipe& part = recipe.model.decoder;
  language::DecoderConfig out;
  if (!part.base.empty()) {
    if (!part.config.empty()) {
      const std::string& key = part.config.begin().key();
      refuse(recipe, "model.decoder", part.config,
             fmt::format("model.decoder.{} is given beside base, whose own configuration holds", key));
    }
    out = model::ModelConfig::load(model::resolve_model(part.base)).decoder;
  } else {
    Json config = with_model_type(recipe, "model.decoder", part.config, "llama, …");
    if (!config.contains("vocab_size")) config["vocab_size"] = vocabulary;
    out = read_keys(recipe, "model.decoder", part.config, config,
                    [](const JsonView& view) { return language::DecoderConfig::from_json(view); });
  }
  out.vocab_size = std::max(out.vocab_size, vocabulary);
  return out;
}

model::ImageProcessor image_processor(const Recipe& recipe, const vision::VisionConfig& tower) {
  const Json& keys = recipe.model.image;
  if (keys.empty() && !recipe.model.vision.base.empty()) {
    return model::Processor::load_images(model::resolve_model(recipe.model.vision.base));
  }
  Json config = keys;
  config["image_processor_type"] = "OcelliImageProcessor";
  if (!config.contains("size")) config["size"] = tower.image_size;
  return read_keys(recipe, "model.image", keys, config,
                   [](const JsonView& view) { return model::ImageProcessor::from_json(view); });
}

/// What the second tower gets: its base's own table, or the first one's in its size and uncut.
std::shared_ptr<const model::ImageProcessor> aux_processor(const Recipe& recipe, const model::ImageProcessor& first,
                                                           const vision::VisionConfig& tower) {
  if (!recipe.model.aux_vision.base.empty()) {
    return std::make_shared<const model::ImageProcessor>(
        model::Processor::load_images(model::resolve_model(recipe.model.aux_vision.base)));
  }
  Json config = {{"image_processor_type", "OcelliImageProcessor"}, {"size", tower.image_size}};
  for (const char* key : {"resample", "image_mean", "image_std", "rescale_factor"}) {
    if (recipe.model.image.contains(key)) config[key] = recipe.model.image[key];
  }
  model::ImageProcessor out = model::ImageProcessor::from_json(JsonView(config, "model.aux_vision"));
  out.decode = first.decode;
  return std::make_shared<const model::ImageProcessor>(std::move(out));
}

/// The text side of a model: what its processor is made of, without pictures.
struct TextParts {
  model::Processor::Parts parts;
  std::vector<int64_t> ends;  ///< ids an answer ends with
  int64_t vocabulary = 0;     ///< ids in all
};

/// Adds a special token where the tokenizer has none of that name; gives its id.
int64_t add_token(model::Processor::Parts& parts, const std::string& content) {
  if (const auto id = parts.tokenizer->id_of(content)) return *id;
  const int64_t id = parts.tokenizer->vocab_size();
  parts.tokenizer_json["added_tokens"].push_back({{"id", id},
                                                  {"content", content},
                                                  {"single_word", false},
                                                  {"lstrip", false},
                                                  {"rstrip", false},
                                                  {"normalized", false},
                                                  {"special", true}});
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "tokenizer.json");
  return id;
}

/// The ids the base of a tokenizer ends answers with: those of generation_config.json, else of config.json.
std::vector<int64_t> ends_of(const fs::path& folder) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Json json = std::string_view(name) == "config.json" ? part_config(folder, "text_config") : read_json(folder / name);
    const JsonView config(json, (folder / name).string());
    if (!config.has("eos_token_id")) continue;
    if (json["eos_token_id"].is_array()) return config.integers("eos_token_id");
    return {config.integer("eos_token_id")};
  }
  return {};
}

/// A tokenizer as its folder has it.
TextParts loaded_text(const Recipe& recipe) {
  const std::string base = !recipe.tokenizer.base.empty() ? recipe.tokenizer.base : recipe.model.decoder.base;
  if (base.empty())
    throw UsageError(fmt::format("{}: tokenizer: give base, or train = true (a new decoder has none)", recipe.name));
  const fs::path folder = model::resolve_model(base);
  TextParts out;
  // Through the processor, so that every place a template may stand in is looked at.
  out.parts = model::Processor::load_text(folder);
  require(!out.parts.tokenizer_json.is_null(), "tokenizer: {} has no tokenizer.json", folder.string());
  out.ends = ends_of(folder);
  if (out.parts.chat_template.empty() && recipe.tokenizer.chat_template.empty()) {
    // A template of ours is no use with marks the tokenizer cuts to pieces, or an end it never gives.
    out.parts.chat_template = kDefaultChatTemplate;
    for (const char* token : {kEnd, kSystem, kUser, kAssistant}) add_token(out.parts, token);
    out.parts.eos_token = kEnd;
    if (out.parts.bos_token.empty()) {
      out.parts.bos_token = kBos;
      add_token(out.parts, kBos);
    }
  }
  return out;
}

/// A tokenizer trained on `sources`; without them only its size.
TextParts trained_text(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>* sources) {
  TextParts out;
  out.vocabulary = recipe.tokenizer.vocab_size;
  out.parts.chat_template = kDefaultChatTemplate;
  out.parts.bos_token = kBos;
  out.parts.eos_token = kEnd;
  if (sources == nullptr) return out;
  out.parts.tokenizer_json =
      text::train_byte_level_bpe(texts_of(*sources), {.vocab_size = recipe.tokenizer.vocab_size,
                                                      .min_frequency = 2,
                                                      .special_tokens = {kBos, kEnd, kSystem, kUser, kAssistant, kImage}});
  out.parts.tokenizer = text::make_tokenizer(out.parts.tokenizer_json, "tokenizer.json");
  return out;
}

TextParts text_parts(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>* sources) {
  TextParts out = recipe.tokenizer.train ? trained_text(recipe, sources) : loaded_text(recipe);
  if (!recipe.tokenizer.chat_template.empty()) out.parts.chat_template = recipe.tokenizer.chat_template;
  const bool sees = recipe.model.vision.given();
  if (out.parts.tokenizer == nullptr) {  // its special tokens get the first ids, in order
    if (sees) out.parts.placeholder.token_id = 5;
    return out;
  }
  if (sees) out.parts.placeholder.token_id = add_token(out.parts, kImage);
  out.vocabulary = out.parts.tokenizer->vocab_size();
  const auto end = out.parts.tokenizer->id_of(out.parts.eos_token);
  if (end && std::find(out.ends.begin(), out.ends.end(), *end) == out.ends.end()) out.ends.push_back(*end);
  return out;
}

Configured configured_parts(const Recipe& recipe, const TextParts& text) {
  Configured out;
  model::ModelConfig& config = out.config;
  config.decoder = decoder_config(recipe, text.vocabulary);
  std::erase_if(config.eos_token_ids = text.ends, [&](int64_t id) { return id < 0 || id >= config.decoder.vocab_size; });
  if (text.parts.tokenizer != nullptr) config.bos_token_id = text.parts.tokenizer->id_of(text.parts.bos_token).value_or(-1);
  if (!recipe.model.vision.given()) return out;
  config.placeholder = text.parts.placeholder;
  config.vision = vision_config(recipe, recipe.model.vision, "model.vision");
  if (recipe.model.aux_vision.given()) config.aux_vision = vision_config(recipe, recipe.model.aux_vision, "model.aux_vision");
  const PartRecipe& connector = recipe.model.connector;
  if (!connector.base.empty()) {
    refuse(recipe, "model.connector", {}, "model.connector.base: connectors are loaded with a whole model (model.base)");
  }
  const Json keys = connector.config.empty() ? Json{{"type", "mlp"}} : connector.config;
  config.connector = read_keys(recipe, "model.connector", keys, keys, [&](const JsonView& view) {
    return connector::ConnectorConfig::from_json(view, config.vision->feature_width(), config.decoder.hidden_size,
                                                 config.aux_vision ? config.aux_vision->feature_width() : 0);
  });
  out.images = image_processor(recipe, *config.vision);
  if (config.aux_vision) out.images->aux = aux_processor(recipe, *out.images, *config.aux_vision);
  const bool one_size = config.vision->position_resize == vision::PositionResize::kNone;
  if (one_size && (out.images->height != config.vision->image_size || out.images->width != config.vision->image_size)) {
    refuse(recipe, "model.image", recipe.model.image,
           fmt::format("model.image.size is {} x {}, the vision tower takes {} x {}", out.images->width, out.images->height,
                       config.vision->image_size, config.vision->image_size));
  }
  try {  // parts that are sound, but don't go together
    const model::Model model(config);
    model.num_tokens(out.images->tiling(out.images->width, out.images->height));
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    refuse(recipe, "model.connector", keys, error.what());
  }
  return out;
}

}  // namespace

Configured configure(const Recipe& recipe) {
  if (recipe.model.base.empty()) return configured_parts(recipe, text_parts(recipe, nullptr));
  const fs::path folder = model::resolve_model(recipe.model.base);
  Configured out;
  out.config = model::ModelConfig::load(folder);
  if (out.config.vision) out.images = model::Processor::load(folder, out.config)->images();
  return out;
}

Assembled assemble(const Recipe& recipe, const std::vector<std::shared_ptr<const data::Dataset>>& sources) {
  Assembled out;
  const model::LoadOptions trainable{.dtype = at::kFloat, .trainable = true};
  if (!recipe.model.base.empty()) {
    const fs::path folder = model::resolve_model(recipe.model.base);
    out.model = model::load_model(folder, trainable);
    out.processor = model::Processor::load(folder, out.model->config());
    return out;
  }
  TextParts text = text_parts(recipe, &sources);
  const Configured configured = configured_parts(recipe, text);
  const model::ModelConfig& config = configured.config;
  if (configured.images) text.parts.images = *configured.images;
  text.parts.positions = config.positions;
  text.parts.visual_expert = config.decoder.visual_expert;
  text.parts.processor_config = model::published_processor_config(config);
  out.processor = std::make_shared<const model::Processor>(std::move(text.parts));
  out.model = std::make_shared<model::Model>(config);
  nn::initialize(*out.model, recipe.seed);
  if (!recipe.model.vision.base.empty()) {
    model::load_part(*out.model, "vision_tower.", model::resolve_model(recipe.model.vision.base), trainable);
  }
  if (!recipe.model.aux_vision.base.empty()) {
    model::load_part(*out.model, "aux_tower.", model::resolve_model(recipe.model.aux_vision.base), trainable);
  }
  if (!recipe.model.decoder.base.empty()) {
    model::load_part(*out.model, "language_model.", model::resolve_model(recipe.model.decoder.base), trainable);
  }
  return out;
}

}  // namespace ocelli::train
