#include "ocelli/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/base/log.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/base/version.h"
#include "ocelli/data/batch.h"
#include "ocelli/data/loader.h"
#include "ocelli/data/packer.h"
#include "ocelli/kernels/dispatch.h"
#include "ocelli/model/load.h"
#include "ocelli/nn/cross_entropy.h"
#include "ocelli/nn/memory.h"
#include "ocelli/report/progress.h"
#include "ocelli/train/pass_flops.h"
#include "ocelli/train/run_folder.h"
#include "ocelli/train/schedule.h"
#include "ocelli/train/stage_data.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;
using SamplePointer = std::shared_ptr<const data::EncodedSample>;

/// Steps whose loss or gradients are not finite are passed over; this many in a row end the run.
constexpr int kMostNonFinite = 3;
/// Broken samples in a row that end the run.
constexpr int64_t kMostFaultsInRow = 100;
/// Samples drawn before the share of broken ones says anything.
constexpr int64_t kLeastDrawn = 100;

at::ScalarType resolve_precision(Recipe& recipe) {
  if (recipe.precision == "auto") recipe.precision = bf16_is_native() ? "bf16" : "fp32";
  return recipe.precision == "bf16" ? at::kBFloat16 : at::kFloat;
}

Json environment(const Recipe& recipe) {
  return {{"format", 1},
          {"ocelli", kVersion},
          {"torch", TORCH_VERSION},
          {"cpu", cpu_info().model},
          {"isa", name_of(kernels::running_isa())},
          {"threads", at::get_num_threads()},
          {"precision", recipe.precision}};
}

/// Draws of each source so far, by name.
Json drawn_by_source(const data::Mixture& mixture, int64_t position) {
  Json out = Json::object();
  const std::vector<int64_t> drawn = mixture.drawn(position);
  for (size_t i = 0; i < drawn.size(); ++i) out[mixture.sources()[i].data->name()] = drawn[i];
  return out;
}

/// One stage while it runs.
struct StageRun {
  const StageRecipe& recipe;
  data::Mixture mixture;
  Optimizer optimizer;
  int64_t total_steps = 0;
};

class Trainer {
 public:
  Trainer(Recipe recipe, const TrainOptions& options) : recipe_(std::move(recipe)), options_(options), folder_(options.out) {}

  TrainResult run();

 private:
  data::Mixture mixture_of(size_t stage) const;
  std::optional<fs::path> checkpoint_to_resume();
  void open_model(const std::optional<fs::path>& resumed);
  void run_stage(size_t index, const std::optional<fs::path>& resumed);
  std::vector<SamplePointer> next_step(StageRun& stage, data::Loader& loader);
  data::Batch batch_of(const std::vector<SamplePointer>& samples) const;
  double train_step(StageRun& stage, const std::vector<SamplePointer>& samples);
  std::vector<std::vector<SamplePointer>> passes(const StageRecipe& stage, const std::vector<SamplePointer>& samples) const;
  void record_fault(const data::Mixture& mixture, const data::Loader::Item& item);
  void log_step(StageRun& stage, double loss, double norm, double share, double step_seconds);
  void save(StageRun& stage);
  void write_model();
  void keep_statistics();
  void restore_statistics();
  [[noreturn]] void report_non_finite(const std::vector<SamplePointer>& samples);
  int64_t count_steps(const StageRecipe& stage, const data::Mixture& mixture) const;
  bool must_stop() const;

  Recipe recipe_;
  TrainOptions options_;
  RunFolder folder_;
  at::ScalarType dtype_ = at::kFloat;
  Sources sources_;
  Assembled assembled_;
  Masters masters_;
  RunState state_;
  TrainResult result_;
  std::vector<std::string> step_ids_;  ///< "source:id" of the step's samples, when they are logged
  int64_t faults_in_row_ = 0;
  int non_finite_in_row_ = 0;
  double last_norm_ = 0;
  /// Running statistics and what they were before the step: a step that is passed over leaves no trace in them.
  std::vector<std::pair<at::Tensor, at::Tensor>> statistics_;
  double seconds_before_ = 0;
  Stopwatch watch_;  ///< since training began in this process
  std::unique_ptr<report::Progress> progress_;
  std::vector<int64_t> planned_steps_;
};

