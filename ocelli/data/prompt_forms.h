#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::data {

/// How annotations become questions: by kind, one or more wordings with fields in braces:
/// "{question}\nAnswer the question using a single word or phrase."; a brace itself is written twice. A JSON file that users
/// edit,
/// `{"kind": "wording" or ["wording", …]}`; `prompts/llava-1.5.json` has LLaVA's. Kinds, their fields, their plain wording:
/// - "short_answer": question; the question alone;
/// - "option_letter": question, options ("A. …" a line); both, a line between;
/// - "caption": none; "Describe the picture.";
/// - "ocr": none; "Read the text in the picture.";
/// - "text": none, the question in front of a text without any; nothing;
/// - "region_to_text": box, and "region_to_text_answer": text; nothing, and the text;
/// - "text_to_region": text, and "text_to_region_answer": text, boxes; nothing, and the boxes;
/// - "box", "box_separator": how a box is written and what stands between two, see box_text(); nothing, and ", ".
class PromptForms {
 public:
  /// Plain ones.
  PromptForms();
  /// Those of the file over the plain ones. Throws Error naming the file and what is wrong: an unknown kind, an unknown field, a
  /// kind without wording, a mark of a picture. An empty path: the plain ones.
  static PromptForms read(const std::filesystem::path& path);

  /// Whether there is a wording of `kind`.
  bool has(std::string_view kind) const { return wordings_.find(kind) != wordings_.end(); }
  /// The wording of `kind`, chosen by `number` (a sample's index) among several, its fields filled in. Throws Error when there is
  /// none, saying what to put into which file, or when it asks for a field that is not in `fields`.
  std::string fill(std::string_view kind, int64_t number, const std::map<std::string, std::string>& fields) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> wordings_;
};

}  // namespace ocelli::data
