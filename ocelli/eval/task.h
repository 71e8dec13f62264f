#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/data/dataset.h"
#include "ocelli/infer/engine.h"

namespace ocelli::eval {

/// One question with its prediction.
struct Prediction {
  std::string id;                       ///< of its record
  std::string type;                     ///< question type, "" when the data names none
  std::string question;
  std::vector<std::string> references;  ///< answers people gave
  std::string prediction;
  double score = 0;                     ///< in [0, 1]
  std::vector<std::filesystem::path> pictures;
};

struct EvalOptions {
  std::string task = "exact";           ///< exact: 1 when equal to the reference after trimming and lower-casing; vqa: the official VQA accuracy
  std::filesystem::path data;           ///< LLaVA JSON; a record may carry "answers": [[ten strings] per question]
  std::filesystem::path images;         ///< folder of the pictures, default: the file's
  int64_t limit = 0;                    ///< > 0: only the first so many questions
  int64_t max_tokens = 32;
  bool blind = false;                   ///< every picture is replaced by mid-grey: what the questions alone give away
  int64_t batch = 32;                   ///< records answered at once
};

struct TypeScore {
  int64_t samples = 0;
  double score = 0;                     ///< mean
  double commonest = 0;                 ///< what always giving the type's commonest answer would score
};

struct EvalResult {
  std::string task;
  double score = 0;                     ///< mean over all questions
  double commonest = 0;                 ///< what always giving each type's commonest answer would score
  std::map<std::string, TypeScore> by_type;
  std::vector<Prediction> predictions;
  int64_t faults = 0;                   ///< records that could not be read; listed in the log
  double seconds = 0;
};

/// Asks every question of the data, greedily, and scores the answers. Throws Error for an unknown task, naming the known ones, and when no
/// question can be read. Records answered together share one pass.
EvalResult evaluate(infer::Engine& engine, const EvalOptions& options);

/// predictions.jsonl, result.json in `folder`.
void write_result(const EvalResult& result, const std::filesystem::path& folder);

}  // namespace ocelli::eval
