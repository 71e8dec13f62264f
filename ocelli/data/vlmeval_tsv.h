#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// VLMEvalKit's table: tab-separated, quoted as CSV, columns `index`, `image` (base64; of at most 64 characters: the index of the
/// row that carries the picture; a Python list: several) or `image_path`, `question`, `hint`, `A` … `Z` (an empty cell: no such
/// option), `answer` (a Python list: references of several people, the answer turn is the most frequent), `category`, `split`.
/// Questions are worded by PromptForms: "option_letter" where a row has options, else "short_answer"; the hint stands before the
/// question. Other columns go to Sample::extra. Rows are found when it is opened and read when asked for; a quoted cell may be of
/// 64 MiB at most.
/// Source: VLMEvalKit docs/en/Development.md, vlmeval/dataset/image_base.py, vlmeval/smp/vlm.py. Differs in that "nan" and "None"
/// are texts: only an empty cell is none.
std::shared_ptr<const Dataset> open_vlmeval_tsv(const DatasetOptions& options);

/// Writes a row a question, its pictures in base64; further questions about the same pictures refer to the first.
std::unique_ptr<SampleWriter> write_vlmeval_tsv(const WriterOptions& options);

}  // namespace ocelli::data
