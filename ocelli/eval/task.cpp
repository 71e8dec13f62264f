#include "ocelli/eval/task.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/data/encoder.h"
#include "ocelli/data/llava_dataset.h"
#include "ocelli/eval/metrics.h"
#include "ocelli/report/progress.h"

namespace ocelli::eval {
namespace {

/// A record turned into a group of questions for the engine.
struct Asked {
  infer::QuestionGroup group;
  std::vector<Prediction> predictions;
};

double score(const std::string& task, const std::string& prediction, const std::vector<std::string>& references) {
  if (task == "vqa") return vqa_accuracy(prediction, references);
  return std::any_of(references.begin(), references.end(), [&](const std::string& one) { return exact_match(prediction, one); })
             ? 1.0
             : 0.0;
}

std::string without_marks(std::string text) {
  for (size_t at = text.find("<image>"); at != std::string::npos; at = text.find("<image>")) {
    text.erase(at, text.compare(at + 7, 1, "\n") == 0 ? 8 : 7);
  }
  return text;
}

Asked ask(const data::Sample& sample, const data::SampleEncoder& encoder, bool blind) {
  Asked out;
  data::EncodedSample encoded = encoder.encode(sample);
  if (blind) {
    for (model::PixelTiles& picture : encoded.pictures) std::fill(picture.pixels.begin(), picture.pixels.end(), 0.0F);
  }
  out.group.pictures = std::move(encoded.pictures);
  out.group.prefix = std::move(encoded.prefix);
  size_t answer = 0;
  std::string question;
  for (const data::Turn& turn : sample.turns) {
    if (turn.role == data::Turn::Role::kUser) question = without_marks(turn.text);
    if (turn.role != data::Turn::Role::kAssistant) continue;
    Prediction prediction;
    prediction.id = sample.id;
    prediction.question = question;
    prediction.pictures = sample.pictures;
    if (answer < sample.question_types.size()) prediction.type = sample.question_types[answer];
    prediction.references = answer < sample.references.size() ? sample.references[answer] : std::vector<std::string>{turn.text};
    out.predictions.push_back(std::move(prediction));
    ++answer;
  }
  // The prompt of an answer is what stands before its first trained id; a conversation is asked turn by turn with the true
  // history.
  if (sample.independent) {
    for (const data::EncodedText& text : encoded.continuations) {
      const auto first = std::find(text.trained.begin(), text.trained.end(), true) - text.trained.begin();
      out.group.questions.emplace_back(text.ids.begin(), text.ids.begin() + first);
    }
    return out;
  }
  const data::EncodedText& text = encoded.continuations[0];
  for (size_t i = 1; i < text.ids.size(); ++i) {
    if (text.trained[i] && !text.trained[i - 1])
      out.group.questions.emplace_back(text.ids.begin(), text.ids.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return out;
}

/// The share of the commonest reference of each type.
void add_commonest(EvalResult& result) {
  std::map<std::string, std::map<std::string, int64_t>> counts;
  for (const Prediction& one : result.predictions) ++counts[one.type][one.references[0]];
  std::map<std::string, std::string> commonest;
  for (const auto& [type, answers] : counts) {
    commonest[type] =
        std::max_element(answers.begin(), answers.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
  }
  for (const Prediction& one : result.predictions) {
    const double points = score(result.task, commonest[one.type], one.references);
    result.commonest += points;
    result.by_type[one.type].commonest += points;
  }
}

}  // namespace

EvalResult evaluate(infer::Engine& engine, const EvalOptions& options) {
  require(options.task == "exact" || options.task == "vqa", "eval: task \"{}\" is not known; known are exact, vqa", options.task);
  const Stopwatch watch;
  const data::LlavaDataset dataset(
      {.name = options.data.stem().string(), .format = "llava", .path = options.data, .images = options.images});
  const data::SampleEncoder encoder(
      // Not owned: the engine outlives the encoder.
      std::shared_ptr<const model::Processor>(std::shared_ptr<void>(), &engine.processor()),
      [&](const image::Tiling& tiling) { return engine.model().num_tokens(tiling); },
      engine.model().config().decoder.max_position_embeddings);

  EvalResult result;
  result.task = options.task;
  report::Progress progress("evaluating", dataset.size(), {.unit = "records"});
  std::vector<Asked> batch;
  const auto flush = [&] {
    std::vector<infer::QuestionGroup> groups;
    for (Asked& asked : batch) groups.push_back(std::move(asked.group));
    const auto answers = engine.answer(groups, options.max_tokens);
    for (size_t g = 0; g < batch.size(); ++g) {
      for (size_t q = 0; q < batch[g].predictions.size(); ++q) {
        Prediction& one = batch[g].predictions[q];
        one.prediction = engine.processor().decode(answers[g][q].ids);
        one.score = score(options.task, one.prediction, one.references);
        result.predictions.push_back(std::move(one));
      }
    }
    batch.clear();
  };
  int64_t asked = 0;
  for (int64_t i = 0; i < dataset.size() && (options.limit == 0 || asked < options.limit); ++i) {
    try {
      batch.push_back(ask(dataset.get(i), encoder, options.blind));
      asked += static_cast<int64_t>(batch.back().predictions.size());
    } catch (const Error& error) {
      ++result.faults;
      log::warning("left out: {}", error.what());
    }
    if (static_cast<int64_t>(batch.size()) >= options.batch) flush();
    progress.update(i + 1);
  }
  if (!batch.empty()) flush();
  progress.finish();
  require(!result.predictions.empty(), "eval: no question of {} could be read", options.data.string());
  if (options.limit > 0 && static_cast<int64_t>(result.predictions.size()) > options.limit) {
    result.predictions.resize(static_cast<size_t>(options.limit));
  }

  add_commonest(result);
  for (const Prediction& one : result.predictions) {
    TypeScore& type = result.by_type[one.type];
    ++type.samples;
    type.score += one.score;
    result.score += one.score;
  }
  const double count = static_cast<double>(result.predictions.size());
  result.score /= count;
  result.commonest /= count;
  for (auto& [name, type] : result.by_type) {
    type.score /= static_cast<double>(type.samples);
    type.commonest /= static_cast<double>(type.samples);
  }
  result.seconds = watch.seconds();
  return result;
}

void write_result(const EvalResult& result, const std::filesystem::path& folder) {
  make_directories(folder);
  std::string lines;
  for (const Prediction& one : result.predictions) {
    OrderedJson line = {{"id", one.id},
                        {"question", one.question},
                        {"prediction", one.prediction},
                        {"references", one.references},
                        {"score", one.score}};
    if (!one.type.empty()) line["type"] = one.type;
    lines += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }
  write_file_atomic(folder / "predictions.jsonl", lines);
  OrderedJson types = OrderedJson::object();
  for (const auto& [name, type] : result.by_type) {
    types[name] = {{"samples", type.samples}, {"score", type.score}, {"commonest", type.commonest}};
  }
  const OrderedJson summary = {{"task", result.task},
                               {"score", result.score},
                               {"commonest", result.commonest},
                               {"samples", result.predictions.size()},
                               {"faults", result.faults},
                               {"seconds", result.seconds},
                               {"types", types}};
  write_file_atomic(folder / "result.json", summary.dump(2) + "\n");
}

}  // namespace ocelli::eval
