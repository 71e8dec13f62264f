#pragma once

#include <ATen/core/ScalarType.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "ocelli/model/model.h"

namespace ocelli::model {

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  ///< the parameters' type once loaded
  bool trainable = false;  ///< every tensor is copied into storage of its own; otherwise those of the right type stay mapped
};

/// The folder of a model: a path, or `org/name` found in the Hugging Face cache. Throws Error with the download command when it
/// is neither.
std::filesystem::path resolve_model(const std::string& path_or_name);

/// Opens a model folder in the Hugging Face layout. Throws Error listing missing, unknown and mis-shaped weights by name with the
/// expected shape.
std::shared_ptr<Model> load_model(const std::filesystem::path& folder, const LoadOptions& options = {});

/// Fills the parameters of `module` whose full name starts with `prefix` from the weights of another folder (a tower or a decoder
/// alone).
void load_part(Model& model, std::string_view prefix, const std::filesystem::path& folder, const LoadOptions& options);

/// A tensor to write instead of the model's own (fp32 weights behind a bf16 copy), undefined for none.
using Replacement = std::function<at::Tensor(const std::string& name)>;

/// Writes config.json, generation_config.json and the weights as held; the processor's files are written by Processor::save.
void save_model(const Model& model, const std::filesystem::path& folder, const Replacement& replacement = {});

}  // namespace ocelli::model
