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

void add_pixels(OutputTensors& out, const model::Pixels& pixels) {
  if (pixels.batches.size() == 1) out.add("pixel_values", pixels.batches[0]);
  if (pixels.batches.size() > 1) {
    int64_t view = 0;
    for (const at::Tensor& batch : pixels.batches) {
      for (int64_t i = 0; i < batch.size(0); ++i) out.add("pixel_values_" + std::to_string(view++), batch[i]);
    }
  }
  if (pixels.aux.defined()) out.add("pixel_values_aux", pixels.aux);
}

}  // namespace ocelli::cli
