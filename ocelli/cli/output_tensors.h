#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace ocelli::cli {

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
