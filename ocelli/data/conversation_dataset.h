#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Records of conversations in a JSON or JSONL file, in any form read_conversation() knows, pictures on disk. Records are parsed
/// when asked for. Throws Error when the file can't be read or holds none.
std::shared_ptr<const Dataset> open_conversations(const DatasetOptions& options);

/// Writers of that: JSON where the path ends in .json, else JSONL.
std::unique_ptr<SampleWriter> write_llava(const WriterOptions& options);
std::unique_ptr<SampleWriter> write_sharegpt(const WriterOptions& options);
std::unique_ptr<SampleWriter> write_messages(const WriterOptions& options);

}  // namespace ocelli::data
