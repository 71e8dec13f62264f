#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ocelli/base/file.h"
#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// LLaVA records: `{"id", "image": path or list, "conversations": [{"from": "human" | "gpt" | "system", "value"}], "independent":
/// bool, "question_types": [..], "answers": [[references] per question]}`, as one JSON array or one object a line. The file is
/// indexed by record; a record is parsed when asked for. Up to 256 MiB it is read, so that it may be edited meanwhile; a larger
/// one is mapped and must not be cut. A record without any mark gets all its pictures in front of its first user turn.
/// Source of the format: LLaVA's docs/Finetune_Custom_Data.md; `independent`, `question_types` and `answers` are ours.
class LlavaDataset final : public Dataset {
 public:
  explicit LlavaDataset(const DatasetOptions& options);
  int64_t size() const override { return static_cast<int64_t>(records_.size()); }
  Sample get(int64_t index) const override;
  const std::string& name() const override { return options_.name; }

 private:
  DatasetOptions options_;
  std::shared_ptr<const std::string> text_;  ///< of a smaller file …
  std::shared_ptr<const MappedFile> map_;    ///< … of a larger one
  std::vector<std::string_view> records_;    ///< text of each record, inside one of the two
};

/// The texts of the top-level values of a JSON array, or of the non-empty lines. Throws Error naming `origin` when the text is
/// neither.
std::vector<std::string_view> split_records(std::string_view text, const std::string& origin);

}  // namespace ocelli::data
