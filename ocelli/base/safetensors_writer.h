#pragma once

#include <map>
#include <string>
#include <vector>

#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"

namespace ocelli::detail {

using TensorMap = std::map<std::string, RawTensor, std::less<>>;

/// The JSON header, padded with spaces so that the data area behind it starts on a multiple of 64 bytes of the file.
/// `order` receives the tensors as their bytes must follow. Throws Error naming `origin` on what reading would refuse.
std::string make_header(const TensorMap& tensors, const std::map<std::string, std::string>& metadata, const std::string& origin,
                        std::vector<const RawTensor*>& order);

/// Writes a whole safetensors file without committing it.
void write_tensors(AtomicFile& file, const TensorMap& tensors, const std::map<std::string, std::string>& metadata,
                   const std::string& origin);

}  // namespace ocelli::detail
