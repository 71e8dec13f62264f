#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ocelli/base/json.h"
#include "ocelli/data/dataset.h"
#include "ocelli/data/portion.h"

namespace ocelli::train {

/// A part of the model: weights to start from, or a new one by its config keys.
struct PartRecipe {
  std::string base;              ///< path or org/name; empty: new
  Json config = Json::object();  ///< keys of `vision_config`, `connector_config` or `text_config`
  bool given() const { return !base.empty() || !config.empty(); }
};

struct ModelRecipe {
  std::string base;  ///< a whole model; then the parts are empty
  PartRecipe vision, connector, decoder;
  PartRecipe aux_vision;  ///< a second tower, for connectors that put two together (hybrid, patch_mining); trained with `vision`
  Json image = Json::object();  ///< how pictures are prepared: `size`, `shape`, `resample`, `image_mean`, `image_std`
};

struct TokenizerRecipe {
  std::string base;    ///< folder with tokenizer.json; empty: the decoder's
  bool train = false;  ///< train a byte-level BPE on the recipe's texts
  int64_t vocab_size = 4096;
  std::string chat_template;  ///< Jinja text; empty: the base's, or ocelli's own
};

struct DataRecipe {
  data::DatasetOptions options;                ///< of the first file
  std::vector<std::filesystem::path> further;  ///< files of the same format read behind it as one source
  std::vector<std::string> question_types;     ///< only independent questions of these types; empty: everything
  data::Portion portion;                       ///< what one epoch holds of it
};

struct StageRecipe {
  std::string name;
  std::vector<std::string> train = {"vision", "connector", "decoder"};  ///< parts whose weights change
  std::map<std::string, data::Portion> data;    ///< sources and their portions in this stage; default: all, each with its own
  double data_temperature = 1;                  ///< see data::passes_of()
  int64_t epoch_samples = 0;                    ///< samples of an epoch; 0: what the portions add up to
  std::map<std::string, double> learning_rate;  ///< by part
  int64_t batch_size = 32;                      ///< conversations or independent questions per optimizer step
  int64_t gradient_accumulation_steps = 1;      ///< passes a step is cut into
  int64_t max_tokens_per_step = 0;              ///< most rows in one pass, 0: no bound
  double num_epochs = 1;
  int64_t max_steps = 0;  ///< > 0: instead of num_epochs
  double warmup_ratio = 0.03;
  std::string lr_scheduler_type = "cosine";  ///< cosine, linear, constant
  double weight_decay = 0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  ///< 0: no clipping
  int64_t max_length = 2048;
  bool packing = true;                ///< samples share passes; false: one pass a sample
  int64_t max_pictures_per_pass = 0;  ///< 0: no bound
  bool gradient_checkpointing = false;

  /// Whether `train` lists the part.
  bool trains(std::string_view part) const { return std::find(train.begin(), train.end(), part) != train.end(); }
};

/// A training run, resolved: every default filled in.
struct Recipe {
  std::string name;
  uint64_t seed = 1;
  ModelRecipe model;
  TokenizerRecipe tokenizer;
  std::vector<DataRecipe> data;
  std::vector<StageRecipe> stages;
  std::string precision = "auto";  ///< fp32, bf16; auto becomes one of them when the run starts
  int64_t save_steps = 500;
  int64_t save_total_limit = 2;
  int64_t logging_steps = 10;     ///< steps between lines of TensorBoard events (metrics.jsonl has every step)
  bool log_samples = false;       ///< metrics.jsonl names the samples of every step
  double max_fault_share = 0.01;  ///< more broken samples than this share of those drawn stop the run
  int64_t loader_threads = 0;     ///< 0: half the cores, at least one
  /// Where keys of the model's parts were written, `model.decoder.hidden_size` as `file:line` or `-o …`, and the parts
  /// themselves: for messages, no part of the recipe.
  std::map<std::string, std::string> places;

  /// Reads a TOML file, its `extends` bases below it, and `overrides` (`stage.align.learning_rate=1e-4`) above. Relative paths
  /// start from the file that names them. Throws UsageError naming the key, the file's line and the nearest valid key for
  /// anything unknown or of the wrong type. The keys inside a part of the model are looked at by configure().
  static Recipe load(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
  /// TOML that load() reads back to the same recipe.
  std::string to_toml() const;
};

/// Keys whose values differ between two resolved recipes, as `stage.align.learning_rate: 0.001 -> 0.0001`.
std::vector<std::string> differences(const std::string& old_toml, const std::string& new_toml);

}  // namespace ocelli::train
