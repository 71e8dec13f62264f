#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// COCO's annotations, a sample a picture; told apart by their first one:
/// - captions: independent questions worded by PromptForms' "caption", one a caption, references of each are all captions;
/// - instances (also LVIS, Objects365): Sample::regions with box, category and mask, in the file's order. The turns are
/// independent
///   questions: "region_to_text" for each region, then "text_to_region" for each category with the boxes of all its regions,
///   whichever of the two the prompts file has; none of them is an error. Crowds are regions without question,
///   Sample::extra has them as `iscrowd`.
/// Pictures without annotation, or with crowds alone, are no sample. `path` is the annotations' file, `images` the folder that
/// `file_name` starts from (without `file_name`: the last two parts of `coco_url`).
/// Source: cocodataset.org, "Data format"; cocodataset/cocoapi PythonAPI/pycocotools/coco.py.
std::shared_ptr<const Dataset> open_coco(const DatasetOptions& options);

/// Writes instances when the first sample has regions, else captions: the answers. A sample has one picture.
std::unique_ptr<SampleWriter> write_coco(const WriterOptions& options);

}  // namespace ocelli::data
