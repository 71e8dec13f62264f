#include "ocelli/data/picture_root.h"

#include <algorithm>

#include "ocelli/base/error.h"

namespace ocelli::data {

namespace fs = std::filesystem;

fs::path below(const fs::path& root, const std::string& named, const std::string& where) {
  require(!named.empty() && named.find('\0') == std::string::npos, "{}: the picture's path is empty or holds a NUL", where);
  const fs::path full = fs::path(named).is_absolute() ? fs::path(named) : root / named;
  const auto absolute = [](const fs::path& path) { return (fs::current_path() / path).lexically_normal(); };
  const fs::path base = absolute(root);
  const fs::path relative = absolute(full).lexically_relative(base);
  require(!relative.empty() && *relative.begin() != "..",
          "{}: picture \"{}\" lies outside {}; give the folder it lies in as `images` (\"/\" allows every one)", where, named,
          root.empty() ? "." : root.string());
  return full;
}

}  // namespace ocelli::data
