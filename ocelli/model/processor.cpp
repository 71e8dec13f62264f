#include "ocelli/model/processor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::model {
namespace {

namespace fs = std::filesystem;

/// A special token as tokenizer_config.json gives it: a string or {"content": …}.
std::string token_text(const Json& config, const char* key) {
  if (!config.contains(key)) return {};
  const Json& value = config[key];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) return value["content"].get<std::string>();
  return {};
}

Json read_if_there(const fs::path& path) {
  return fs::exists(path) ? read_json(path) : Json::object();
}

}  // namespace

Processor::Processor(Parts parts) : parts_(std::move(parts)) {
  if (!parts_.chat_template.empty()) template_.emplace(parts_.chat_template);
}

Processor::Parts Processor::load_text(const fs::path& folder) {
  Parts parts;
  const Json processor = read_if_there(folder / "processor_config.json");
  parts.tokenizer_config = read_if_there(folder / "tokenizer_config.json");
  const Json& tokenizer_config = parts.tokenizer_config;
  if (fs::exists(folder / "tokenizer.json")) {
    parts.tokenizer_json = read_json(folder / "tokenizer.json", {.max_bytes = 256ULL << 20, .reject_duplicate_keys = false});
    parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, (folder / "tokenizer.json").string());
    parts.bos_token = token_text(tokenizer_config, "bos_token");
    parts.eos_token = token_text(tokenizer_config, "eos_token");
  }
  // Newest convention first.
  if (fs::exists(folder / "chat_template.jinja")) {
    parts.chat_template = read_file(folder / "chat_template.jinja", 1 << 20);
  } else if (fs::exists(folder / "chat_template.json")) {
    const Json json = read_json(folder / "chat_template.json");
    parts.chat_template = JsonView(json, (folder / "chat_template.json").string()).string("chat_template");
  } else if (processor.contains("chat_template") && processor["chat_template"].is_string()) {
    parts.chat_template = processor["chat_template"].get<std::string>();
  } else if (tokenizer_config.contains("chat_template") && tokenizer_config["chat_template"].is_string()) {
    parts.chat_template = tokenizer_config["chat_template"].get<std::string>();
  }
  return parts;
}

std::shared_ptr<const Processor> Processor::load(const fs::path& folder, const ModelConfig& config) {
  Parts parts = load_text(folder);
  if (parts.tokenizer) {
    require(parts.tokenizer->vocab_size() <= config.decoder.vocab_size,
            "model {}: the tokenizer has {} ids, the embedding {} rows", folder.string(), parts.tokenizer->vocab_size(),
            config.decoder.vocab_size);
    if (config.image_token_id >= 0 && config.image_token_id < parts.tokenizer->vocab_size()) {
      parts.image_token = parts.tokenizer->token_of(config.image_token_id);
    }
  }
  parts.image_token_id = config.image_token_id;
  parts.processor_config = published_processor_config(config);
  if (!config.vision) return std::make_shared<const Processor>(std::move(parts));

  const Json processor = read_if_there(folder / "processor_config.json");
  if (fs::exists(folder / "preprocessor_config.json")) {
    const Json json = read_json(folder / "preprocessor_config.json");
    parts.images = ImageProcessor::from_json(JsonView(json, (folder / "preprocessor_config.json").string()));
  } else {
    require(processor.contains("image_processor"),
            "model {}: it sees pictures, but neither preprocessor_config.json nor an image_processor in processor_config.json "
            "says how "
            "to prepare them",
            folder.string());
    parts.images = ImageProcessor::from_json(
        JsonView(processor["image_processor"], (folder / "processor_config.json").string() + ": image_processor"));
  }
  require(parts.images.height == config.vision->image_size && parts.images.width == config.vision->image_size,
          "model {}: pictures are prepared at {} x {}, the vision tower takes {} x {}", folder.string(), parts.images.width,
          parts.images.height, config.vision->image_size, config.vision->image_size);
  return std::make_shared<const Processor>(std::move(parts));
}

const text::Tokenizer& Processor::tokenizer() const {
  require(has_tokenizer(), "the model's folder has no tokenizer.json; give ids with --input-ids");
  return *parts_.tokenizer;
}

std::string Processor::render(const OrderedJson& messages, bool add_generation_prompt) const {
  require(template_.has_value(), "the model has no chat template; give the full prompt with --raw");
  OrderedJson variables = {{"messages", messages}, {"add_generation_prompt", add_generation_prompt}};
  if (!parts_.bos_token.empty()) variables["bos_token"] = parts_.bos_token;
  if (!parts_.eos_token.empty()) variables["eos_token"] = parts_.eos_token;
  return template_->render(variables);
}

