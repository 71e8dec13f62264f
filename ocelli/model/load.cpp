#include "ocelli/model/load.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/model/hf/family_list.h"
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

/// An embedding or head (its bias too) with fewer rows than the model declares: tokens were added.
bool grows(const std::string& name, const std::vector<int64_t>& shape, const nn::Parameter& parameter) {
  const bool by_token = name.ends_with("embed_tokens.weight") || name.ends_with("shared.weight") ||
                        name.ends_with("lm_head.weight") || name.ends_with("lm_head.bias");
  return by_token && !shape.empty() && shape.size() == parameter.shape.size() &&
         std::equal(shape.begin() + 1, shape.end(), parameter.shape.begin() + 1) && shape[0] < parameter.shape[0] && shape[0] > 0;
}

/// New rows start as the mean of the others.
at::Tensor grown(const at::Tensor& rows, int64_t count) {
  const at::Tensor mean = rows.to(at::kFloat).mean(0, true).to(rows.scalar_type());
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = count - rows.size(0);
  return at::cat({rows, mean.expand(shape)});
}

/// The value a parameter no file holds starts with.
at::Tensor initial(const nn::Parameter& parameter, at::ScalarType dtype) {
  return parameter.init.kind == nn::Init::Kind::kOnes ? at::ones(parameter.shape, dtype) : at::zeros(parameter.shape, dtype);
}

/// Weights and the names they have.
struct WeightSource {
  std::shared_ptr<const TensorFile> file;
  hf::NameMap names;
};

/// One of our tensors as it lies in a file.
struct Stored {
  const WeightSource* source;
  std::string published;
  const RawTensor* raw;
  hf::NameMap::Match match;
  size_t part;

  /// Shape once it is ours; touches no byte.
  std::vector<int64_t> shape() const {
    const at::Tensor empty = at::empty(raw->shape, at::TensorOptions().dtype(nn::to_torch(raw->dtype)).device(at::kMeta));
    return hf::apply(*match.row, empty).at(part).sizes().vec();
  }
  /// A view of the mapped bytes where the transform allows it.
  at::Tensor tensor() const { return hf::apply(*match.row, nn::mapped_tensor(*raw, source->file->owner())).at(part); }
};

/// The low-rank addition to one weight: `X.lora_A.weight` [r, in] and `X.lora_B.weight` [out, r] beside `X.weight` [out, in].
/// Hu et al., arXiv:2106.09685.
struct Adapter {
  const Stored *a = nullptr, *b = nullptr;
  explicit operator bool() const { return a != nullptr && b != nullptr; }
};
using Available = std::map<std::string, Stored>;

constexpr std::string_view kFactors[] = {".lora_A.weight", ".lora_B.weight"};

/// What the factor `name` is added to; empty for another name.
std::string adapted_name(const std::string& name) {
  for (const std::string_view factor : kFactors) {
    if (name.ends_with(factor)) return name.substr(0, name.size() - factor.size()) + ".weight";
  }
  return {};
}

Adapter adapter_of(const std::string& name, const Available& available) {
  if (!name.ends_with(".weight")) return {};
  const std::string base = name.substr(0, name.size() - std::string_view(".weight").size());
  Adapter out;
  for (const std::string_view factor : kFactors) {
    const auto found = available.find(base + std::string(factor));
    if (found != available.end()) (factor == kFactors[0] ? out.a : out.b) = &found->second;
  }
  return out;
}

/// Whether the factors multiply to `shape`.
bool fits(const Adapter& adapter, const std::vector<int64_t>& shape) {
  const std::vector<int64_t> a = adapter.a->shape(), b = adapter.b->shape();
  return a.size() == 2 && b.size() == 2 && shape.size() == 2 && a[0] == b[1] && a[1] == shape[1] && b[0] == shape[0];
}

at::Tensor merged(const at::Tensor& weight, const Adapter& adapter, double scale) {
  const at::Tensor added = at::matmul(adapter.b->tensor().to(at::kFloat), adapter.a->tensor().to(at::kFloat));
  return weight.to(at::kFloat) + scale * added;
}

