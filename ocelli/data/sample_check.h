#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "ocelli/data/dataset.h"
#include "ocelli/data/finding.h"
#include "ocelli/data/picture_facts.h"
#include "ocelli/data/text_facts.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::data {

struct SampleCheckOptions {
  int64_t min_side = 2;                              ///< shorter sides are tiny
  double max_aspect = 20;                            ///< longer side over the shorter
  std::shared_ptr<const text::Tokenizer> tokenizer;  ///< counts tokens and says which are special; null: none
  image::DecodeOptions decode;
};

/// A sample looked at by itself, and what comparing it with others needs.
struct CheckedSample {
  bool readable = false;
  std::string id;
  std::vector<Finding> findings;
  std::vector<std::shared_ptr<const PictureFacts>> pictures;
  /// Hashes of each user turn: its normalized_question(); that with the pictures; and with the answer too.
  struct Question {
    uint64_t text = 0, pair = 0, sample = 0;
    Choice choice = {};      ///< the answer's
    std::string words = {};  ///< the question, for messages
  };
  std::vector<Question> questions;
  ScriptCounts scripts;
  int64_t turns = 0, words = 0;
  int64_t tokens = 0;         ///< of all turns' texts; 0 without tokenizer
  bool asks_to_read = false;  ///< see SampleChecker
};

/// Looks at samples one by one. A sample is about text in its pictures (OCR) when one of its questions asks_to_read(), or a field
/// of its record that has no place in Sample is called `ocr…` or is a string that holds the word "ocr". Thread-safe.
class SampleChecker {
 public:
  explicit SampleChecker(SampleCheckOptions options);
  /// Never throws for what is wrong with the sample.
  CheckedSample check(const Dataset& data, int64_t index) const;
  /// The same of a sample already read; its findings don't say where it is.
  CheckedSample look(const Sample& sample) const;

 private:
  std::shared_ptr<const PictureFacts> facts_of(const Picture& picture) const;
  void check_pictures(const Sample& sample, CheckedSample& out) const;
  void check_turns(const Sample& sample, CheckedSample& out) const;

  SampleCheckOptions options_;
  std::vector<std::string> special_tokens_;
  /// Files are often shared by many samples; each is decoded once (now and then twice, by two threads at a time).
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, std::shared_ptr<const PictureFacts>> files_;
};

}  // namespace ocelli::data
