#include "ocelli/eval/task.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/data/dataset.h"
#include "ocelli/data/encoder.h"
#include "ocelli/eval/metrics.h"
#include "ocelli/nn/kv_cache.h"
#include "ocelli/report/metrics.h"
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

Asked ask(const data::Sample& sample, const data::SampleEncoder& encoder, const model::Processor& processor,
          const EvalOptions& options) {
  Asked out;
  data::EncodedSample encoded = encoder.encode(sample);
  if (options.blind) {
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
    for (const data::Picture& picture : sample.pictures) prediction.pictures.push_back(picture.path);
    if (answer < sample.question_types.size()) prediction.type = sample.question_types[answer];
    prediction.references = answer < sample.references.size() ? sample.references[answer] : std::vector<std::string>{turn.text};
    if (options.task == "vqa" && prediction.references.size() < 2) {
      // One reference can never reach three people who agree: every answer would score 0.
      throw UsageError(
          fmt::format("eval: {}: sample {} has no answers of several people (\"answers\": [[…]]), which --task vqa "
                      "compares with; use --task exact",
                      options.data.string(), sample.id));
    }
    out.predictions.push_back(std::move(prediction));
    if (processor.reads_instruction()) out.group.instructions.push_back(processor.instruction_ids(question));
    ++answer;
  }
  // The prompt of an answer is what stands before its first trained id; a conversation is asked turn by turn with the true
  // history.
  if (sample.independent) {
    for (const data::EncodedText& text : encoded.continuations) {
      const auto first = std::find(text.trained.begin(), text.trained.end(), true) - text.trained.begin();
      out.group.questions.emplace_back(text.ids.begin(), text.ids.begin() + first);
    }
  } else {
    const data::EncodedText& text = encoded.continuations[0];
    for (size_t i = 1; i < text.ids.size(); ++i) {
      if (text.trained[i] && !text.trained[i - 1])
        out.group.questions.emplace_back(text.ids.begin(), text.ids.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  // The encoder cuts what is too long at the end, and questions behind the cut are gone.
  require(out.group.questions.size() == out.predictions.size(),
          "sample {}: {} of its {} questions do not fit the model's positions", sample.id,
          out.predictions.size() - std::min(out.group.questions.size(), out.predictions.size()), out.predictions.size());
  return out;
}

/// Bytes of keys and values a group takes while it is answered.
int64_t cache_bytes(const infer::QuestionGroup& group, const language::DecoderConfig& decoder, at::ScalarType dtype,
                    int64_t max_tokens) {
  int64_t rows = static_cast<int64_t>(group.prefix.size());
  for (const auto& question : group.questions) rows += static_cast<int64_t>(question.size()) + max_tokens;
  const nn::KvCacheConfig cache{.layers = decoder.num_hidden_layers,
                                .kv_heads = decoder.num_key_value_heads,
                                .head_width = decoder.head_dim,
                                .block_size = 1,
                                .blocks = rows,
                                .dtype = dtype};
  return cache.bytes();
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
  if (options.task != "exact" && options.task != "vqa") {
    throw UsageError(fmt::format("eval: task \"{}\" is not known; known are exact, vqa", options.task));
  }
  const Stopwatch watch;
  const auto source = data::open_dataset({.name = options.data.stem().string(), .path = options.data, .images = options.images});
  const data::Dataset& dataset = *source;
  const data::SampleEncoder encoder(
      // Not owned: the engine outlives the encoder.
      std::shared_ptr<const model::Processor>(std::shared_ptr<void>(), &engine.processor()),
      [&](const image::Tiling& tiling) { return engine.model().num_tokens(tiling); },
      engine.model().config().decoder.max_position_embeddings);

  const language::DecoderConfig& decoder = engine.model().config().decoder;
  const at::ScalarType dtype = engine.model().decoder().head_weight().scalar_type();
  const int64_t max_tokens = std::min(options.max_tokens, decoder.max_position_embeddings);

  EvalResult result;
  result.name = options.data.stem().string();
  result.task = options.task;
  report::Progress progress("evaluating", dataset.size(), {.unit = "records"});
  std::vector<Asked> batch;
  int64_t batch_bytes = 0;
  const auto flush = [&] {
    std::vector<infer::QuestionGroup> groups;
    for (Asked& asked : batch) groups.push_back(std::move(asked.group));
    const auto answers = engine.answer(groups, max_tokens);
    for (size_t g = 0; g < batch.size(); ++g) {
      for (size_t q = 0; q < batch[g].predictions.size(); ++q) {
        Prediction& one = batch[g].predictions[q];
        one.prediction = engine.processor().decode(answers[g][q].ids);
        one.score = score(options.task, one.prediction, one.references);
        result.predictions.push_back(std::move(one));
      }
    }
    batch.clear();
    batch_bytes = 0;
  };
  int64_t asked = 0;
  for (int64_t i = 0; i < dataset.size() && (options.limit == 0 || asked < options.limit); ++i) {
    try {
      Asked next = ask(dataset.get(i), encoder, engine.processor(), options);
      const int64_t bytes = cache_bytes(next.group, decoder, dtype, max_tokens);
      if (!batch.empty() && batch_bytes + bytes > options.max_cache_bytes) flush();
      asked += static_cast<int64_t>(next.predictions.size());
      batch.push_back(std::move(next));
      batch_bytes += bytes;
    } catch (const UsageError&) {
      throw;
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

void add_blind(EvalResult& result, const EvalResult& blind) {
  result.blind = blind.score;
  for (auto& [name, type] : result.by_type) {
    const auto found = blind.by_type.find(name);
    if (found != blind.by_type.end()) type.blind = found->second.score;
  }
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
    if (!one.pictures.empty()) {
      line["images"] = OrderedJson::array();
      for (const auto& picture : one.pictures) line["images"].push_back(std::filesystem::absolute(picture).string());
    }
    lines += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }
  write_file_atomic(folder / "predictions.jsonl", lines);
  OrderedJson types = OrderedJson::object();
  for (const auto& [name, type] : result.by_type) {
    types[name] = {{"samples", type.samples}, {"score", type.score}, {"commonest", type.commonest}};
    if (result.blind) types[name]["blind"] = type.blind;
  }
  OrderedJson summary = {{"name", result.name},
                         {"task", result.task},
                         {"score", result.score},
                         {"commonest", result.commonest},
                         {"samples", result.predictions.size()},
                         {"faults", result.faults},
                         {"seconds", result.seconds},
                         {"types", types}};
  if (result.blind) summary["blind"] = *result.blind;
  write_file_atomic(folder / "result.json", summary.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

EvalResult read_result(const std::filesystem::path& folder) {
  EvalResult out;
  const std::filesystem::path file = folder / "result.json";
  const Json json = read_json(file);
  const JsonView view(json, file.string());
  out.name = view.string("name", folder.filename().string());
  out.task = view.string("task");
  out.score = view.number("score");
  out.commonest = view.number("commonest");
  out.faults = view.integer("faults");
  out.seconds = view.number("seconds");
  if (view.has("blind")) out.blind = view.number("blind");
  const JsonView types = view.object("types");
  for (const auto& [name, value] : types.value().items()) {
    const JsonView type = types.object(name);
    out.by_type[name] = {.samples = type.integer("samples"),
                         .score = type.number("score"),
                         .commonest = type.number("commonest"),
                         .blind = type.number("blind", 0)};
  }
  const std::filesystem::path lines = folder / "predictions.jsonl";
  for (const Json& line : report::read_json_lines(lines)) {
    const JsonView one(line, lines.string());
    Prediction prediction;
    prediction.id = one.string("id");
    prediction.type = one.string("type", "");
    prediction.question = one.string("question");
    prediction.prediction = one.string("prediction");
    prediction.references = one.strings("references");
    require(!prediction.references.empty(), "{}: sample {} has no reference", lines.string(), prediction.id);
    prediction.score = one.number("score");
    if (one.has("images")) {
      for (const std::string& path : one.strings("images")) prediction.pictures.emplace_back(path);
    }
    out.predictions.push_back(std::move(prediction));
  }
  return out;
}

}  // namespace ocelli::eval
