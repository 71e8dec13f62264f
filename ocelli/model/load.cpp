#include "ocelli/model/load.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <map>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/model/hf/names.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::model {
namespace {

constexpr size_t kNamesShown = 8;

std::string shown(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) text += "\n  " + names[i];
  if (names.size() > kNamesShown) text += fmt::format("\n  … and {} more", names.size() - kNamesShown);
  return text;
}

/// An embedding or head with fewer rows than the model declares: tokens were added.
bool grows(const std::string& name, const RawTensor& raw, const nn::Parameter& parameter) {
  const bool by_token = name.ends_with("embed_tokens.weight") || name.ends_with("lm_head.weight");
  return by_token && raw.shape.size() == 2 && parameter.shape.size() == 2 && raw.shape[1] == parameter.shape[1] &&
         raw.shape[0] < parameter.shape[0] && raw.shape[0] > 0;
}

/// New rows start as the mean of the others.
at::Tensor grown(const at::Tensor& rows, int64_t count) {
  const at::Tensor mean = rows.to(at::kFloat).mean(0, true).to(rows.scalar_type());
  return at::cat({rows, mean.expand({count - rows.size(0), rows.size(1)})});
}

/// Fills what starts with `prefix`; throws with every fault named.
void fill_from(Model& model, std::string_view prefix, const TensorFile& file, const LoadOptions& options) {
  std::map<std::string, const RawTensor*> available;
  for (const auto& [published, raw] : file.tensors()) {
    const auto name = hf::our_name(published);
    if (name && name->starts_with(prefix)) available.emplace(*name, &raw);
  }
  std::vector<std::string> missing, wrong;
  // First look, then touch: a folder that doesn't fit is refused before anything is copied.
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    if (!name.starts_with(prefix)) return;
    const auto found = available.find(name);
    if (found == available.end()) {
      // A tower whose features are taken before its closing norm needs no such norm.
      if (name.find(".post_layernorm.") != std::string::npos && !model.config().vision->apply_post_layernorm) return;
      missing.push_back(fmt::format("{} [{}]", name, fmt::join(parameter.shape, ", ")));
    } else if (found->second->shape != parameter.shape && !(options.trainable && grows(name, *found->second, parameter))) {
      wrong.push_back(fmt::format("{} is [{}], expected [{}]", name, fmt::join(found->second->shape, ", "),
                                  fmt::join(parameter.shape, ", ")));
    }
  });
  std::vector<std::string> extra;
  std::map<std::string, bool> declared;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter&) { declared[name] = true; });
  for (const auto& [name, raw] : available) {
    const bool tied_head = name == "language_model.lm_head.weight" && model.config().decoder.tie_word_embeddings;
    if (!declared.contains(name) && !tied_head) extra.push_back(name);
  }
  std::string faults;
  if (!missing.empty()) faults += fmt::format("\n{} weights are missing:{}", missing.size(), shown(missing));
  if (!wrong.empty()) faults += fmt::format("\n{} weights have another shape:{}", wrong.size(), shown(wrong));
  if (!extra.empty()) faults += fmt::format("\n{} weights are unknown:{}", extra.size(), shown(extra));
  require(faults.empty(), "{}: its weights do not fit its config.json{}", file.path().string(), faults);

  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    if (!name.starts_with(prefix)) return;
    const at::ScalarType wanted = parameter.buffer ? at::kFloat : options.dtype;
    const auto found = available.find(name);
    if (found == available.end()) {
      nn::fill(name, parameter, at::zeros(parameter.shape, wanted));
      return;
    }
    const at::Tensor mapped = nn::mapped_tensor(*found->second, file.owner());
    if (found->second->shape != parameter.shape) {
      nn::fill(name, parameter, grown(mapped.to(wanted), parameter.shape[0]));
      return;
    }
    // A buffer is written in training, so it is never mapped.
    const bool stays_mapped = !options.trainable && !parameter.buffer && mapped.scalar_type() == wanted;
    nn::fill(name, parameter, stays_mapped ? mapped : mapped.to(wanted, false, true));
  });
}

std::filesystem::path cache_folder() {
  if (const char* hub = std::getenv("HF_HUB_CACHE")) return hub;
  if (const char* home = std::getenv("HF_HOME")) return std::filesystem::path(home) / "hub";
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return std::filesystem::path(cache) / "huggingface" / "hub";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "" : home) / ".cache" / "huggingface" / "hub";
}

}  // namespace

std::filesystem::path resolve_model(const std::string& path_or_name) {
  namespace fs = std::filesystem;
  if (fs::is_directory(path_or_name)) return path_or_name;
  const size_t slash = path_or_name.find('/');
  const bool repository = slash != std::string::npos && slash > 0 && slash + 1 < path_or_name.size() &&
                          path_or_name.find('/', slash + 1) == std::string::npos && path_or_name[0] != '.' &&
                          path_or_name.find("..") == std::string::npos;
  require(repository, "model {}: no such folder", path_or_name);
  const fs::path base = cache_folder() / ("models--" + path_or_name.substr(0, slash) + "--" + path_or_name.substr(slash + 1));
  if (fs::exists(base / "refs" / "main")) {
    std::string revision = read_file(base / "refs" / "main", 4096);
    while (!revision.empty() && std::isspace(static_cast<unsigned char>(revision.back())) != 0) revision.pop_back();
    if (revision.find('/') == std::string::npos && fs::is_directory(base / "snapshots" / revision))
      return base / "snapshots" / revision;
  }
  fail("model {}: neither a folder nor in the Hugging Face cache ({}); download it with\n  hf download {}", path_or_name,
       cache_folder().string(), path_or_name);
}

std::shared_ptr<Model> load_model(const std::filesystem::path& folder, const LoadOptions& options) {
  auto model = std::make_shared<Model>(ModelConfig::load(folder));
  fill_from(*model, "", *open_model_weights(folder), options);
  return model;
}

void load_part(Model& model, std::string_view prefix, const std::filesystem::path& folder, const LoadOptions& options) {
  fill_from(model, prefix, *open_model_weights(folder), options);
}

void save_model(const Model& model, const std::filesystem::path& folder, const Replacement& replacement) {
  make_directories(folder);
  std::map<std::string, RawTensor, std::less<>> tensors;
  std::vector<at::Tensor> held;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    const at::Tensor other = replacement && !parameter.buffer ? replacement(name) : at::Tensor();
    held.push_back((other.defined() ? other : parameter.tensor).detach().to(at::kCPU).contiguous());
    tensors.emplace(name, nn::raw_view(held.back()));
  });
  if (!model.has_pictures()) {
    std::map<std::string, RawTensor, std::less<>> renamed;
    for (const auto& [name, raw] : tensors) renamed.emplace(name.substr(std::string_view("language_model.").size()), raw);
    tensors = std::move(renamed);
  }
  write_model_weights(folder, tensors);
  Json config = model.config().to_json();
  for (const at::Tensor& tensor : held) {
    if (tensor.scalar_type() == at::kBFloat16) config["dtype"] = "bfloat16";
    if (tensor.scalar_type() == at::kHalf) config["dtype"] = "float16";
  }
  write_file_atomic(folder / "config.json", config.dump(2) + "\n");
  Json generation = {{"_from_model_config", true}};
  if (model.config().bos_token_id >= 0) generation["bos_token_id"] = model.config().bos_token_id;
  if (!model.config().eos_token_ids.empty()) generation["eos_token_id"] = model.config().eos_token_ids;
  write_file_atomic(folder / "generation_config.json", generation.dump(2) + "\n");
}

}  // namespace ocelli::model
