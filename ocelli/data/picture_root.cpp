#include "ocelli/data/picture_root.h"

#include "ocelli/base/error.h"

namespace ocelli::data {

namespace fs = std::filesystem;

std::optional<fs::path> path_below(const fs::path& outer, const fs::path& inner) {
  const auto absolute = [](const fs::path& path) { return (fs::current_path() / path).lexically_normal(); };
  fs::path relative = absolute(inner).lexically_relative(absolute(outer));
  if (relative.empty() || *relative.begin() == "..") return std::nullopt;
  return relative;
}

bool is_there(const fs::path& path) {
  std::error_code unreachable;
  return fs::exists(path, unreachable);
}

fs::path picture_root(const fs::path& images, const fs::path& file) {
  return images.empty() ? file.parent_path() : images;
}

fs::path bare_picture_root(const fs::path& images, const fs::path& file) {
  const fs::path beside = file.parent_path() / "images";
  std::error_code unreachable;
  return images.empty() && fs::is_directory(beside, unreachable) ? beside : picture_root(images, file);
}

fs::path below(const fs::path& root, const std::string& named, const std::string& where) {
  require(!named.empty() && named.find('\0') == std::string::npos, "{}: the picture's path is empty or holds a NUL", where);
  // Normal, since the system would follow a link before the ".." behind it.
  const fs::path full = (fs::path(named).is_absolute() ? fs::path(named) : root / named).lexically_normal();
  require(path_below(root, full).has_value(),
          "{}: picture \"{}\" lies outside {}; give the folder it lies in as `images` (\"/\" allows every one)", where, named,
          root.empty() ? "." : root.string());
  return full;
}

}  // namespace ocelli::data