int64_t Trainer::count_steps(const StageRecipe& stage, const data::Mixture& mixture) const {
  if (stage.max_steps > 0) return stage.max_steps;
  // Samples of an epoch by what batch_size counts: the mean over a few records of each source, weighted as they are drawn.
  double samples = 0;
  for (const data::Mixture::Source& source : mixture.sources()) {
    const int64_t size = source.data->size(), looked_at = std::min<int64_t>(size, 256);
    int64_t counted = 0, read = 0;
    for (int64_t i = 0; i < looked_at; ++i) {
      try {
        counted += source.data->get(i * size / looked_at).count();
        ++read;
      } catch (const Error&) {
        continue;  // reported when it is drawn
      }
    }
    require(read > 0, "data {}: none of {} records looked at can be read", source.data->name(), looked_at);
    samples += static_cast<double>(counted) / static_cast<double>(read) * source.weight * static_cast<double>(size);
  }
  return std::max<int64_t>(1, std::llround(samples * stage.num_epochs / static_cast<double>(stage.batch_size)));
}

data::Mixture Trainer::mixture_of(size_t stage) const {
  return {mixture_sources(recipe_.stages[stage], sources_), recipe_.seed + stage};  // each stage has an order of its own
}

std::optional<fs::path> Trainer::checkpoint_to_resume() {
  const std::string stored = folder_.stored_recipe();
  if (options_.resume == "never") {
    require(stored.empty(), "run {}: the folder holds a run already; choose another with --out, or resume it",
            folder_.path().string());
    return std::nullopt;
  }
  if (!stored.empty()) {
    const std::vector<std::string> changed = differences(stored, recipe_.to_toml());
    if (!changed.empty()) {
      std::string list;
      for (const std::string& line : changed) list += "\n  " + line;
      fail(
          "run {}: the recipe has changed since the run was started; go on with the old one, or choose another folder with "
          "--out{}",
          folder_.path().string(), list);
    }
  }
  if (options_.resume == "auto") return newest_checkpoint(folder_.path());
  verify_checkpoint(options_.resume);
  return options_.resume;
}

void Trainer::open_model(const std::optional<fs::path>& resumed) {
  if (!resumed) {
    std::vector<std::shared_ptr<const data::Dataset>> all;
    for (const DataRecipe& source : recipe_.data) all.push_back(sources_.at(source.options.name));
    assembled_ = assemble(recipe_, all);
    return;
  }
  // Everything of the model lies in the checkpoint, the trained tokenizer too: what the recipe names may be gone by now.
  assembled_.model = model::load_model(*resumed, {.dtype = at::kFloat, .trainable = true});
  assembled_.processor = model::Processor::load(*resumed, assembled_.model->config());
  state_ = read_state(*resumed);
  require(state_.stage <= static_cast<int64_t>(recipe_.stages.size()), "{}: stage {} of {}", resumed->string(), state_.stage,
          recipe_.stages.size());
  log::info("going on from {}", resumed->string());
}

TrainResult Trainer::run() {
  if (recipe_.precision == "auto" && options_.resume != "never" && !folder_.stored_recipe().empty()) {
    // What `auto` came to when the run was started, perhaps on another machine, holds.
    recipe_.precision = Recipe::load(folder_.path() / "recipe.toml").precision;
  }
  dtype_ = resolve_precision(recipe_);
  result_.resident_before_bytes = nn::resident_bytes();
  sweep(folder_.path());
  sources_ = open_sources(recipe_);
  const std::optional<fs::path> resumed = checkpoint_to_resume();
  open_model(resumed);
  // Only now: a recipe that can't be assembled must not claim the folder.
  folder_.store_recipe(recipe_.to_toml());
  folder_.store_environment(environment(recipe_));
  masters_ = masters_of(*assembled_.model, recipe_.stages, dtype_);
  model::set_precision(*assembled_.model, dtype_);
  folder_.open_logs(state_.step);

  int64_t total = 0;
  for (const StageRecipe& stage : recipe_.stages) {
    planned_steps_.push_back(count_steps(stage, mixture_of(planned_steps_.size())));
    total += planned_steps_.back();
  }
  if (options_.max_steps > 0) total = std::min(total, options_.max_steps);
  log::info("{} parameters, {}, {} steps, {} threads", nn::count_parameters(*assembled_.model), recipe_.precision, total,
            at::get_num_threads());
  report::ProgressOptions shown;
  shown.start = state_.step;
  progress_ = std::make_unique<report::Progress>("training", total, shown);
  nn::reset_peak_memory();
  seconds_before_ = state_.seconds;
  watch_ = Stopwatch();

  for (size_t i = static_cast<size_t>(state_.stage); i < recipe_.stages.size() && !must_stop(); ++i) {
    run_stage(i, resumed && static_cast<int64_t>(i) == state_.stage ? resumed : std::nullopt);
  }
  result_.finished = state_.stage == static_cast<int64_t>(recipe_.stages.size());
  result_.state = state_;
  result_.peak_resident_bytes = nn::peak_resident_bytes();
  result_.last_loss = state_.recent_loss();
  progress_->finish(fmt::format("loss {:.4f}", result_.last_loss));
  if (result_.finished) {
    result_.model = folder_.path() / "model";
    if (!fs::exists(result_.model / "config.json"))
      write_model();  // taken away, or never written: the run was killed just before
  }
  return result_;
}

