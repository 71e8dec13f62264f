#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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
  std::string name = {};
  std::string format = {};            ///< a name of formats(); empty: told by the path
  std::filesystem::path path = {};    ///< the file, or the folder
  std::filesystem::path images = {};  ///< folder the records' picture paths start from (empty: the file's folder)
  /// The second file of formats that have two: answers of VQA v2's questions, COCO's instances of RefCOCO's references.
  std::filesystem::path annotations = {};
  std::string split = {};              ///< of formats whose file holds several (RefCOCO); empty: all
  std::filesystem::path prompts = {};  ///< how annotations become questions, see PromptForms; empty: plainly
};

/// Writes samples in one format; nothing stands under its name before finish().
class SampleWriter {
 public:
  virtual ~SampleWriter() = default;
  /// Throws Error when the sample can't be written at all.
  virtual void write(const Sample& sample) = 0;
  virtual void finish() = 0;
  /// What the format has no place for, and of how many samples it was left out: "question_types" → 3.
  const std::map<std::string, int64_t>& lost() const { return lost_; }

 protected:
  void lose(const std::string& what) { ++lost_[what]; }

 private:
  std::map<std::string, int64_t> lost_;
};

struct WriterOptions {
  std::filesystem::path path = {};
  /// Folder pictures are put into where the format holds paths (empty: `images` beside `path`). A file that lies below the folder
  /// already is referred to, not copied.
  std::filesystem::path images = {};
  int64_t shard_samples = 0;  ///< 0: one file; else the most samples of a shard, where the format has shards
};

/// A format: how its files are opened and, where it can be written, made.
struct Format {
  std::string_view name;
  std::string_view about;  ///< one line for people
  std::shared_ptr<const Dataset> (*open)(const DatasetOptions& options);
  std::unique_ptr<SampleWriter> (*write)(const WriterOptions& options);  ///< null: read only
};

std::span<const Format> formats();
/// Throws Error naming those there are.
const Format& find_format(std::string_view name);
/// By suffix and first bytes. Throws Error when nothing fits, naming the formats.
std::string format_of(const std::filesystem::path& path);

/// Opens a data set. Throws Error naming what is missing or wrong, and for an unknown format the known ones.
std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options);

}  // namespace ocelli::data
