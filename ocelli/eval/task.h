#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/data/dataset.h"
#include "ocelli/infer/engine.h"

namespace ocelli::eval {

/// One question with its prediction.
struct Prediction {
  std::string id;    ///< of its record
  std::string type;  ///< question type, "" when the data names none
  std::string question;
  std::vector<std::string> references;  ///< answers people gave
  std::string prediction;
  double score = 0;  ///< in [0, 1]
  std::vector<std::filesystem::path> pictures;
};

struct EvalOptions {
  std::string task =
      "exact";  ///< exact: 1 when equal to the reference after trimming and lower-casing; vqa: the official VQA accuracy
  std::filesystem::path data;    ///< LLaVA JSON; a record may carry "answers": [[ten strings] per question]
  std::filesystem::path images;  ///< folder of the pictures, default: the file's
  int64_t limit = 0;             ///< > 0: only the first so many questions
  int64_t max_tokens = 32;
  bool blind = false;                 ///< every picture is replaced by mid-grey: what the questions alone give away
  int64_t batch = 32;                 ///< records answered at once …
  int64_t max_cache_bytes = 1 << 29;  ///< … or fewer, when their keys and values would take more than this
};

struct TypeScore {
  int64_t samples = 0;
  double score = 0;      ///< mean
  double commonest = 0;  ///< what always giving the type's commonest answer would score
  double blind = 0;      ///< of the same model shown grey pictures, when the result has that
};

struct EvalResult {
  std::string name;  ///< what reports call it
  std::string task;
  double score = 0;             ///< mean over all questions
  std::optional<double> blind;  ///< of the same model shown grey pictures
  double commonest = 0;         ///< what always giving each type's commonest answer would score
  std::map<std::string, TypeScore> by_type;
  std::vector<Prediction> predictions;
  int64_t faults = 0;  ///< records that could not be read; listed in the log
  double seconds = 0;
};

/// Asks every question of the data, greedily, and scores the answers. A record that can't be read, or whose questions the model's
/// positions don't hold, is left out and counted. Throws UsageError for an unknown task, naming the known ones, and for `vqa` on
/// data without the answers of several people; Error when no question can be read. Records answered together share one pass.
EvalResult evaluate(infer::Engine& engine, const EvalOptions& options);

/// Takes over what the same questions scored blind.
void add_blind(EvalResult& result, const EvalResult& blind);

/// predictions.jsonl, result.json in `folder`.
void write_result(const EvalResult& result, const std::filesystem::path& folder);
/// What write_result() wrote. Throws Error naming file and key.
EvalResult read_result(const std::filesystem::path& folder);

}  // namespace ocelli::eval
