#pragma once

// Shared by the tests of this room.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/image/image.h"

namespace ocelli::image::testing {

inline std::string data_path(const std::string& name) {
  return std::string(OCELLI_SOURCE_DIR) + "/ocelli/image/testdata/" + name;
}

inline std::string read_data(const std::string& name) {
  return read_file(data_path(name));
}

/// A binary PPM, as testdata/make_testdata.py writes it.
inline Image read_ppm(const std::string& name) {
  const std::string text = read_data(name);
  long long width = 0, height = 0;
  int header = 0;
  require(std::sscanf(text.c_str(), "P6\n%lld %lld\n255%n", &width, &height, &header) == 2, "{}: no PPM", name);
  Image image(width, height);
  require(text.size() == header + 1 + image.pixels.size(), "{}: wrong size", name);
  std::memcpy(image.pixels.data(), text.data() + header + 1, image.pixels.size());
  return image;
}

inline Image decode_text(const std::string& bytes, const DecodeOptions& options = {}) {
  return decode(std::as_bytes(std::span(bytes)), "test", options);
}

/// The message of the Error decoding `bytes` gives; "decoded" when there is none.
inline std::string decode_error(const std::string& bytes, const DecodeOptions& options = {}) {
  try {
    decode_text(bytes, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "decoded";
}

inline Image random_image(int64_t width, int64_t height, uint32_t seed) {
  std::mt19937 random(seed);
  Image image(width, height);
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random());
  return image;
}

/// The largest difference of two pictures of one size; 256 when the sizes differ.
inline int largest_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return 256;
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

}  // namespace ocelli::image::testing
