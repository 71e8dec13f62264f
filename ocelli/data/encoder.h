#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "ocelli/data/sample.h"
#include "ocelli/model/processor.h"

namespace ocelli::data {

/// A run of ids that attends to the sample's prefix and to itself. `trained[i]`: the loss asks for ids[i] (it is predicted by the
/// row before).
struct EncodedText {
  std::vector<int64_t> ids;
  std::vector<bool> trained;
};

/// A sample as ids and pixels, torch-free. A conversation has an empty prefix and one continuation; independent questions share
/// the prefix (everything up to the last picture) and are a continuation each. Placeholders are expanded.
struct EncodedSample {
  std::string id;
  std::vector<int64_t> prefix;
  std::vector<EncodedText> continuations;
  std::vector<model::PixelTiles> pictures;
  int64_t tokens() const;
  int64_t trained_tokens() const;
};

/// Makes EncodedSamples as training sees them: the prompt's ids are exactly those of chat (rendered with the generation prompt,
/// encoded as one text), the answer's follow. Thread-safe.
class SampleEncoder {
 public:
  /// `num_tokens(tiling)`: visual tokens of a picture. `max_length`: of one continuation with its prefix; longer ones are cut at
  /// the end.
  SampleEncoder(std::shared_ptr<const model::Processor> processor, std::function<int64_t(const image::Tiling&)> num_tokens,
                int64_t max_length);

  /// Throws Error naming the sample's fault: a picture that can't be read, no token to learn from within max_length, a cut inside
  /// pictures.
  EncodedSample encode(const Sample& sample) const;

 private:
  EncodedText encode_turns(const std::vector<Turn>& turns) const;
  EncodedText cached_turns(const std::vector<Turn>& turns) const;

  std::shared_ptr<const model::Processor> processor_;
  std::function<int64_t(const image::Tiling&)> num_tokens_;
  int64_t max_length_;
  /// Short question-answer pairs repeat in VQA data: rendering and encoding them once is worth a small table.
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, std::shared_ptr<const EncodedText>> cache_;
  mutable size_t cached_bytes_ = 0;
};

}  // namespace ocelli::data
