#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/model/load.h"
#include "ocelli/model/processor.h"

// The other half of tests/parity/test_token_counts.py: what is said of pictures beforehand, and what models consume of them.
// OCELLI_PROBE: a file with one JSON object a line: {"model": folder, "sizes": [width, height, …]}, and, where
// the model is first to be written and read again, "through": folder.
// OCELLI_TEST_OUT: a folder; gets results.jsonl, a line for each request: {"told": [a number or an error's text, …],
// "consumed": [the same of a blank picture], "runs": how often the model was run}.

namespace ocelli::model {
namespace {

/// Ids of a prompt with one picture in it, before visual tokens are put in.
std::vector<int64_t> prompt_of(const PlaceholderRule& rule) {
  switch (rule.kind) {
    case PlaceholderRule::Kind::kToken:
      return {1, rule.token_id, 1};
    case PlaceholderRule::Kind::kSpan:
      return {1, rule.begin_id, rule.end_id, 1};
    case PlaceholderRule::Kind::kAfterBos:
      return {1, 1};
  }
  fail("token probe: unknown kind of placeholder");
}

class Consumer {
 public:
  explicit Consumer(const std::string& folder)
      : model_(load_model(folder)), processor_(Processor::load(folder, model_->config())) {}

  /// As `ocelli explain` counts them.
  int64_t told(int64_t width, int64_t height) const {
    return model_->num_tokens(processor_->images().of_prompt(1).tiling(width, height));
  }

  /// Visual tokens the model makes of a blank picture, each with a row among the ids.
  int64_t consumed(int64_t width, int64_t height) {
    const std::vector<PixelTiles> pictures = {processor_->images().of_prompt(1).process(image::Image(width, height))};
    const int64_t made = seen(pictures);
    const std::vector<int64_t> counts = {made};
    const std::vector<image::Tiling> tilings = {pictures[0].tiling};
    const std::vector<int64_t> ids = processor_->expand(prompt_of(model_->config().placeholder), counts, {}, tilings);
    const ModelInputs inputs = processor_->make_inputs(ids, pictures, model_->token_grids(pictures));
    require(inputs.visual_rows.numel() == made, "{} visual tokens have {} rows", made, inputs.visual_rows.numel());
    return made;
  }

  size_t runs() const { return known_.size(); }

 private:
  /// What the tower, the connector and the arrangement give; the same for all pictures that are cut alike.
  int64_t seen(const std::vector<PixelTiles>& pictures) {
    image::Tiling cut = pictures[0].tiling;
    // Only an arrangement that takes padding off looks at the picture's own size.
    if (model_->config().arrange.kind != connector::ArrangeConfig::Kind::kUnpadNewline)
      cut.picture_height = cut.picture_width = 0;
    for (const auto& [tiling, count] : known_) {
      if (tiling == cut) return count;
    }
    const at::InferenceMode inference;
    const std::vector<const PixelTiles*> tiles = {pictures.data()};
    const std::vector<image::Tiling> tilings = {pictures[0].tiling};
    const Pixels pixels = stack_pixels(tiles);
    nn::RunContext context;
    const std::vector<int64_t> question = {1, 2};
    const Seen seen = model_->see(pixels, tilings, context,
                                  processor_->reads_instruction() ? instruction_rows(question, pixels) : at::Tensor());
    require(seen.per_picture.size() == 1 && seen.per_picture[0] == seen.tokens.size(0), "{} visual tokens, but {} are counted",
            seen.tokens.size(0), seen.per_picture.at(0));
    known_.emplace_back(cut, seen.per_picture[0]);
    return seen.per_picture[0];
  }

  std::shared_ptr<Model> model_;
  std::shared_ptr<const Processor> processor_;
  std::vector<std::pair<image::Tiling, int64_t>> known_;
};

/// `to`, a folder of the same model as ocelli writes it.
std::string written(const std::string& folder, const std::string& to) {
  const auto model = load_model(folder);
  const auto processor = Processor::load(folder, model->config());
  save_model(*model, to);
  processor->save(to);
  return to;
}

template <typename Count>
void append(Json& numbers, const Count& count) {
  try {
    numbers.push_back(count());
  } catch (const Error& error) {
    numbers.push_back(error.what());
  }
}

Json answer(const JsonView& request) {
  std::string folder = request.string("model");
  if (request.has("through")) folder = written(folder, request.string("through"));
  Consumer consumer(folder);
  const std::vector<int64_t> sizes = request.integers("sizes");
  Json told = Json::array(), consumed = Json::array();
  for (size_t i = 0; i + 1 < sizes.size(); i += 2) {
    append(told, [&] { return consumer.told(sizes[i], sizes[i + 1]); });
    append(consumed, [&] { return consumer.consumed(sizes[i], sizes[i + 1]); });
  }
  return {{"told", told}, {"consumed", consumed}, {"runs", consumer.runs()}};
}

TEST(TokenProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* folder = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || folder == nullptr) GTEST_SKIP() << "for tests/parity/test_token_counts.py";
  std::istringstream lines(read_file(requests));
  std::string results;
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, requests);
    results += answer(JsonView(json, requests)).dump() + "\n";
  }
  write_file_atomic(std::filesystem::path(folder) / "results.jsonl", results);
}

}  // namespace
}  // namespace ocelli::model
