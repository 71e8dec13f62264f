#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli::data {

/// Parquet through Arrow, behind an interface without Arrow. Where ocelli was built without it, everything here throws Error
/// naming scripts/setup.

/// Some rows of a Parquet file, decoded and checked.
class ParquetRows {
 public:
  virtual ~ParquetRows() = default;
  virtual int64_t size() const = 0;
  /// Bytes of memory they take.
  virtual uint64_t bytes() const = 0;
  /// A row as an object by column: lists as arrays, structs and maps as objects, bytes as JSON's binary values, times and
  /// decimals as text. Thread-safe.
  virtual Json row(int64_t index) const = 0;
};

/// A Parquet file, read a row group at a time. Only its footer is held. Thread-safe.
class ParquetFile {
 public:
  virtual ~ParquetFile() = default;
  /// Throws Error naming the file: unreadable, no Parquet, a damaged footer, columns nested deeper than 16.
  static std::shared_ptr<const ParquetFile> open(const std::filesystem::path& path);

  virtual int num_row_groups() const = 0;
  virtual int64_t num_rows(int row_group) const = 0;
  /// Throws Error naming file and row group: a damaged page or value, more than 2 GiB said or 4 GiB decoded, a file that changed
  /// since it was opened.
  virtual std::shared_ptr<const ParquetRows> read(int row_group) const = 0;
};

/// A row as ParquetWriter writes it.
struct ParquetRecord {
  struct Picture {
    std::shared_ptr<const std::string> bytes;
    std::string path;
  };
  struct Message {
    std::string role, content;
  };
  std::string id;
  std::vector<Picture> images;
  std::vector<Message> messages;
  std::string extra;  ///< JSON text; empty: null
};

/// Writes records with columns `id`, `images` (list of struct {bytes, path}), `messages` (list of struct {role, content}),
/// `extra`, with the schema's `huggingface` entry, so that `datasets` decodes the pictures. Pages carry checksums. Source:
/// huggingface/datasets src/datasets/features/image.py.
class ParquetWriter {
 public:
  virtual ~ParquetWriter() = default;
  /// Throws Error naming the path.
  static std::unique_ptr<ParquetWriter> create(const std::filesystem::path& path);
  virtual void write_row_group(std::span<const ParquetRecord> records) = 0;
  /// The footer; the file stands under its name afterwards.
  virtual void finish() = 0;
};

}  // namespace ocelli::data
