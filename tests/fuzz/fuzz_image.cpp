// Any bytes decode to a picture of the size they claim or end in an Error; what was decoded can be resized.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "ocelli/base/error.h"
#include "ocelli/image/image.h"
#include "ocelli/image/transform.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ocelli::image;
  for (DecodeOptions options : {DecodeOptions{}, DecodeOptions::pillow()}) {
    options.max_pixels = 1'000'000;
    try {
      const Image image = decode(std::as_bytes(std::span(data, size)), "fuzz", options);
      if (static_cast<int64_t>(image.pixels.size()) != image.width * image.height * 3 || image.pixels.empty()) std::abort();
      if (resize(image, 7, 5, Filter::kBicubic).pixels.size() != 7 * 5 * 3) std::abort();
    } catch (const ocelli::Error&) {
    }
  }
  return 0;
}
