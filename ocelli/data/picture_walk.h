#pragma once

#include <filesystem>
#include <vector>

namespace ocelli::data {

/// The pictures (.jpg, .jpeg, .png, .webp in any case) in `folder` and its sub folders, as paths from it, sorted. Names that
/// start with a dot are passed over. Links are followed below `root` only. Throws Error naming the link: one that leads outside,
/// or to a folder above itself (a loop) or one that is listed anyway, and for more than 64 levels of folders.
std::vector<std::filesystem::path> find_pictures(const std::filesystem::path& folder, const std::filesystem::path& root);

/// Throws Error when `file`, its links followed, lies outside `root`.
void require_inside(const std::filesystem::path& file, const std::filesystem::path& root);

}  // namespace ocelli::data
