#pragma once

// Shared by the tests of the data tools.

#include <string>
#include <utility>
#include <vector>

#include "ocelli/data/dataset.h"

namespace ocelli::data::testing {

/// Samples made on the spot, finished as every format finishes them; one without turns can't be read.
class MadeDataset final : public Dataset {
 public:
  explicit MadeDataset(std::vector<Sample> samples, std::string name = "made")
      : samples_(std::move(samples)), name_(std::move(name)) {}
  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  Sample get(int64_t index) const override {
    Sample sample = samples_[static_cast<size_t>(index)];
    finish_sample(sample, name_ + ", record " + std::to_string(index));
    return sample;
  }
  const std::string& name() const override { return name_; }

 private:
  std::vector<Sample> samples_;
  std::string name_;
};

inline Sample asked(std::string id, std::string question, std::string answer, std::vector<Picture> pictures = {}) {
  Sample sample;
  sample.id = std::move(id);
  sample.pictures = std::move(pictures);
  sample.turns = {{Turn::Role::kUser, std::move(question)}, {Turn::Role::kAssistant, std::move(answer)}};
  return sample;
}

inline Picture as_png(const image::Image& picture, const std::string& name) {
  const auto bytes = image::encode_png(picture);
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), name, name};
}

/// A picture of stripes that differ by `seed`.
inline Picture striped(int64_t width, int64_t height, int64_t seed, const std::string& name) {
  image::Image picture(width, height);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < 3 * width; ++x) {
      picture.row(y)[x] = static_cast<uint8_t>((x * x * seed / width + y * (7 - seed) * 3 + seed * 50) % 251);
    }
  }
  return as_png(picture, name);
}

}  // namespace ocelli::data::testing
