#pragma once

#include <string>
#include <vector>

#include "ocelli/data/sample.h"

namespace ocelli::data {

/// A question that stands alone, with its answer: what tables of questions hold a row of.
struct QuestionPair {
  std::string question;  ///< without marks of pictures, where all stand in front
  std::string answer;
  std::vector<std::string> references;  ///< may be empty
  std::string type;                     ///< may be empty
};

/// The questions of a sample. Throws Error when they are one conversation of several turns, which `format` has no place for.
std::vector<QuestionPair> question_pairs(const Sample& sample, const std::string& format);

/// The answer most people gave, of several the first; `references` must not be empty.
const std::string& most_frequent(const std::vector<std::string>& references);

}  // namespace ocelli::data
