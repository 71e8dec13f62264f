#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::eval {

/// Both sides trimmed and ASCII lower-cased are equal.
bool exact_match(std::string_view prediction, std::string_view reference);

/// The official VQA accuracy of one prediction, in [0, 1]: the mean over all ways to leave one reference out of min(1, equal
/// others / 3), after the evaluation's own normalisation. Source: GT-Vision-Lab/VQA,
/// PythonEvaluationTools/vqaEvaluation/vqaEval.py.
double vqa_accuracy(std::string_view prediction, std::span<const std::string> references);

/// The normal form the official code compares when references differ: punctuation, then number words, articles and contractions.
std::string vqa_normalized(std::string_view text);

}  // namespace ocelli::eval
