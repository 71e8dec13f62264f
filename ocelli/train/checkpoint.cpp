#include "ocelli/train/checkpoint.h"

#include <ATen/ATen.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/model/load.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kFormat = 1;

std::string hash_of(const fs::path& file) {
  const auto map = MappedFile::open(file);
  return fmt::format("{:016x}", XXH3_64bits(map->bytes().data(), map->bytes().size()));
}

void write_manifest(const fs::path& folder) {
  Json files = Json::object();
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = {{"bytes", entry.file_size()}, {"xxh3", hash_of(entry.path())}};
  }
  write_file_atomic(folder / "manifest.json", Json{{"format", kFormat}, {"files", files}}.dump(1) + "\n");
}

/// N of `step-N`, -1 for any other name.
int64_t step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with("step-")) return -1;
  int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + 5, end, step);
  return result.ec == std::errc() && result.ptr == end ? step : -1;
}

std::vector<fs::path> checkpoints_of(const fs::path& run) {
  std::vector<fs::path> found;
  if (!fs::is_directory(run / "checkpoints")) return found;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    if (step_of(entry.path()) >= 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) { return step_of(a) > step_of(b); });
  return found;
}

/// A folder is taken away in two steps, so that one half removed is never taken for a checkpoint.
void remove_folder(const fs::path& folder) {
  const fs::path trash = folder.string() + ".trash";
  fs::remove_all(trash);  // of a removal that was cut short: rename takes no folder that holds files
  fs::rename(folder, trash);
  fs::remove_all(trash);
}

void write_weights(const fs::path& folder, const model::Model& model, const Masters& masters) {
  model::save_model(model, folder, [&](const std::string& name) {
    const auto found = masters.find(name);
    return found == masters.end() ? at::Tensor() : found->second;
  });
}

/// The keys of TimeSpent.
std::vector<std::pair<const char*, double*>> fields(TimeSpent& time) {
  return {{"waiting", &time.waiting},   {"vision", &time.vision},       {"decoder", &time.decoder},
          {"backward", &time.backward}, {"optimizer", &time.optimizer}, {"checkpoints", &time.checkpoints}};
}

}  // namespace

double RunState::recent_loss() const {
  if (recent_losses.empty()) return 0;
  return std::accumulate(recent_losses.begin(), recent_losses.end(), 0.0) / static_cast<double>(recent_losses.size());
}

Json RunState::to_json() const {
  Json spent = Json::object();
  TimeSpent copy = time;
  for (const auto& [key, value] : fields(copy)) spent[key] = *value;
  return {{"format", kFormat},
          {"step", step},
          {"stage", stage},
          {"stage_step", stage_step},
          {"position", position},
          {"optimizer_steps", optimizer_steps},
          {"drawn", drawn},
          {"faults", faults},
          {"tokens", tokens},
          {"samples", samples},
          {"pictures", pictures},
          {"flops", flops},
          {"seconds", seconds},
          {"time", spent},
          {"recent_losses", recent_losses},
          {"peak_tensor_bytes", peak_tensor_bytes}};
}

RunState RunState::from_json(const JsonView& json) {
  const int64_t format = json.integer("format");
  require(format == kFormat, "{}.format is {}, expected {}", json.path(), format, kFormat);
  RunState state;
  for (const auto& [key, target] : {std::pair{"step", &state.step},
                                    {"stage", &state.stage},
                                    {"stage_step", &state.stage_step},
                                    {"position", &state.position},
                                    {"optimizer_steps", &state.optimizer_steps},
                                    {"drawn", &state.drawn},
                                    {"faults", &state.faults},
                                    {"tokens", &state.tokens},
                                    {"samples", &state.samples},
                                    {"pictures", &state.pictures}}) {
    *target = json.integer_in(key, 0, int64_t{1} << 60);
  }
  state.flops = json.number("flops");
  state.seconds = json.number("seconds");
  state.peak_tensor_bytes = json.integer_in("peak_tensor_bytes", 0, int64_t{1} << 60);
  const JsonView spent = json.object("time");
  for (const auto& [key, value] : fields(state.time)) *value = spent.number(key);
  // A loss that wasn't finite is null in JSON.
  const JsonView& view = json;
  require(view.has("recent_losses") && view.value()["recent_losses"].is_array(), "{}.recent_losses: expected a list",
          json.path());
  for (const Json& loss : view.value()["recent_losses"]) {
    if (loss.is_number()) state.recent_losses.push_back(loss.get<double>());
  }
  return state;
}

