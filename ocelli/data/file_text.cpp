#include "ocelli/data/file_text.h"

namespace ocelli::data {

FileText::FileText(const std::filesystem::path& path) : name_(path.string()) {
  constexpr uint64_t kMostRead = 64 << 20;
  std::error_code unknown;
  if (std::filesystem::file_size(path, unknown) > kMostRead && !unknown) {
    map_ = MappedFile::open(path);
    text_ = {reinterpret_cast<const char*>(map_->bytes().data()), map_->bytes().size()};
  } else {
    read_ = std::make_shared<const std::string>(read_file(path, kMostRead));
    text_ = *read_;
  }
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
}

}  // namespace ocelli::data
