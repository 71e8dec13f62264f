#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "ocelli/base/json.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/sample.h"

namespace ocelli::data {

/// What a row of a table is read with.
struct TableContext {
  std::filesystem::path images;  ///< folder that paths of pictures start from
  const PromptForms& prompts;
  int64_t index = 0;  ///< the row's, over the whole data set
  std::string where;  ///< what messages call the row
};

/// Fills `sample` from a row as Hugging Face's data sets have it: an object by column, bytes as JSON's binary values.
///
/// Pictures, in this order: `image`, `images`, `image_1`, `image_2`, …; each a struct {bytes, path}, bytes, a path below
/// `context.images`, or a list of these; null: none.
/// Texts, the first of:
/// - `conversations`, `messages`, `conversation`: turns as read_conversation() takes them, or their JSON text;
/// - `texts`: a list of {user, assistant} as in FineVision and the Cauldron, one conversation;
/// - `question` with `answer`, `answers` (texts, or {answer}: the references) or `multiple_choice_answer`;
/// - `caption`, `captions`: a text, or a list of them: the first is the answer, all are references.
/// `id` (or `question_id`) names the sample. A column `extra` with the text of a JSON object gives its keys as columns. What has
/// no place goes to Sample::extra, but for bytes. Throws Error starting with `context.where`. Sources: huggingface/datasets
/// src/datasets/features/image.py; cards of HuggingFaceM4/FineVision, lmms-lab/VQAv2.
void read_table_row(Json row, const TableContext& context, Sample& sample);

}  // namespace ocelli::data
