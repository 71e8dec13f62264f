#pragma once

#include <filesystem>
#include <string>

namespace ocelli::data {

/// The file `named` means below `root`. Throws Error starting with `where` when it is empty, holds a NUL or leads outside: data
/// sets come from others. Whoever wants pictures from anywhere says so with the root "/". Links inside the folder are followed.
std::filesystem::path below(const std::filesystem::path& root, const std::string& named, const std::string& where);

}  // namespace ocelli::data
