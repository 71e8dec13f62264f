#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Text without pictures, JSON or JSONL, records told apart by their keys: `messages` or `conversations` (see
/// read_conversation()); Alpaca's `instruction`, `input`, `output`, `system`, `history`; OpenOrca's `system_prompt`, `question`,
/// `response`; UltraChat's `data`, a list of texts, question and answer in turn; a bare `text`, which becomes the answer to
/// PromptForms' "text" and is refused while that has no wording (`{"text": ""}` trains on the text behind an empty question).
/// Other keys go to Sample::extra.
std::shared_ptr<const Dataset> open_text_only(const DatasetOptions& options);

/// Writes JSONL of `messages`. Throws Error for a sample with pictures.
std::unique_ptr<SampleWriter> write_text_only(const WriterOptions& options);

}  // namespace ocelli::data