/// Fills what starts with `prefix` from the sources, the first that has it; throws with every fault named.
void fill_from(Model& model, std::string_view prefix, const std::vector<WeightSource>& sources, const LoadOptions& options) {
  Available available;
  std::vector<std::string> missing, wrong, extra;
  for (const WeightSource& source : sources) {
    for (const auto& [published, raw] : source.file->tensors()) {
      const auto match = source.names.match(published);
      if (!match) {
        if (prefix.empty()) extra.push_back(published);
        continue;
      }
      for (size_t part = 0; part < match->ours.size(); ++part) {
        if (match->row->transform == hf::Transform::kIgnore || !match->ours[part].starts_with(prefix)) continue;
        available.try_emplace(match->ours[part], Stored{&source, published, &raw, *match, part});
      }
    }
  }
  const auto may_be_absent = [&](const std::string& name) {
    for (const WeightSource& source : sources) {
      if (source.names.is_initial(name)) return true;
    }
    // A tower whose features are taken before its closing norm needs no such norm.
    return (name.starts_with("vision_tower.post_layernorm.") && !model.config().vision->apply_post_layernorm) ||
           (name.starts_with("aux_tower.post_layernorm.") && !model.config().aux_vision->apply_post_layernorm);
  };
  // First look, then touch: a folder that doesn't fit is refused before anything is copied.
  std::map<std::string, bool> declared;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    declared[name] = true;
    if (!name.starts_with(prefix)) return;
    const auto found = available.find(name);
    if (found == available.end()) {
      if (!may_be_absent(name)) missing.push_back(fmt::format("{} [{}]", name, fmt::join(parameter.shape, ", ")));
      return;
    }
    std::vector<int64_t> shape;
    try {
      shape = found->second.shape();
    } catch (const Error& error) {
      wrong.emplace_back(error.what());
      return;
    }
    const Adapter adapter = adapter_of(name, available);
    if (adapter && !fits(adapter, shape)) {
      wrong.push_back(fmt::format("{}: its adapter's factors [{}] and [{}] do not multiply to [{}]", name,
                                  fmt::join(adapter.b->shape(), ", "), fmt::join(adapter.a->shape(), ", "),
                                  fmt::join(shape, ", ")));
    }
    if (shape != parameter.shape && !(options.trainable && grows(name, shape, parameter))) {
      const std::string in_file =
          found->second.published == name ? "" : fmt::format(" (in the file {})", found->second.published);
      wrong.push_back(
          fmt::format("{} is [{}], expected [{}]{}", name, fmt::join(shape, ", "), fmt::join(parameter.shape, ", "), in_file));
    }
  });
  for (const auto& [name, stored] : available) {
    const bool tied_head = name == "language_model.lm_head.weight" && model.config().decoder.tie_word_embeddings;
    const std::string adapted = adapted_name(name);
    const bool is_factor = model.config().adapter_scale != 0 && declared.contains(adapted) && adapter_of(adapted, available);
    if (!declared.contains(name) && !tied_head && !is_factor) extra.push_back(stored.published);
  }
  std::string faults;
  if (!missing.empty()) faults += fmt::format("\n{} weights are missing:{}", missing.size(), shown(missing));
  if (!wrong.empty()) faults += fmt::format("\n{} weights have another shape:{}", wrong.size(), shown(wrong));
  if (!extra.empty()) faults += fmt::format("\n{} weights are unknown:{}", extra.size(), shown(extra));
  require(faults.empty(), "{}: its weights do not fit its config.json{}", sources.front().file->path().string(), faults);

  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    if (!name.starts_with(prefix)) return;
    const at::ScalarType wanted = parameter.buffer ? at::kFloat : options.dtype;
    const auto found = available.find(name);
    if (found == available.end()) {
      nn::fill(name, parameter, initial(parameter, wanted));
      return;
    }
    at::Tensor mapped = found->second.tensor();
    if (const Adapter adapter = adapter_of(name, available)) mapped = merged(mapped, adapter, model.config().adapter_scale);
    if (mapped.sizes() != at::IntArrayRef(parameter.shape)) {
      nn::fill(name, parameter, grown(mapped.to(wanted), parameter.shape[0]));
      return;
    }
    // A buffer is written in training, so it is never mapped.
    const bool stays_mapped = !options.trainable && !parameter.buffer && mapped.scalar_type() == wanted && mapped.is_contiguous();
    nn::fill(name, parameter, stays_mapped ? mapped : mapped.to(wanted, false, true).contiguous());
  });
}

