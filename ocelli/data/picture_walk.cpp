#include "ocelli/data/picture_walk.h"

#include <algorithm>
#include <string>

#include "ocelli/base/error.h"
#include "ocelli/data/picture_files.h"
#include "ocelli/data/picture_root.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLevels = 64;

bool is_picture(const fs::path& path) {
  const std::string suffix = path.extension().string();
  return !suffix.empty() && is_picture_suffix(std::string_view(suffix).substr(1));
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  require(!error, "{}: {}", path.string(), error.message());
  return real;
}

class Walk {
 public:
  Walk(const fs::path& folder, const fs::path& root) : folder_(folder), real_folder_(resolved(folder)), root_(root) {}

  std::vector<fs::path> run() {
    visit(folder_, 0);
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  void visit(const fs::path& folder, int level) {
    require(level < kMostLevels, "{}: folders nested deeper than {} levels", folder.string(), kMostLevels);
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path& path = entry->path();
      if (path.filename().string().starts_with('.')) continue;
      std::error_code unknown;
      const bool is_link = entry->is_symlink(unknown);
      const bool is_folder = is_link ? leads_to_folder(path) : entry->is_directory(unknown);
      if (is_folder) {
        if (is_link) check_folder_link(path);
        visit(path, level + 1);
      } else if (is_picture(path)) {
        if (is_link) require_inside(path, root_);
        found_.push_back(path.lexically_relative(folder_));
      }
    }
    require(!error, "{}: {}", folder.string(), error.message());
  }

  static bool leads_to_folder(const fs::path& link) {
    std::error_code error;
    const bool is_folder = fs::is_directory(link, error);  // links that lead to each other are an error of the system's
    require(!error || !is_loop(error), "{}: a link that leads back to itself; remove it", link.string());
    return is_folder;
  }

  static bool is_loop(const std::error_code& error) { return error == std::errc::too_many_symbolic_link_levels; }

  void check_folder_link(const fs::path& link) const {
    const fs::path real = resolved(link);
    const fs::path here = resolved(link.parent_path());
    require(!path_below(real, here), "{}: a link to {}, a folder above it: a loop; remove it", link.string(), real.string());
    require(!path_below(real_folder_, real), "{}: a link to {}, whose pictures are listed there already; remove it",
            link.string(), real.string());
    require_inside(link, root_);
  }

  fs::path folder_, real_folder_, root_;
  std::vector<fs::path> found_;
};

}  // namespace

std::vector<fs::path> find_pictures(const fs::path& folder, const fs::path& root) {
  require(fs::is_directory(folder), "{}: no folder", folder.string());
  return Walk(folder, root).run();
}

void require_inside(const fs::path& file, const fs::path& root) {
  const fs::path real = resolved(file);
  require(path_below(resolved(root), real).has_value(),
          "{} lies outside {}: it leads to {}; give the folder it lies in as `images` (\"/\" allows every one)", file.string(),
          root.string(), real.string());
}

}  // namespace ocelli::data
