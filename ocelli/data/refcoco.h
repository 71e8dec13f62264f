#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Expressions that refer to a region: RefCOCO, RefCOCO+, RefCOCOg. `path` is either
/// - `refs(unc).p`, a pickle of plain things (globals are refused by name), with `annotations` COCO's instances (empty:
///   `instances.json` beside it), `split` one of the file's (empty: all), pictures named by the instances' file; a sample a
///   picture;
/// - or InternVL's JSONL, `{"image", "width", "height", "sent", "bbox": [x0, y0, x1, y1]}` in pixels; a sample a line.
/// Each expression is an independent question, worded by PromptForms' "text_to_region", its answer by "text_to_region_answer" and
/// "box"; the first and the last have no plain wording, so a prompts file is needed: models differ in how they write boxes.
/// Sample::regions[i] belongs to question i, its text is the expression.
/// Source: lichengunc/refer refer.py; InternVL internvl_chat/eval/refcoco/evaluate_grounding.py.
std::shared_ptr<const Dataset> open_refcoco(const DatasetOptions& options);

}  // namespace ocelli::data
