#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Rows of tab-separated cells without quoting, found by the byte offsets in the `.lineidx` beside the file ("x.lineidx" or
/// "x.tsv.lineidx"; without one by a scan):
/// - Muffin's and RLHF-V's: ds_name, image (base64), text (JSON), origin_dataset, origin_split, origin_idx, image_path, with a
/// row of
///   these names in front or without; no base64: the picture is image_path, below `images`;
/// - key, image (base64), text (JSON);
/// - key, image (base64), the texts in a second such file given as `annotations`: key, text (JSON).
/// The text is a record as read_conversation() knows them, a list of its turns, or {"question", "answer"} or {"question",
/// "chosen"}. What says where a row is from goes to Sample::extra. An index that isn't sorted, leads past the end or not to a
/// line's start is an error, the last when the row is read. Source: RLHF-V muffin/data/tsv_file.py, muffin/gen_data_util.py.
std::shared_ptr<const Dataset> open_lineidx_tsv(const DatasetOptions& options);

/// Writes Muffin's seven columns without names, and the index beside. A sample has one picture at most.
std::unique_ptr<SampleWriter> write_lineidx_tsv(const WriterOptions& options);

}  // namespace ocelli::data