/// The names of a folder that holds a part, whatever model it comes from.
hf::NameMap names_of_part(const std::filesystem::path& folder, const ModelConfig& config) {
  if (std::filesystem::exists(folder / "config.json")) {
    const Json json = read_json(folder / "config.json");
    const JsonView view(json, (folder / "config.json").string());
    if (auto names = hf::tower_names(view)) return *std::move(names);
    for (const hf::Family& family : hf::families()) {
      if (family.matches(view)) return family.names(ModelConfig::load(folder));
    }
  }
  return hf::find_family("llava")->names(config);
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
  const ModelConfig& config = model->config();
  std::vector<WeightSource> sources;
  sources.push_back({open_model_weights(folder), hf::find_family(config.family)->names(config)});
  if (!config.vision_folder.empty()) {
    hf::NameMap tower;
    tower.add(hf::find_family("llava")->names(config), "", "");
    sources.push_back({open_model_weights(config.vision_folder), std::move(tower)});
  }
  fill_from(*model, "", sources, options);
  return model;
}

void load_part(Model& model, std::string_view prefix, const std::filesystem::path& folder, const LoadOptions& options) {
  std::vector<WeightSource> sources;
  sources.push_back({open_model_weights(folder), names_of_part(folder, model.config())});
  fill_from(model, prefix, sources, options);
}

void save_model(const Model& model, const std::filesystem::path& folder, const Replacement& replacement) {
  make_directories(folder);
  const hf::NameMap names = hf::find_family(model.config().written_family())->names(model.config());
  std::map<std::string, at::Tensor> ours;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) {
    const at::Tensor other = replacement && !parameter.buffer ? replacement(name) : at::Tensor();
    ours.emplace(name, (other.defined() ? other : parameter.tensor).detach().to(at::kCPU).contiguous());
  });
  std::map<std::string, at::Tensor> published;
  for (const auto& [name, tensor] : ours) {
    const auto written = names.written(name);
    require(written.has_value(), "weight {} has no name in the layout \"{}\"", name, model.config().written_family());
    if (published.contains(written->published)) continue;  // another part of it came first
    std::vector<at::Tensor> parts;
    for (const std::string& part : written->ours) {
      const auto found = ours.find(part);
      require(found != ours.end(), "weight {} is written together with {}, which the model has not", name, part);
      parts.push_back(found->second);
    }
    published.emplace(written->published, hf::undo(*written->row, parts).contiguous());
  }
  std::map<std::string, RawTensor, std::less<>> tensors;
  Json config = model.config().to_json();
  for (const auto& [name, tensor] : published) {
    tensors.emplace(name, nn::raw_view(tensor));
    if (tensor.scalar_type() == at::kBFloat16) config["dtype"] = "bfloat16";
    if (tensor.scalar_type() == at::kHalf) config["dtype"] = "float16";
  }
  write_model_weights(folder, tensors);
  write_file_atomic(folder / "config.json", config.dump(2) + "\n");
  Json generation = {{"_from_model_config", true}};
  if (model.config().bos_token_id >= 0) generation["bos_token_id"] = model.config().bos_token_id;
  if (!model.config().eos_token_ids.empty()) generation["eos_token_id"] = model.config().eos_token_ids;
  write_file_atomic(folder / "generation_config.json", generation.dump(2) + "\n");
}

}  // namespace ocelli::model
