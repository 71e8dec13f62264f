#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ocelli/data/dataset.h"
#include "ocelli/data/encoder.h"
#include "ocelli/report/html.h"

namespace ocelli::data {

/// What a model gets of samples, as a page: pictures as stored with their regions' boxes and as the tower sees them (resized, cut
/// into tiles), the text as rendered with the tokens that are trained on marked, token counts, and the ids to unfold.
class PreviewPage {
 public:
  /// `num_tokens(tiling)` and `max_length`: see SampleEncoder.
  PreviewPage(std::string title, std::shared_ptr<const model::Processor> processor,
              std::function<int64_t(const image::Tiling&)> num_tokens, int64_t max_length);

  /// Adds a section for the sample at `index`; of one that can't be read or encoded, why.
  void add(const Dataset& data, int64_t index);
  void save(const std::filesystem::path& path) const { page_.save(path); }
  int64_t faults() const { return faults_; }

 private:
  void add_pictures(const Sample& sample, const EncodedSample& encoded);
  void add_text(const std::vector<int64_t>& ids, const std::vector<bool>& trained, const std::string& caption);

  report::HtmlPage page_;
  std::shared_ptr<const model::Processor> processor_;
  std::function<int64_t(const image::Tiling&)> num_tokens_;
  SampleEncoder encoder_;
  int64_t faults_ = 0;
};

/// Ids as text in pieces: visual rows as one remark for each run of them, trained ones marked. Pieces joined read as the ids
/// decoded at once, special tokens shown.
std::vector<report::TextRun> text_runs(const text::Tokenizer& tokenizer, const std::vector<int64_t>& ids,
                                       const std::vector<bool>& trained);

}  // namespace ocelli::data
