#include "ocelli/cli/picture_size.h"

#include <charconv>
#include <string_view>

#include "ocelli/base/error.h"

namespace ocelli::cli {

std::pair<int64_t, int64_t> size_of_picture(const std::string& option, const std::string& text) {
  int64_t width = 0, height = 0;
  const size_t cross = text.find_first_of("xX");
  const auto whole = [](std::string_view digits, int64_t& into) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const bool read = cross != std::string::npos && whole(std::string_view(text).substr(0, cross), width) &&
                    whole(std::string_view(text).substr(cross + 1), height);
  if (!read || width < 1 || height < 1 || width > (1 << 20) || height > (1 << 20)) {
    throw UsageError(fmt::format("{} {}: expected WIDTHxHEIGHT, such as 640x480", option, text));
  }
  return {width, height};
}

}  // namespace ocelli::cli
