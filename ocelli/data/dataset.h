#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "ocelli/data/sample.h"

namespace ocelli::data {

/// A source of samples.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// The sample at `index`. Throws Error naming file, record and field when the record is broken. Thread-safe.
  virtual Sample get(int64_t index) const = 0;
  /// What messages and logs call it.
  virtual const std::string& name() const = 0;
};

struct DatasetOptions {
  std::string name;
  std::string format = "llava";  ///< "llava": JSON array or JSONL of LLaVA records
  std::filesystem::path path;    ///< the file
  std::filesystem::path images;  ///< folder the records' picture paths start from (empty: the file's folder)
};

/// Opens a data set. Throws Error naming what is missing or wrong, and for an unknown format the known ones.
std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options);

}  // namespace ocelli::data
