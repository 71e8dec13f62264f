#include "ocelli/cli/output_tensors.h"

#include <ATen/ATen.h>

#include "ocelli/base/tensor_file.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::cli {

void OutputTensors::add(const std::string& name, const at::Tensor& tensor) {
  tensors_[name] = tensor.detach().to(tensor.is_floating_point() ? at::kFloat : at::kLong).contiguous();
}

void OutputTensors::write(const std::string& path) const {
  std::map<std::string, RawTensor, std::less<>> raw;
  for (const auto& [name, tensor] : tensors_) raw.emplace(name, nn::raw_view(tensor));
  write_safetensors(path, raw);
}

}  // namespace ocelli::cli
