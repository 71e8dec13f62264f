#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/image/image.h"
#include "ocelli/image/transform.h"

// The other half of tests/parity/test_image.py: runs what it asks for and writes what came out.
// OCELLI_PROBE: a file with one JSON object a line, {"file", "op", …}; `op` works on the decoded file.
// OCELLI_TEST_OUT: a folder; gets results.jsonl (a line for each request: {"width", "height", "offset", "bytes"} or
// {"error"}) and results.bin, the bytes at those offsets: RGB, for `normalize` float32, for `encode_png` the file.

namespace ocelli::image {
namespace {

Filter filter_of(const std::string& name) {
  constexpr std::pair<const char*, Filter> kNames[] = {{"nearest", Filter::kNearest},
                                                       {"box", Filter::kBox},
                                                       {"bilinear", Filter::kBilinear},
                                                       {"bicubic", Filter::kBicubic},
                                                       {"lanczos", Filter::kLanczos}};
  for (const auto& [known, filter] : kNames) {
    if (name == known) return filter;
  }
  fail("image probe: filter {} isn't known", name);
}

DecodeOptions options_of(const JsonView& request) {
  DecodeOptions options = request.boolean("pillow", true) ? DecodeOptions::pillow() : DecodeOptions{};
  options.apply_orientation = request.boolean("orientation", options.apply_orientation);
  return options;
}

std::array<float, 3> floats_of(const JsonView& request, const char* key) {
  const std::vector<double> values = request.numbers(key);
  require(values.size() == 3, "image probe: {} has {} values, expected 3", key, values.size());
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

std::string bytes_of(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

/// What comes of one request; `image` is the picture it ended with.
std::string run(const JsonView& request, Image& image) {
  image = load(request.string("file"), options_of(request));
  const std::string op = request.string("op");
  if (op == "normalize") {
    std::vector<float> out(image.pixels.size());
    normalize(image, floats_of(request, "mean"), floats_of(request, "std"), request.number("scale"), out);
    return bytes_of(out.data(), out.size() * sizeof(float));
  }
  if (op == "encode_png") {
    const std::vector<std::byte> png = encode_png(image);
    return bytes_of(png.data(), png.size());
  }
  if (op == "resize") {
    image = resize(image, request.integer("width"), request.integer("height"), filter_of(request.string("filter")));
  } else if (op == "crop") {
    image = crop(image, request.integer("left"), request.integer("top"), request.integer("width"), request.integer("height"));
  } else if (op == "pad") {
    image = pad(image, request.integer("width"), request.integer("height"), request.integer("left"), request.integer("top"),
                {10, 20, 30});
  } else {
    require(op == "decode", "image probe: op {} isn't known", op);
  }
  return bytes_of(image.pixels.data(), image.pixels.size());
}

TEST(ImageProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* folder = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || folder == nullptr) GTEST_SKIP() << "for tests/parity/test_image.py";
  std::istringstream lines(read_file(requests));
  std::string results, blob;
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, requests);
    Json result;
    try {
      Image image;
      const std::string bytes = run(JsonView(json, requests), image);
      result = {{"width", image.width}, {"height", image.height}, {"offset", blob.size()}, {"bytes", bytes.size()}};
      blob += bytes;
    } catch (const Error& error) {
      result = {{"error", error.what()}};
    }
    results += result.dump() + "\n";
  }
  write_file_atomic(std::filesystem::path(folder) / "results.bin", blob);
  write_file_atomic(std::filesystem::path(folder) / "results.jsonl", results);
}

}  // namespace
}  // namespace ocelli::image
