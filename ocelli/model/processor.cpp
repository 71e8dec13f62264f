#include "ocelli/model/processor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/model/hf/family.h"
#include "ocelli/model/slice_markers.h"
#include "ocelli/model/tile_markers.h"
#include "ocelli/model/visual_ids.h"
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

/// LlamaTokenizerFast puts the BOS token in front when `add_bos_token` says so, in place of a post-processor of tokenizer.json
/// that adds no tokens (DeepSeek's).
void follow_add_bos(Json& tokenizer, const Json& config) {
  const bool llama = config.contains("tokenizer_class") && config["tokenizer_class"].is_string() &&
                     config["tokenizer_class"].get_ref<const std::string&>().starts_with("LlamaTokenizer");
  if (!llama || !config.contains("add_bos_token") || config["add_bos_token"] != true || !tokenizer.is_object()) return;
  const Json& present = tokenizer["post_processor"];
  if (!present.is_null() && !(present.is_object() && present.contains("type") && present["type"] == "ByteLevel")) return;
  const std::string bos = token_text(config, "bos_token");
  for (const Json& token : tokenizer.contains("added_tokens") ? tokenizer["added_tokens"] : Json::array()) {
    if (bos.empty() || !token.is_object() || !token.contains("id") || !token.contains("content") || token["content"] != bos)
      continue;
    const Json first = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
    const auto text = [](const char* id, int type) { return Json{{"Sequence", {{"id", id}, {"type_id", type}}}}; };
    const Json ids = Json::array({token["id"]}), tokens = Json::array({bos});
    tokenizer["post_processor"] = {{"type", "TemplateProcessing"},
                                   {"single", Json::array({first, text("A", 0)})},
                                   {"pair", Json::array({first, text("A", 0), first, text("B", 1)})},
                                   {"special_tokens", {{bos, {{"id", bos}, {"ids", ids}, {"tokens", tokens}}}}}};
    return;
  }
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
    follow_add_bos(parts.tokenizer_json, tokenizer_config);
    parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, (folder / "tokenizer.json").string());
  } else if (!text::find_tokenizer(folder).empty()) {
    parts.tokenizer = text::load_tokenizer(folder);
    for (const char* name : {"tokenizer.model", "spiece.model", "qwen.tiktoken", "vocab.json", "merges.txt", "vocab.txt",
                             "special_tokens_map.json", "added_tokens.json"}) {
      if (fs::exists(folder / name)) parts.tokenizer_files[name] = read_file(folder / name, 256ULL << 20);
    }
  }
  if (parts.tokenizer) {
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

ImageProcessor Processor::load_images(const fs::path& folder, const std::optional<ImageProcessor>& family) {
  // Made of the folder's own table, which can't say it.
  if (family && (family->second || family->aux || family->cut == ImageProcessor::Cut::kInternVl)) return *family;
  if (fs::exists(folder / "preprocessor_config.json")) {
    const Json json = read_json(folder / "preprocessor_config.json");
    return ImageProcessor::from_json(JsonView(json, (folder / "preprocessor_config.json").string()));
  }
  const Json processor = read_if_there(folder / "processor_config.json");
  if (processor.contains("image_processor")) {
    return ImageProcessor::from_json(
        JsonView(processor["image_processor"], (folder / "processor_config.json").string() + ": image_processor"));
  }
  require(family.has_value(),
          "model {}: it sees pictures, but neither preprocessor_config.json nor an image_processor in processor_config.json says "
          "how to prepare them",
          folder.string());
  return *family;
}

std::shared_ptr<const Processor> Processor::load(const fs::path& folder, const ModelConfig& config) {
  Parts parts = load_text(folder);
  if (parts.tokenizer) {
    require(parts.tokenizer->vocab_size() <= config.decoder.vocab_size,
            "model {}: the tokenizer has {} ids, the embedding {} rows", folder.string(), parts.tokenizer->vocab_size(),
            config.decoder.vocab_size);
    const int64_t placeholder = config.placeholder.token_id;
    if (placeholder >= 0 && placeholder < parts.tokenizer->vocab_size())
      parts.image_token = parts.tokenizer->token_of(placeholder);
  }
  if (!config.placeholder.marker.empty()) parts.image_token = config.placeholder.marker;
  if (parts.chat_template.empty()) parts.chat_template = config.chat_template;
  parts.reads_instruction = config.connector && config.connector->type == connector::ConnectorConfig::Type::kQFormer &&
                            config.connector->qformer.vocab_size > 0;
  const fs::path of_qformer = folder / "qformer_tokenizer" / "tokenizer.json";
  if (parts.reads_instruction && fs::exists(of_qformer)) {
    parts.qformer_tokenizer = text::make_tokenizer(
        read_json(of_qformer, {.max_bytes = 64ULL << 20, .reject_duplicate_keys = false}), of_qformer.string());
  }
  parts.placeholder = config.placeholder;
  parts.positions = config.positions;
  parts.visual_expert = config.decoder.visual_expert;
  parts.bidirectional_prompt = config.bidirectional_prompt;
  parts.processor_config = published_processor_config(config);
  if (!config.vision) return std::make_shared<const Processor>(std::move(parts));

  parts.images = load_images(folder, config.images);
  const bool one_size = !config.vision->any_size();
  const image::Size view =
      parts.images.second ? second_view_tiling(parts.images).view_size(0) : image::Size{parts.images.height, parts.images.width};
  require(!one_size || view == image::Size{config.vision->image_size, config.vision->image_size},
          "model {}: pictures are prepared at {} x {}, the vision tower takes {} x {}", folder.string(), view.width, view.height,
          config.vision->image_size, config.vision->image_size);
  require(!config.aux_vision || parts.images.aux || parts.images.second,
          "model {}: it has two vision towers, but its preprocessing makes pictures for one", folder.string());
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
  const PlaceholderRule& rule = parts_.placeholder;
  const bool has_bos = !rule.bos_twice && !parts_.bos_token.empty() && prompt.starts_with(parts_.bos_token);
  if (rule.token_id == -1 || (rule.token_id >= 0 && rule.token_id < tokenizer().vocab_size()))
    return tokenizer().encode(prompt, !has_bos);
  // A mark the tokenizer does not know: what stands between is tokenized piece by piece, special tokens with the first alone, as
  // in LLaVA's tokenizer_image_token and MiniGPT-4's get_context_emb.
  std::vector<int64_t> ids;
  for (size_t begin = 0;;) {
    const size_t mark = prompt.find(parts_.image_token, begin);
    const std::vector<int64_t> piece = tokenizer().encode(prompt.substr(begin, mark - begin), begin == 0 && !has_bos);
    ids.insert(ids.end(), piece.begin(), piece.end());
    if (mark == std::string_view::npos) return ids;
    ids.push_back(rule.token_id);
    begin = mark + parts_.image_token.size();
  }
}

std::vector<int64_t> Processor::instruction_ids(std::string_view question) const {
  if (!parts_.reads_instruction) return {};
  require(parts_.qformer_tokenizer != nullptr,
          "the model's Q-Former reads the question, but the folder has no qformer_tokenizer/tokenizer.json; give "
          "qformer_input_ids with "
          "--input-ids");
  return parts_.qformer_tokenizer->encode(question, true);
}

std::string Processor::decode(const std::vector<int64_t>& ids) const {
  const int64_t known = tokenizer().vocab_size();
  std::vector<int64_t> text;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(text), [&](int64_t id) { return id < known; });
  return tokenizer().decode(text, true);
}