bool Trainer::must_stop() const {
  return (options_.stop != nullptr && options_.stop->load()) || (options_.max_steps > 0 && state_.step >= options_.max_steps);
}

void Trainer::run_stage(size_t index, const std::optional<fs::path>& resumed) {
  const StageRecipe& recipe = recipe_.stages[index];
  StageRun stage{recipe, mixture_of(index), Optimizer(*assembled_.model, recipe, masters_), planned_steps_[index]};
  if (resumed && state_.optimizer_steps > 0) restore_optimizer(*resumed, stage.optimizer, state_);

  const data::SampleEncoder encoder(
      assembled_.processor, [this](const image::Tiling& tiling) { return assembled_.model->num_tokens(tiling); },
      recipe.max_length);
  const int threads =
      recipe_.loader_threads > 0 ? static_cast<int>(recipe_.loader_threads) : std::max(1, cpu_info().logical_cores / 2);
  const int64_t ahead = std::clamp<int64_t>(2 * recipe.batch_size, 4 * threads, 256);
  data::Loader loader(stage.mixture, encoder, state_.position, threads, ahead);

  while (state_.stage_step < stage.total_steps && !must_stop()) {
    const Stopwatch watch;
    const double waited = loader.waited_seconds();
    const std::vector<SamplePointer> samples = next_step(stage, loader);
    state_.time.waiting += loader.waited_seconds() - waited;
    const double share = learning_rate_share(recipe.lr_scheduler_type, recipe.warmup_ratio, state_.stage_step, stage.total_steps);
    keep_statistics();
    const double loss = train_step(stage, samples);
    last_norm_ = stage.optimizer.gradient_norm();
    if (!std::isfinite(loss) || !std::isfinite(last_norm_)) {
      stage.optimizer.clear_gradients();
      restore_statistics();
      log::warning("step {}: loss {} and gradient norm {} are not finite; the step is passed over", state_.step + 1, loss,
                   last_norm_);
      if (++non_finite_in_row_ >= kMostNonFinite) report_non_finite(samples);
    } else {
      non_finite_in_row_ = 0;
      const Stopwatch updating;
      const double clip =
          recipe.max_grad_norm > 0 && last_norm_ > recipe.max_grad_norm ? recipe.max_grad_norm / (last_norm_ + 1e-6) : 1.0;
      stage.optimizer.step(share, clip);
      state_.time.optimizer += updating.seconds();
    }
    ++state_.step;
    ++state_.stage_step;
    state_.optimizer_steps = stage.optimizer.steps();
    state_.seconds = seconds_before_ + watch_.seconds();
    log_step(stage, loss, last_norm_, share, watch.seconds());
    if (state_.step % recipe_.save_steps == 0 && state_.stage_step < stage.total_steps) save(stage);
  }
  if (state_.stage_step >= stage.total_steps) {
    ++state_.stage;
    state_.stage_step = 0;
    state_.position = 0;
    state_.optimizer_steps = 0;
    if (state_.stage == static_cast<int64_t>(recipe_.stages.size())) {
      write_model();
    }
  }
  save(stage);
}

