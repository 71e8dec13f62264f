#include "ocelli/cli/prompt_options.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/image/box.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::cli {
namespace {

/// `boxes` of an ids' file, in pixels of the one picture; see Prompt.
at::Tensor boxes_of(const Json& json, const std::string& ids_file, const std::vector<model::PixelTiles>& pictures) {
  require(json["boxes"].is_array() && !json["boxes"].empty(), "{}: boxes: expected a list of [left, top, right, bottom]",
          ids_file);
  require(pictures.size() == 1, "{}: boxes lie in one picture, but {} were given", ids_file, pictures.size());
  const image::Tiling& tiling = pictures[0].tiling;
  std::vector<float> numbers;
  for (const Json& box : json["boxes"]) {
    const bool four =
        box.is_array() && box.size() == 4 && std::all_of(box.begin(), box.end(), [](const Json& one) { return one.is_number(); });
    require(four, "{}: boxes holds {}, expected [left, top, right, bottom]", ids_file, box.dump());
    const image::Box inside =
        image::in_padded_square({box[0].get<double>(), box[1].get<double>(), box[2].get<double>(), box[3].get<double>()},
                                {tiling.picture_height, tiling.picture_width});
    for (const double corner : {inside.x1, inside.y1, inside.x2, inside.y2}) numbers.push_back(static_cast<float>(corner));
  }
  return at::tensor(numbers).view({-1, 4});
}

}  // namespace

void PromptOptions::add_to(CLI::App& verb, bool with_ids) {
  add_repeatable(verb, "--image", images, "a picture: JPEG, PNG or WebP (repeatable)")->type_name("FILE");
  auto* group = verb.add_option_group("prompt");
  group->add_option("-p,--prompt", text, "what to ask")->type_name("TEXT");
  group->add_option("--prompt-file", file, "the same from a file")->type_name("FILE");
  if (with_ids)
    group->add_option("--input-ids", ids_file, "{\"input_ids\": [...]}: ids before visual tokens are put in")->type_name("FILE");
  group->require_option(0, 1);
  verb.add_flag("--raw", raw, "the text is the full prompt: no chat template");
}

Prompt PromptOptions::read(const LoadedModel& loaded, const std::vector<model::PixelTiles>& pictures) const {
  const std::vector<int64_t> counts = visual_counts(*loaded.model, pictures);
  std::vector<int64_t> ids, types;
  Prompt out;
  const bool reads = loaded.processor->reads_instruction(), encodes = loaded.model->encodes();
  if (!ids_file.empty()) {
    const Json json = read_json(ids_file);
    const JsonView view(json, ids_file);
    require(view.has("input_ids") && json["input_ids"].is_array(), "{}: expected {{\"input_ids\": [...]}}", ids_file);
    const auto read_ids = [&](const char* key, std::vector<int64_t>& into) {
      for (const Json& id : json[key]) {
        require(id.is_number_integer(), "{}: {} holds {}, expected integers", ids_file, key, id.dump());
        const int64_t value = id.get<int64_t>();
        require(value >= -(int64_t{1} << 31) && value < (int64_t{1} << 31), "id {} lies outside the vocabulary of {}", value,
                loaded.model->config().decoder.vocab_size);
        into.push_back(value);
      }
    };
    read_ids("input_ids", ids);
    if (view.has("token_type_ids") && json["token_type_ids"].is_array()) read_ids("token_type_ids", types);
    if (json.contains("boxes")) out.boxes = boxes_of(json, ids_file, pictures);
    if (view.has("qformer_input_ids") && json["qformer_input_ids"].is_array()) {
      require(reads, "{}: qformer_input_ids are given, but the model's connector reads no text", ids_file);
      read_ids("qformer_input_ids", out.instruction_ids);
    }
    if (view.has("decoder_input_ids") && json["decoder_input_ids"].is_array()) {
      require(encodes, "{}: decoder_input_ids are given, but the model is no encoder-decoder", ids_file);
      read_ids("decoder_input_ids", out.decoder_ids);
    }
  } else {
    const std::string prompt = file.empty() ? text : read_file(file, 16 << 20);
    if (reads && !pictures.empty()) out.instruction_ids = loaded.processor->instruction_ids(prompt);
    if (raw) {
      ids = loaded.processor->encode(prompt);
    } else {
      // Pictures the text does not place itself go in front.
      const bool placed = prompt.find(loaded.processor->image_token()) != std::string::npos;
      ids = loaded.processor->encode(
          loaded.processor->render(OrderedJson::array({user_message(prompt, placed ? 0 : pictures.size())}), true));
    }
  }
  require(!ids.empty(), "the prompt is empty");
  const int64_t vocabulary = loaded.model->config().decoder.vocab_size;
  out.ids = loaded.processor->expand(ids, counts, types, tilings_of(pictures));
  // A placeholder may lie outside the vocabulary: its embedding is never looked up.
  for (const int64_t id : out.ids) {
    require(model::is_visual(id) || (id >= 0 && id < vocabulary), "id {} lies outside the vocabulary of {}", id, vocabulary);
  }
  if (encodes && out.decoder_ids.empty()) out.decoder_ids = {loaded.model->config().encoder_decoder->decoder_start_token_id};
  for (const int64_t id : out.decoder_ids) {
    require(id >= 0 && id < vocabulary, "decoder_input_ids: id {} lies outside the vocabulary of {}", id, vocabulary);
  }
  return out;
}

}  // namespace ocelli::cli
