#pragma once

#include <filesystem>
#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// VQA v2 (also OK-VQA): `path` is the questions' file, `annotations` the answers' (empty: the file beside it whose name says
/// "annotations" for "questions"), `images` the folder with COCO's names of the split (`split`, else the file's `data_subtype`).
/// The questions of a picture are one sample of independent questions; a question's references are what the people answered, its
/// turn `multiple_choice_answer` or else the most frequent, its type `answer_type`. Questions are worded by PromptForms'
/// "short_answer". Source: visualqa.org/download.html, "Input Questions Format" and "Annotation Format".
std::shared_ptr<const Dataset> open_vqa_v2(const DatasetOptions& options);

/// Writes the questions to `path` and the answers beside it, pictures as `COCO_data_<12 digits>.jpg`. A sample has one picture
/// and questions that stand alone.
std::unique_ptr<SampleWriter> write_vqa_v2(const WriterOptions& options);

/// Where the answers to a questions' file lie when nobody says: "x_questions.json" → "x_annotations.json".
std::filesystem::path vqa_annotations_beside(const std::filesystem::path& questions);

}  // namespace ocelli::data