std::vector<SamplePointer> Trainer::next_step(StageRun& stage, data::Loader& loader) {
  std::vector<SamplePointer> samples;
  step_ids_.clear();
  for (int64_t count = 0; count < stage.recipe.batch_size;) {
    data::Loader::Item item = loader.next();
    state_.position = item.position + 1;
    ++state_.drawn;
    if (item.sample == nullptr) {
      record_fault(stage.mixture, item);
      continue;
    }
    faults_in_row_ = 0;
    if (recipe_.log_samples) {
      step_ids_.push_back(stage.mixture.sources()[static_cast<size_t>(item.draw.source)].data->name() + ":" + item.sample->id);
    }
    count += static_cast<int64_t>(item.sample->continuations.size());
    samples.push_back(std::move(item.sample));
  }
  return samples;
}

void Trainer::record_fault(const data::Mixture& mixture, const data::Loader::Item& item) {
  ++state_.faults;
  ++faults_in_row_;
  const std::string& source = mixture.sources()[static_cast<size_t>(item.draw.source)].data->name();
  folder_.faults().append(Json{{"step", state_.step + 1},
                               {"position", item.position},
                               {"source", source},
                               {"index", item.draw.index},
                               {"fault", item.fault}});
  const bool share = state_.drawn >= kLeastDrawn &&
                     static_cast<double>(state_.faults) > recipe_.max_fault_share * static_cast<double>(state_.drawn);
  const bool row = faults_in_row_ >= std::min(kMostFaultsInRow, std::max<int64_t>(10, mixture.epoch_size()));
  require(!share && !row, "{} of {} samples drawn are broken (max_fault_share is {}); they are listed in {}. The last one: {}",
          state_.faults, state_.drawn, recipe_.max_fault_share, folder_.faults().path().string(), item.fault);
}

std::vector<std::vector<SamplePointer>> Trainer::passes(const StageRecipe& stage,
                                                        const std::vector<SamplePointer>& samples) const {
  std::vector<std::vector<SamplePointer>> out;
  if (!stage.packing) {
    for (const SamplePointer& sample : samples) out.push_back({sample});
    return out;
  }
  int64_t tokens = 0, longest = 1;
  std::vector<data::PackItem> items;
  for (const SamplePointer& sample : samples) {
    items.push_back({sample->tokens(), static_cast<int64_t>(sample->pictures.size())});
    tokens += items.back().tokens;
    longest = std::max(longest, items.back().tokens);
  }
  // Equal parts of what is accumulated, but no smaller than a sample.
  const int64_t even = std::max(longest, (tokens + stage.gradient_accumulation_steps - 1) / stage.gradient_accumulation_steps);
  const int64_t most = stage.max_tokens_per_step > 0 ? std::min(stage.max_tokens_per_step, even) : even;
  for (const std::vector<int64_t>& one : data::pack(items, {.tokens = most, .pictures = stage.max_pictures_per_pass})) {
    out.emplace_back();
    for (const int64_t i : one) out.back().push_back(samples[static_cast<size_t>(i)]);
  }
  return out;
}

data::Batch Trainer::batch_of(const std::vector<SamplePointer>& samples) const {
  data::Batch batch = data::make_batch(samples, *assembled_.processor, [this](std::span<const model::PixelTiles> pictures) {
    return assembled_.model->token_grids(pictures);
  });
  batch.inputs.pixels = batch.inputs.pixels.to(dtype_);
  return batch;
}

void Trainer::keep_statistics() {
  const at::NoGradGuard no_grad;
  if (statistics_.empty()) {
    nn::for_each_parameter(*assembled_.model, [&](const std::string&, const nn::Parameter& declared) {
      if (declared.buffer) statistics_.emplace_back(declared.tensor, at::empty_like(declared.tensor));
    });
  }
  for (auto& [live, kept] : statistics_) kept.copy_(live);
}

void Trainer::restore_statistics() {
  const at::NoGradGuard no_grad;
  for (auto& [live, kept] : statistics_) live.copy_(kept);
}

void Trainer::write_model() {
  write_model_folder(folder_.path() / "model", *assembled_.model, *assembled_.processor, masters_);
}

