#include "ocelli/model/preprocessor_keys.h"

#include <utility>
#include <vector>

namespace ocelli::model {
namespace {

constexpr std::array<std::pair<int64_t, image::Filter>, 5> kFilters = {{{0, image::Filter::kNearest},
                                                                        {1, image::Filter::kLanczos},
                                                                        {2, image::Filter::kBilinear},
                                                                        {3, image::Filter::kBicubic},
                                                                        {4, image::Filter::kBox}}};

}  // namespace

int64_t pillow_number(image::Filter filter) {
  for (const auto& [number, value] : kFilters) {
    if (value == filter) return number;
  }
  return -1;
}

image::Filter filter_of(const JsonView& config, std::string_view key, image::Filter fallback) {
  const int64_t wanted = config.integer(key, pillow_number(fallback));
  for (const auto& [number, value] : kFilters) {
    if (number == wanted) return value;
  }
  fail("{}.{} is {}; known are 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box", config.path(), key, wanted);
}

std::array<float, 3> three_of(const JsonView& config, std::string_view key, std::array<float, 3> fallback) {
  if (!config.has(key)) return fallback;
  const std::vector<double> values = config.numbers(key);
  require(values.size() == 3, "{}.{} has {} numbers, expected 3", config.path(), key, values.size());
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

std::array<float, 3> deviations_of(const JsonView& config, std::string_view key, std::array<float, 3> fallback) {
  const std::array<float, 3> out = three_of(config, key, fallback);
  for (const float deviation : out)
    require(deviation > 0, "{}.{} holds {}, expected positive numbers", config.path(), key, deviation);
  return out;
}

}  // namespace ocelli::model
