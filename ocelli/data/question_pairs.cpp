#include "ocelli/data/question_pairs.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

/// `text` without marks when nothing but marks, each on a line, stands before the rest; else as it is.
std::string without_marks(const std::string& text) {
  std::string_view rest = text;
  while (rest.starts_with(kPictureMark)) {
    rest.remove_prefix(kPictureMark.size());
    if (rest.starts_with("\n")) rest.remove_prefix(1);
  }
  return count_marks(rest) == 0 ? std::string(rest) : text;
}

}  // namespace

std::vector<QuestionPair> question_pairs(const Sample& sample, const std::string& format) {
  std::vector<QuestionPair> pairs;
  for (const Turn& turn : sample.turns) {
    if (turn.role == Turn::Role::kUser) pairs.emplace_back().question = without_marks(turn.text);
    if (turn.role == Turn::Role::kAssistant && !pairs.empty()) pairs.back().answer = turn.text;
  }
  require(sample.independent || pairs.size() == 1,
          "sample {}: a conversation of {} questions that build on each other; {} holds questions that stand alone", sample.id,
          pairs.size(), format);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i < sample.references.size()) pairs[i].references = sample.references[i];
    if (i < sample.question_types.size()) pairs[i].type = sample.question_types[i];
  }
  return pairs;
}

const std::string& most_frequent(const std::vector<std::string>& references) {
  std::unordered_map<std::string_view, int64_t> counts;  // not std::count: a row may hold a million of them
  for (const std::string& text : references) ++counts[text];
  const auto times = [&](const std::string& text) { return counts.at(text); };
  return *std::max_element(references.begin(), references.end(),
                           [&](const std::string& a, const std::string& b) { return times(a) < times(b); });
}

}  // namespace ocelli::data