void write_checkpoint(const fs::path& run, const model::Model& model, const model::Processor& processor, const Masters& masters,
                      const Optimizer& optimizer, const RunState& state, int64_t keep) {
  const fs::path parent = run / "checkpoints";
  make_directories(parent);
  const fs::path final = parent / fmt::format("step-{}", state.step);
  const fs::path temporary = final.string() + fmt::format(".tmp-{}", getpid());
  try {
    fs::remove_all(temporary);
    write_weights(temporary, model, masters);
    processor.save(temporary);
    std::map<std::string, RawTensor, std::less<>> moments;
    const auto tensors = optimizer.state();
    for (const auto& [name, tensor] : tensors) moments.emplace(name, nn::raw_view(tensor));
    write_safetensors(temporary / "optimizer.safetensors", moments, {{"format", "1"}});
    write_file_atomic(temporary / "state.json", state.to_json().dump(1) + "\n");
    write_manifest(temporary);
    sync_directory(temporary);
    if (fs::exists(final)) remove_folder(final);  // of an earlier run that went another way from here
    fs::rename(temporary, final);
    sync_directory(parent);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  std::vector<fs::path> all = checkpoints_of(run);
  // Newer ones are damaged, or of a run that went another way from here: they must not push out the one just written.
  std::erase_if(all, [&](const fs::path& checkpoint) {
    const bool newer = step_of(checkpoint) > state.step;
    if (newer) remove_folder(checkpoint);
    return newer;
  });
  for (size_t i = static_cast<size_t>(std::max<int64_t>(1, keep)); i < all.size(); ++i) remove_folder(all[i]);
}

void verify_checkpoint(const fs::path& checkpoint) {
  const fs::path file = checkpoint / "manifest.json";
  require(fs::exists(file), "{}: manifest.json is missing", checkpoint.string());
  const Json json = read_json(file);
  const JsonView manifest(json, file.string());
  require(manifest.integer("format") == kFormat, "{}: format {} is not {}", file.string(), manifest.integer("format"), kFormat);
  const JsonView files = manifest.object("files");
  for (const auto& [name, value] : files.value().items()) {
    const JsonView entry(value, file.string() + ": " + name);
    const fs::path path = checkpoint / fs::path(name).filename();
    require(fs::exists(path), "{}: {} is missing", checkpoint.string(), name);
    require(static_cast<int64_t>(fs::file_size(path)) == entry.integer("bytes"), "{}: {} bytes, the manifest says {}",
            path.string(), fs::file_size(path), entry.integer("bytes"));
    require(hash_of(path) == entry.string("xxh3"), "{}: its hash differs from the manifest's; the file is damaged",
            path.string());
  }
  for (const char* needed : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    const bool sharded = std::string_view(needed) == "model.safetensors" && files.has("model.safetensors.index.json");
    require(files.has(needed) || sharded, "{}: {} is not in the manifest", checkpoint.string(), needed);
  }
}

void sweep(const fs::path& run) {
  for (const fs::path& folder : {run, run / "checkpoints"}) {
    if (!fs::is_directory(folder)) continue;
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      const bool ours = name.starts_with("model.") || name.starts_with("step-");
      if (ours && (name.find(".tmp-") != std::string::npos || name.ends_with(".trash"))) left.push_back(entry.path());
    }
    for (const fs::path& path : left) fs::remove_all(path);
  }
}

std::optional<fs::path> newest_checkpoint(const fs::path& run) {
  for (const fs::path& checkpoint : checkpoints_of(run)) {
    try {
      verify_checkpoint(checkpoint);
      return checkpoint;
    } catch (const Error& error) {
      log::warning("checkpoint passed over: {}", error.what());
    }
  }
  return std::nullopt;
}

RunState read_state(const fs::path& checkpoint) {
  const Json json = read_json(checkpoint / "state.json");
  return RunState::from_json(JsonView(json, (checkpoint / "state.json").string()));
}

void restore_optimizer(const fs::path& checkpoint, Optimizer& optimizer, const RunState& state) {
  const auto file = open_safetensors(checkpoint / "optimizer.safetensors");
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, raw] : file->tensors()) tensors.emplace(name, nn::mapped_tensor(raw, file->owner()));
  optimizer.restore(tensors, state.optimizer_steps);
}

void write_model_folder(const fs::path& folder, const model::Model& model, const model::Processor& processor,
                        const Masters& masters) {
  const fs::path temporary = folder.string() + fmt::format(".tmp-{}", getpid());
  try {
    fs::remove_all(temporary);
    write_weights(temporary, model, masters);
    processor.save(temporary);
    if (fs::exists(folder)) remove_folder(folder);
    fs::rename(temporary, folder);
    sync_directory(folder.parent_path());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace ocelli::train
