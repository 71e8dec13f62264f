#pragma once

#include <cstdint>
#include <filesystem>

namespace ocelli::data {

struct DemoDataOptions {
  /// The `easy_vqa` Python package (its folder `data` holds train and test). Empty: `OCELLI_EASY_VQA`, else the
  /// package in `repo_root`/.venv.
  std::filesystem::path easy_vqa_folder;
  /// Where Debian's `dataset-fashion-mnist` puts its four idx files.
  std::filesystem::path fashion_folder = "/usr/share/datasets/fashion-mnist";
  std::filesystem::path repo_root;  ///< checkout of ocelli; needed only to find .venv
  std::filesystem::path out;        ///< written by prepare_demo_data; replaced as a whole
  uint64_t seed = 1;                ///< chooses each garment's phrasing

  int64_t easy_vqa_validation = 400;  ///< last pictures of the train split held out to choose by
  /// Train pictures of Fashion-MNIST used, from the first, validation included; 0: all of them.
  int64_t fashion_train = 0;
  int64_t fashion_validation = 2000;  ///< last of those, held out to choose by
  int threads = 2;                    ///< for writing pictures

  /// Throws UsageError naming the field, its value and what would have been right.
  void validate() const;
};

/// One JSON file in LLaVA's format and what it holds.
struct DemoSplit {
  std::filesystem::path file;
  int64_t pictures = 0;
  int64_t questions = 0;
};

struct DemoSource {
  std::filesystem::path images;  ///< the records' "image" is relative to this
  DemoSplit train;
  DemoSplit validation;
  DemoSplit test;
};

struct DemoData {
  DemoSource easy_vqa;
  DemoSource fashion_mnist;
  bool reused = false;  ///< an earlier run had already made it from the same inputs
};

/// The folder `data` of easy-VQA (holding train/ and test/), found as DemoDataOptions::easy_vqa_folder says.
/// Throws Error naming every place looked in and how to install it.
std::filesystem::path find_easy_vqa(const DemoDataOptions& options);

/// Writes the demo's data sets into `options.out`: easy_vqa/{train,validation,test}.json, which point at the package's
/// own pictures, and fashion_mnist/{train,validation,test}.json with a PNG a garment (grey as RGB). Each record is
/// {"id", "image", "independent": true, "conversations": [human, gpt, …], "question_types": [one a question]}:
/// its turns are independent questions of one picture, the first led by "<image>\n". Types: shape, color, yes/no, clothing.
/// Validation comes out of the train splits; the test splits are taken whole and never used otherwise.
///
/// The folder appears complete or not at all (written beside it, then renamed), and is reused when it was made with the
/// same options from inputs of the same sizes. Throws Error naming the file and what is wrong with it; an `out` that
/// holds something else is left alone.
DemoData prepare_demo_data(const DemoDataOptions& options);

}  // namespace ocelli::data