std::vector<int64_t> Processor::expand(std::span<const int64_t> ids, std::span<const int64_t> counts,
                                       std::span<const int64_t> token_types, std::span<const image::Tiling> tilings) const {
  return place(ids, counts, token_types, tilings).ids;
}

PlacedIds Processor::place(std::span<const int64_t> ids, std::span<const int64_t> counts, std::span<const int64_t> token_types,
                           std::span<const image::Tiling> tilings) const {
  const PlaceholderRule& rule = parts_.placeholder;
  // Ids that are spelled out already have a placeholder for each visual token.
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (rule.tile_markers && std::count(ids.begin(), ids.end(), rule.token_id) != total) {
    return TileMarkers(tokenizer()).place(ids, rule.token_id, counts, tilings);
  }
  if (rule.kind == PlaceholderRule::Kind::kSpan && has_empty_spans(rule, ids, counts.size())) {
    std::vector<int64_t> newline = {rule.newline_id};
    if (has_tokenizer() && rule.slice_begin_id >= 0) {
      // As it is tokenized there: between two special tokens.
      newline = tokenizer().encode("</image>\n<image>", false);
      require(newline.size() > 2, "the tokenizer has no tokens <image> and </image>");
      newline = {newline.begin() + 1, newline.end() - 1};
    }
    return fill_empty_spans(rule, ids, counts, tilings, newline);
  }
  return place_visual_tokens(parts_.placeholder, ids, counts, token_types, parts_.image_token);
}