std::vector<int64_t> Processor::encode(std::string_view prompt) const {
  const bool has_bos = !parts_.bos_token.empty() && prompt.starts_with(parts_.bos_token);
  return tokenizer().encode(prompt, !has_bos);
}

std::string Processor::decode(const std::vector<int64_t>& ids) const {
  const int64_t known = tokenizer().vocab_size();
  std::vector<int64_t> text;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(text), [&](int64_t id) { return id < known; });
  return tokenizer().decode(text, true);
}

std::vector<int64_t> Processor::expand(const std::vector<int64_t>& ids, const std::vector<int64_t>& counts) const {
  std::vector<int64_t> out;
  size_t picture = 0;
  for (const int64_t id : ids) {
    if (id != parts_.image_token_id) {
      out.push_back(id);
      continue;
    }
    if (picture < counts.size()) out.insert(out.end(), static_cast<size_t>(counts[picture]), id);
    ++picture;
  }
  require(picture == counts.size(), "the text has {} {} placeholders, but {} pictures were given", picture, parts_.image_token,
          counts.size());
  return out;
}

ModelInputs Processor::make_inputs(const std::vector<int64_t>& ids, const std::vector<PixelTiles>& pictures) const {
  ModelInputs inputs;
  const int64_t length = static_cast<int64_t>(ids.size());
  inputs.input_ids = nn::index_tensor(ids);
  inputs.positions = at::arange(length, at::kLong);
  inputs.visual_rows =
      parts_.image_token_id < 0 ? at::empty({0}, at::kLong) : at::nonzero(inputs.input_ids == parts_.image_token_id).flatten();
  inputs.layout = nn::AttentionLayout::uniform(1, length, true);
  std::vector<const PixelTiles*> tiles;
  for (const PixelTiles& picture : pictures) {
    tiles.push_back(&picture);
    inputs.pictures.push_back(picture.tiling);
  }
  inputs.pixel_values = stack_pixels(tiles);
  return inputs;
}

void Processor::save(const fs::path& folder) const {
  make_directories(folder);
  if (has_tokenizer()) {
    write_file_atomic(folder / "tokenizer.json", parts_.tokenizer_json.dump(2) + "\n");
    Json config = parts_.tokenizer_config;
    if (!config.contains("tokenizer_class")) config["tokenizer_class"] = "PreTrainedTokenizerFast";
    if (!config.contains("clean_up_tokenization_spaces")) config["clean_up_tokenization_spaces"] = false;
    config.erase("chat_template");  // lies in a file of its own
    if (!parts_.bos_token.empty()) config["bos_token"] = parts_.bos_token;
    if (!parts_.eos_token.empty()) config["eos_token"] = parts_.eos_token;
    if (parts_.image_token_id >= 0) {
      config["image_token"] = parts_.image_token;
      Json& extra = config["extra_special_tokens"];
      if (extra.is_null()) extra = Json::object();
      if (extra.is_object()) extra["image_token"] = parts_.image_token;
    }
    write_file_atomic(folder / "tokenizer_config.json", config.dump(2) + "\n");
  }
  if (!parts_.chat_template.empty()) write_file_atomic(folder / "chat_template.jinja", parts_.chat_template);
  if (parts_.image_token_id >= 0) {
    Json config = parts_.processor_config;
    config["processor_class"] = "LlavaProcessor";
    config["image_processor"] = parts_.images.to_json();
    config["image_token"] = parts_.image_token;
    write_file_atomic(folder / "processor_config.json", config.dump(2) + "\n");
  }
}

Json published_processor_config(const ModelConfig& config) {
  if (!config.vision || config.to_json()["model_type"] != "llava") return Json::object();
  return {{"patch_size", config.vision->patch_size},
          {"vision_feature_select_strategy", config.vision->keep_class_token ? "full" : "default"},
          {"num_additional_image_tokens", config.vision->class_embedding ? 1 : 0}};
}

at::Tensor stack_pixels(std::span<const PixelTiles* const> pictures) {
  if (pictures.empty()) return {};
  const image::Tiling& first = pictures[0]->tiling;
  int64_t tiles = 0;
  for (const PixelTiles* picture : pictures) {
    require(picture->tiling.tile_height == first.tile_height && picture->tiling.tile_width == first.tile_width,
            "pictures of {} x {} and {} x {} pixels can't go into one pass", first.tile_width, first.tile_height,
            picture->tiling.tile_width, picture->tiling.tile_height);
    tiles += picture->tiling.count();
  }
  at::Tensor pixels = at::empty({tiles, 3, first.tile_height, first.tile_width}, at::kFloat);
  float* out = pixels.data_ptr<float>();
  for (const PixelTiles* picture : pictures) {
    std::memcpy(out, picture->pixels.data(), picture->pixels.size() * sizeof(float));
    out += picture->pixels.size();
  }
  return pixels;
}

}  // namespace ocelli::model
