#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace ocelli::data {

/// The path from `outer` to `inner`, by their names alone (links aren't followed); none: it doesn't lie below.
std::optional<std::filesystem::path> path_below(const std::filesystem::path& outer, const std::filesystem::path& inner);

/// Whether something is there that can be opened: a name too long for the system, or links that lead to each other, isn't.
bool is_there(const std::filesystem::path& path);

/// The folder a data set's pictures start from: `images` as given, else the file's folder.
std::filesystem::path picture_root(const std::filesystem::path& images, const std::filesystem::path& file);

/// The same for formats that name pictures without their folder: else `images` beside the file, where it is, as our writers put
/// it.
std::filesystem::path bare_picture_root(const std::filesystem::path& images, const std::filesystem::path& file);

/// The file `named` means below `root`. Throws Error starting with `where` when it is empty, holds a NUL or leads outside: data
/// sets come from others. Whoever wants pictures from anywhere says so with the root "/". Links inside the folder are followed.
std::filesystem::path below(const std::filesystem::path& root, const std::string& named, const std::string& where);

}  // namespace ocelli::data
