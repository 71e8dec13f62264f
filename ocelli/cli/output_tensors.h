#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "ocelli/model/pixels.h"

namespace ocelli::cli {

/// `pixel_values` of all views when they have one size, else `pixel_values_0` and so on by view; `pixel_values_aux` of a second
/// tower.
void add_pixels(class OutputTensors& out, const model::Pixels& pixels);

/// Tensors a verb writes for other programs: floats as fp32, integers as int64.
class OutputTensors {
 public:
  void add(const std::string& name, const at::Tensor& tensor);
  /// One safetensors file, atomically.
  void write(const std::string& path) const;

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace ocelli::cli