double Trainer::train_step(StageRun& stage, const std::vector<SamplePointer>& samples) {
  int64_t trained = 0;
  for (const SamplePointer& sample : samples) trained += sample->trained_tokens();
  double loss = 0;
  for (const std::vector<SamplePointer>& part : passes(stage.recipe, samples)) {
    const data::Batch batch = batch_of(part);
    const Stopwatch watch;
    double vision = 0;
    nn::RunContext context;
    // A frozen tower keeps its running statistics.
    context.training = stage.recipe.trains("vision");
    context.gradient_checkpointing = stage.recipe.gradient_checkpointing;
    context.observe = [&](std::string_view block, const at::Tensor&) {
      if (block == "multi_modal_projector") vision = watch.seconds();
    };
    const at::Tensor hidden = assembled_.model->forward(batch.inputs, context);
    const at::Tensor scale = at::full({batch.labels.numel()}, 1.0 / static_cast<double>(trained), at::kFloat);
    const language::Decoder& decoder = assembled_.model->decoder();
    const at::Tensor part_loss =
        nn::linear_cross_entropy(hidden, decoder.head_weight(), batch.labels, scale, nullptr, decoder.head_bias());
    const double forward = watch.seconds();
    torch::autograd::backward({part_loss}, {});
    loss += part_loss.item<double>();
    state_.time.vision += vision;
    state_.time.decoder += forward - vision;
    state_.time.backward += watch.seconds() - forward;
    state_.tokens += batch.tokens;
    state_.samples += batch.samples;
    state_.pictures += batch.pictures;
    state_.flops += pass_flops(*assembled_.model, batch, part, stage.recipe);
  }
  return loss;
}

void Trainer::log_step(StageRun& stage, double loss, double norm, double share, double step_seconds) {
  state_.recent_losses.push_back(loss);
  if (state_.recent_losses.size() > RunState::kRecentLosses) state_.recent_losses.erase(state_.recent_losses.begin());
  const auto rates = stage.optimizer.rates(share);
  const double epoch = static_cast<double>(state_.position) / static_cast<double>(stage.mixture.epoch_size());
  Json line = {{"step", state_.step},
               {"stage", stage.recipe.name},
               {"epoch", epoch},
               {"loss", loss},
               {"grad_norm", norm},
               {"learning_rate", rates},
               {"tokens", state_.tokens},
               {"samples", state_.samples},
               {"pictures", state_.pictures},
               {"faults", state_.faults},
               {"flops", state_.flops},
               {"step_seconds", step_seconds},
               {"seconds", state_.seconds},
               {"wait_seconds", state_.time.waiting},
               {"drawn", drawn_by_source(stage.mixture, state_.position)}};
  if (recipe_.log_samples) line["sample_ids"] = step_ids_;
  folder_.metrics().append(line);
  if (state_.step % recipe_.logging_steps == 0) {
    std::vector<std::pair<std::string, double>> values = {
        {"train/loss", loss},
        {"train/grad_norm", norm},
        {"train/epoch", epoch},
        {"perf/step_seconds", step_seconds},
        {"mem/peak_tensor_gb", static_cast<double>(nn::memory_use().peak) / 1e9}};
    for (const auto& [part, rate] : rates) values.emplace_back("train/lr_" + part, rate);
    folder_.events().scalars(values, state_.step);
    folder_.events().flush();
  }
  progress_->update(state_.step, fmt::format("{}  loss {:.4f}", stage.recipe.name, state_.recent_loss()));
}

void Trainer::save(StageRun& stage) {
  const Stopwatch watch;
  state_.seconds = seconds_before_ + watch_.seconds();
  state_.peak_tensor_bytes = std::max(state_.peak_tensor_bytes, nn::memory_use().peak);
  write_checkpoint(folder_.path(), *assembled_.model, *assembled_.processor, masters_, stage.optimizer, state_,
                   recipe_.save_total_limit);
  state_.time.checkpoints += watch.seconds();
}

void Trainer::report_non_finite(const std::vector<SamplePointer>& samples) {
  std::string ids;
  for (size_t i = 0; i < std::min<size_t>(samples.size(), 5); ++i) ids += (i == 0 ? "" : ", ") + samples[i]->id;
  const data::Batch batch = batch_of(samples);
  nn::RunContext context;
  context.training = true;
  nn::stop_at_non_finite(context);
  std::string where = "the loss or its gradients";
  try {
    const at::NoGradGuard no_grad;
    assembled_.model->forward(batch.inputs, context);
  } catch (const Error& error) {
    where = error.what();
  }
  fail("step {}: {} steps in a row were not finite; first: {}; samples: {}. Lower the learning rate, or set precision = \"fp32\"",
       state_.step + 1, kMostNonFinite, where, ids);
}

}  // namespace

TrainResult train(const Recipe& recipe, const TrainOptions& options) {
  return Trainer(recipe, options).run();
}

}  // namespace ocelli::train
