#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// A folder of pictures with captions: `metadata.jsonl` (`{"file_name", "text"}` a line, as Hugging Face's imagefolder), or
/// `metadata.csv` or `captions.csv` (columns `file_name` or `image`, and `text` or `caption`), else `x.txt` beside each `x.jpg`,
/// also in sub folders, in the order of their names. Questions are worded by PromptForms' "caption"; other fields go to
/// Sample::extra. Pictures lie below the folder, or below `images` where that is given, links followed: what leads outside is
/// refused by name.
std::shared_ptr<const Dataset> open_picture_folder(const DatasetOptions& options);

/// Writes pictures into the folder `path` and their captions into its `metadata.jsonl`. A sample has one picture and questions
/// that stand alone; only their answers are kept.
std::unique_ptr<SampleWriter> write_picture_folder(const WriterOptions& options);

}  // namespace ocelli::data
