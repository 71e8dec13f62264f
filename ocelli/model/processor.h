#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/model/image_processor.h"
#include "ocelli/model/model.h"
#include "ocelli/text/chat_template.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::model {

/// Everything that turns pictures and messages into what a model takes, equal in training, evaluation, chat and serving.
/// Immutable after loading; the torch-free members may be used by many threads.
class Processor {
 public:
  /// Reads tokenizer.json, tokenizer_config.json, chat_template.jinja (or the template in the configs), processor_config.json or
  /// preprocessor_config.json. A folder without a tokenizer still serves `--input-ids`.
  static std::shared_ptr<const Processor> load(const std::filesystem::path& folder, const ModelConfig& config);

  struct Parts {
    std::shared_ptr<const text::Tokenizer> tokenizer;
    std::shared_ptr<const text::Tokenizer> qformer_tokenizer;  ///< of `qformer_tokenizer/` (InstructBLIP); null without
    bool reads_instruction = false;                            ///< the connector wants the question in that vocabulary
    Json tokenizer_json;                                       ///< null for a folder that holds another kind of tokenizer …
    std::map<std::string, std::string> tokenizer_files;        ///< … whose files are written again as they are, by name
    Json tokenizer_config = Json::object();                    ///< as published; written again, so that what we don't use is kept
    Json processor_config = Json::object();                    ///< see published_processor_config()
    std::string chat_template;
    ImageProcessor images;
    std::string bos_token, eos_token, image_token = "<image>";
    PlaceholderRule placeholder;
    PositionRule positions = PositionRule::kRising;
    bool visual_expert = false;
    bool bidirectional_prompt = false;
  };
  explicit Processor(Parts parts);
  /// Tokenizer, template and special tokens of a folder, without pictures; `tokenizer` is null when there is none.
  static Parts load_text(const std::filesystem::path& folder);
  /// How a folder prepares pictures: preprocessor_config.json, or the image_processor of processor_config.json, else `family`.
  /// Throws Error when there is none of these.
  static ImageProcessor load_images(const std::filesystem::path& folder, const std::optional<ImageProcessor>& family = {});

  bool has_tokenizer() const { return parts_.tokenizer != nullptr; }
  /// Throws Error when the folder had none.
  const text::Tokenizer& tokenizer() const;
  const ImageProcessor& images() const { return parts_.images; }
  const std::string& image_token() const { return parts_.image_token; }
  /// -1 without pictures.
  int64_t image_token_id() const { return parts_.placeholder.token_id; }
  PositionRule positions() const { return parts_.positions; }
  bool visual_expert() const { return parts_.visual_expert; }
  /// See ModelConfig.
  bool bidirectional_prompt() const { return parts_.bidirectional_prompt; }
  /// Whether the connector reads the question (InstructBLIP).
  bool reads_instruction() const { return parts_.reads_instruction; }
  /// The question as the connector takes it; empty when it reads none. Throws Error when the folder has no tokenizer for it.
  std::vector<int64_t> instruction_ids(std::string_view question) const;
  const std::string& chat_template() const { return parts_.chat_template; }

  /// The chat template over `messages` ([{role, content}], content a string in which `image_token()` marks a picture, or a list
  /// of
  /// {"type": "image"} and {"type": "text", "text"}). Thread-safe. Throws Error when the model has no template.
  std::string render(const OrderedJson& messages, bool add_generation_prompt) const;
  /// Ids of a full prompt, placeholders not yet expanded. BOS and the like as the tokenizer's post-processor adds them, unless
  /// the text already starts with the BOS token.
  std::vector<int64_t> encode(std::string_view prompt) const;

  /// Text of an answer, special tokens left out. Ids behind the tokenizer's last (rows that only pad the embedding) are no text,
  /// as in transformers.
  std::string decode(const std::vector<int64_t>& ids) const;

  /// The ids with a marked row (visual_ids.h) for each of picture i's `counts[i]` visual tokens, by the model's rule of
  /// placeholders. Throws Error when places and pictures differ, naming both numbers. `token_types`: see place_visual_tokens();
  /// `tilings`: how each picture is cut, for a rule with tile_markers.
  std::vector<int64_t> expand(std::span<const int64_t> ids, std::span<const int64_t> counts,
                              std::span<const int64_t> token_types = {}, std::span<const image::Tiling> tilings = {}) const;
  /// expand(), with the id each row comes from.
  PlacedIds place(std::span<const int64_t> ids, std::span<const int64_t> counts, std::span<const int64_t> token_types = {},
                  std::span<const image::Tiling> tilings = {}) const;

  /// One sequence as model inputs: `ids` already expanded, causal, positions from 0. `grids`: see positions_of().
  ModelInputs make_inputs(std::span<const int64_t> ids, const std::vector<PixelTiles>& pictures,
                          std::span<const image::Grid> grids = {}) const;

  /// Writes tokenizer.json, tokenizer_config.json, chat_template.jinja, processor_config.json.
  void save(const std::filesystem::path& folder) const;

 private:
  Parts parts_;
  std::optional<text::ChatTemplate> template_;
};

/// What transformers' LlavaProcessor needs to count placeholders; empty for a model it can't express.
Json published_processor_config(const ModelConfig& config);

/// The rows of marked ids as tensors: input_ids (plain), visual_rows, expert_rows (empty unless `visual_expert`).
void set_rows(ModelInputs& inputs, std::span<const int64_t> ids, bool visual_expert);
/// The same instruction for every view, [views, T]; undefined when there is none.
at::Tensor instruction_rows(std::span<const int64_t> ids, const Pixels& pixels);
/// [T] int64, or [3, T] under kMrope.
at::Tensor position_tensor(PositionRule rule, std::span<const std::array<int64_t, 3>> rows);

}  // namespace ocelli::model