void set_rows(ModelInputs& inputs, std::span<const int64_t> ids, bool visual_expert) {
  std::vector<int64_t> plain, visual;
  plain.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    plain.push_back(plain_id(ids[i]));
    if (is_visual(ids[i])) visual.push_back(static_cast<int64_t>(i));
  }
  inputs.input_ids = nn::index_tensor(plain);
  inputs.visual_rows = nn::index_tensor(visual);
  if (visual_expert) inputs.expert_rows = nn::index_tensor(expert_rows(ids));
}

at::Tensor instruction_rows(std::span<const int64_t> ids, const Pixels& pixels) {
  int64_t views = 0;
  for (const at::Tensor& batch : pixels.batches) views += batch.size(0);
  if (ids.empty() || views == 0) return {};
  return nn::index_tensor(ids).unsqueeze(0).expand({views, static_cast<int64_t>(ids.size())});
}

at::Tensor position_tensor(PositionRule rule, std::span<const std::array<int64_t, 3>> rows) {
  const int64_t planes = rule == PositionRule::kMrope ? 3 : 1;
  const int64_t count = static_cast<int64_t>(rows.size());
  at::Tensor out = at::empty({planes, count}, at::kLong);
  int64_t* data = out.data_ptr<int64_t>();
  for (int64_t plane = 0; plane < planes; ++plane) {
    for (int64_t i = 0; i < count; ++i) data[plane * count + i] = rows[static_cast<size_t>(i)][static_cast<size_t>(plane)];
  }
  return planes == 1 ? out.flatten() : out;
}

ModelInputs Processor::make_inputs(std::span<const int64_t> ids, const std::vector<PixelTiles>& pictures,
                                   std::span<const image::Grid> grids) const {
  ModelInputs inputs;
  const int64_t length = static_cast<int64_t>(ids.size());
  set_rows(inputs, ids, parts_.visual_expert);
  inputs.positions = position_tensor(parts_.positions, positions_of(parts_.positions, ids, grids, 0).rows);
  inputs.layout = nn::AttentionLayout::uniform(1, length, !parts_.bidirectional_prompt);
  std::vector<const PixelTiles*> tiles;
  for (const PixelTiles& picture : pictures) {
    tiles.push_back(&picture);
    inputs.pictures.push_back(picture.tiling);
  }
  inputs.pixels = stack_pixels(tiles);
  return inputs;
}

void Processor::save(const fs::path& folder) const {
  make_directories(folder);
  if (has_tokenizer()) {
    if (!parts_.tokenizer_json.is_null()) write_file_atomic(folder / "tokenizer.json", parts_.tokenizer_json.dump(2) + "\n");
    for (const auto& [name, bytes] : parts_.tokenizer_files) write_file_atomic(folder / name, bytes);
    Json config = parts_.tokenizer_config;
    if (!parts_.tokenizer_json.is_null() && !config.contains("tokenizer_class"))
      config["tokenizer_class"] = "PreTrainedTokenizerFast";
    if (!config.contains("clean_up_tokenization_spaces")) config["clean_up_tokenization_spaces"] = false;
    config.erase("chat_template");  // lies in a file of its own
    if (!parts_.bos_token.empty()) config["bos_token"] = parts_.bos_token;
    if (!parts_.eos_token.empty()) config["eos_token"] = parts_.eos_token;
    if (parts_.placeholder.token_id >= 0) {
      config["image_token"] = parts_.image_token;
      Json& extra = config["extra_special_tokens"];
      if (extra.is_null()) extra = Json::object();
      if (extra.is_object()) extra["image_token"] = parts_.image_token;
    }
    write_file_atomic(folder / "tokenizer_config.json", config.dump(2) + "\n");
  }
  if (!parts_.chat_template.empty()) write_file_atomic(folder / "chat_template.jinja", parts_.chat_template);
  if (parts_.placeholder.token_id != -1) {
    Json config = parts_.processor_config;
    if (!config.contains("processor_class")) config["processor_class"] = "LlavaProcessor";
    config["image_processor"] = parts_.images.to_json();
    config["image_token"] = parts_.image_token;
    write_file_atomic(folder / "processor_config.json", config.dump(2) + "\n");
  }
}

Json published_processor_config(const ModelConfig& config) {
  if (const hf::Family* own = hf::find_family(config.written_family()); own != nullptr && own->processor != nullptr)
    return own->processor(config);
  return Json::object();
}

}  // namespace ocelli::model
