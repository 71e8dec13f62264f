#include "ocelli/data/parquet_file.h"

#include "ocelli/base/error.h"

#ifndef OCELLI_ARROW

namespace ocelli::data {

std::shared_ptr<const ParquetFile> ParquetFile::open(const std::filesystem::path& path) {
  fail("{}: this ocelli was built without Parquet: pyarrow was not in .venv; run scripts/setup and build again", path.string());
}

std::unique_ptr<ParquetWriter> ParquetWriter::create(const std::filesystem::path& path) {
  fail("{}: this ocelli was built without Parquet: pyarrow was not in .venv; run scripts/setup and build again", path.string());
}

}  // namespace ocelli::data

#else

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "ocelli/base/file.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostStated = int64_t{2} << 30;
/// Decoding needs the compressed chunk beside what it becomes, and a value stored once may stand in many rows.
constexpr int64_t kMostDecoded = int64_t{4} << 30;
constexpr int kDeepest = 16;

/// Runs what may throw Parquet's exceptions or return a bad status; all become Errors starting with `where`.
template <typename Action>
auto guarded(const std::string& where, Action action) -> std::remove_reference_t<decltype(*action())> {
  arrow::Result<std::remove_reference_t<decltype(*action())> > result = arrow::Status::UnknownError("not run");
  try {
    result = action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("{}: {}", where, error.what());
  }
  require(result.ok(), "{}: {}", where, result.status().ToString());
  return std::move(result).ValueUnsafe();
}

/// Memory for one row group: a lying or malicious file can't take more.
class CappedPool final : public arrow::MemoryPool {
 public:
  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    ARROW_RETURN_NOT_OK(take(size));
    arrow::Status status = pool_->Allocate(size, alignment, out);
    if (!status.ok()) held_ -= size;
    return status;
  }
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t** pointer) override {
    ARROW_RETURN_NOT_OK(take(new_size - old_size));
    arrow::Status status = pool_->Reallocate(old_size, new_size, alignment, pointer);
    if (!status.ok()) held_ -= new_size - old_size;
    return status;
  }
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override {
    pool_->Free(buffer, size, alignment);
    held_ -= size;
  }
  int64_t bytes_allocated() const override { return held_; }
  int64_t total_bytes_allocated() const override { return held_; }
  int64_t num_allocations() const override { return pool_->num_allocations(); }
  std::string backend_name() const override { return pool_->backend_name(); }

 private:
  arrow::Status take(int64_t size) {
    if ((held_ += size) <= kMostDecoded) return arrow::Status::OK();
    held_ -= size;
    return arrow::Status::OutOfMemory("it decodes to more than ", kMostDecoded, " bytes; write it again with smaller row groups");
  }
  arrow::MemoryPool* pool_ = arrow::default_memory_pool();
  std::atomic<int64_t> held_{0};
};

Json value_at(const arrow::Array& array, int64_t index);

template <typename List>
Json list_at(const arrow::Array& array, int64_t index) {
  const auto& list = static_cast<const List&>(array);
  Json out = Json::array();
  for (int64_t i = 0; i < list.value_length(index); ++i) out.push_back(value_at(*list.values(), list.value_offset(index) + i));
  return out;
}

template <typename Binary>
Json bytes_at(const arrow::Array& array, int64_t index) {
  const auto view = static_cast<const Binary&>(array).GetView(index);
  return Json::binary({view.begin(), view.end()});
}

template <typename String>
Json text_at(const arrow::Array& array, int64_t index) {
  return std::string(static_cast<const String&>(array).GetView(index));
}

template <typename Number>
Json number_at(const arrow::Array& array, int64_t index) {
  return static_cast<const Number&>(array).Value(index);
}

Json map_at(const arrow::MapArray& map, int64_t index) {
  Json out = Json::object();
  for (int64_t i = map.value_offset(index); i < map.value_offset(index) + map.value_length(index); ++i) {
    const Json key = value_at(*map.keys(), i);
    out[key.is_string() ? key.get<std::string>() : key.dump()] = value_at(*map.items(), i);
  }
  return out;
}

/// Trusts that the array was validated in full and is nested no deeper than check_depth() allows.
Json value_at(const arrow::Array& array, int64_t index) {
  using arrow::Type;
  if (array.IsNull(index)) return nullptr;
  switch (array.type_id()) {
    case Type::NA:
      return nullptr;
    case Type::BOOL:
      return number_at<arrow::BooleanArray>(array, index);
    case Type::INT8:
      return number_at<arrow::Int8Array>(array, index);
    case Type::INT16:
      return number_at<arrow::Int16Array>(array, index);
    case Type::INT32:
      return number_at<arrow::Int32Array>(array, index);
    case Type::INT64:
      return number_at<arrow::Int64Array>(array, index);
    case Type::UINT8:
      return number_at<arrow::UInt8Array>(array, index);
    case Type::UINT16:
      return number_at<arrow::UInt16Array>(array, index);
    case Type::UINT32:
      return number_at<arrow::UInt32Array>(array, index);
    case Type::UINT64:
      return number_at<arrow::UInt64Array>(array, index);
    case Type::FLOAT:
      return number_at<arrow::FloatArray>(array, index);
    case Type::DOUBLE:
      return number_at<arrow::DoubleArray>(array, index);
    case Type::STRING:
      return text_at<arrow::StringArray>(array, index);
    case Type::LARGE_STRING:
      return text_at<arrow::LargeStringArray>(array, index);
    case Type::STRING_VIEW:
      return text_at<arrow::StringViewArray>(array, index);
    case Type::BINARY:
      return bytes_at<arrow::BinaryArray>(array, index);
    case Type::LARGE_BINARY:
      return bytes_at<arrow::LargeBinaryArray>(array, index);
    case Type::BINARY_VIEW:
      return bytes_at<arrow::BinaryViewArray>(array, index);
    case Type::FIXED_SIZE_BINARY:
      return bytes_at<arrow::FixedSizeBinaryArray>(array, index);
    case Type::LIST:
      return list_at<arrow::ListArray>(array, index);
    case Type::LARGE_LIST:
      return list_at<arrow::LargeListArray>(array, index);
    case Type::FIXED_SIZE_LIST:
      return list_at<arrow::FixedSizeListArray>(array, index);
    case Type::MAP:
      return map_at(static_cast<const arrow::MapArray&>(array), index);
    case Type::STRUCT: {
      const auto& fields = static_cast<const arrow::StructArray&>(array);
      Json out = Json::object();
      // field() gives the child cut to the struct's own rows; its own nulls were looked at above.
      for (int i = 0; i < fields.num_fields(); ++i) out[fields.type()->field(i)->name()] = value_at(*fields.field(i), index);
      return out;
    }
    case Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      return value_at(*coded.dictionary(), coded.GetValueIndex(index));
    }
    case Type::EXTENSION:
      return value_at(*static_cast<const arrow::ExtensionArray&>(array).storage(), index);
    default: {
      const auto scalar = array.GetScalar(index);
      return scalar.ok() ? Json((*scalar)->ToString()) : Json();
    }
  }
}

void check_depth(const arrow::DataType& type, int depth, const std::string& where) {
  require(depth <= kDeepest, "{}: columns are nested deeper than {}", where, kDeepest);
  for (const auto& field : type.fields()) check_depth(*field->type(), depth + 1, where);
}

class DecodedRows final : public ParquetRows {
 public:
  DecodedRows(std::unique_ptr<CappedPool> pool, std::shared_ptr<arrow::Table> table)
      : pool_(std::move(pool)), table_(std::move(table)) {}

  int64_t size() const override { return table_->num_rows(); }
  uint64_t bytes() const override { return static_cast<uint64_t>(pool_->bytes_allocated()); }
  Json row(int64_t index) const override {
    Json out = Json::object();
    for (int c = 0; c < table_->num_columns(); ++c) {
      int64_t at = index;
      for (const auto& chunk : table_->column(c)->chunks()) {
        if (at < chunk->length()) {
          out[table_->field(c)->name()] = value_at(*chunk, at);
          break;
        }
        at -= chunk->length();
      }
    }
    return out;
  }

 private:
  std::unique_ptr<CappedPool> pool_;  // outlives the table's buffers
  std::shared_ptr<arrow::Table> table_;
};

class ArrowParquetFile final : public ParquetFile {
 public:
  explicit ArrowParquetFile(const fs::path& path) : origin_(path.string()) {
    // Arrow would wait for a FIFO.
    std::error_code unknown;
    require(!fs::exists(path, unknown) || fs::is_regular_file(path, unknown), "{}: is no regular file", origin_);
    metadata_ = guarded(origin_, [&]() -> arrow::Result<std::shared_ptr<parquet::FileMetaData> > {
      ARROW_ASSIGN_OR_RAISE(const auto file, arrow::io::ReadableFile::Open(origin_));
      ARROW_ASSIGN_OR_RAISE(size_, file->GetSize());
      return parquet::ParquetFileReader::Open(file, properties(pool_))->metadata();
    });
    const auto schema = guarded(origin_, [&]() -> arrow::Result<std::shared_ptr<arrow::Schema> > {
      std::shared_ptr<arrow::Schema> out;
      ARROW_RETURN_NOT_OK(parquet::arrow::FromParquetSchema(metadata_->schema(), parquet::default_arrow_reader_properties(),
                                                            metadata_->key_value_metadata(), &out));
      return out;
    });
    for (const auto& field : schema->fields()) check_depth(*field->type(), 1, origin_);
    for (int g = 0; g < metadata_->num_row_groups(); ++g) {
      const int64_t rows = guarded(origin_, [&]() -> arrow::Result<int64_t> { return metadata_->RowGroup(g)->num_rows(); });
      require(rows >= 0, "{}, row group {}: {} rows; the file is damaged", origin_, g, rows);
    }
  }

  int num_row_groups() const override { return metadata_->num_row_groups(); }
  int64_t num_rows(int row_group) const override { return metadata_->RowGroup(row_group)->num_rows(); }

  std::shared_ptr<const ParquetRows> read(int row_group) const override {
    const std::string where = fmt::format("{}, row group {}", origin_, row_group);
    const auto group = metadata_->RowGroup(row_group);
    require(group->total_byte_size() >= 0 && group->total_byte_size() <= kMostStated,
            "{}: {} bytes, at most {} are read at once; write the file again with smaller row groups (100 rows)", where,
            group->total_byte_size(), kMostStated);
    auto pool = std::make_unique<CappedPool>();
    auto table = guarded(where, [&]() -> arrow::Result<std::shared_ptr<arrow::Table> > {
      ARROW_ASSIGN_OR_RAISE(const auto file, arrow::io::ReadableFile::Open(origin_, pool.get()));
      ARROW_ASSIGN_OR_RAISE(const int64_t size, file->GetSize());
      require(size == size_, "{}: the file had {} bytes when it was opened, now {}", where, size_, size);
      // Reading ahead pays on remote stores; here it would start threads for nothing.
      parquet::ArrowReaderProperties how(/*use_threads=*/false);
      how.set_pre_buffer(false);
      ARROW_ASSIGN_OR_RAISE(const auto reader,
                            parquet::arrow::FileReader::Make(
                                pool.get(), parquet::ParquetFileReader::Open(file, properties(*pool), metadata_), how));
      ARROW_ASSIGN_OR_RAISE(auto decoded, reader->ReadRowGroup(row_group));
      // A file may decode "well" into offsets that point anywhere (Arrow's docs, "Security").
      ARROW_RETURN_NOT_OK(decoded->ValidateFull());
      return decoded;
    });
    require(table->num_rows() == num_rows(row_group), "{}: it has {} rows, the footer says {}; the file is damaged", where,
            table->num_rows(), num_rows(row_group));
    return std::make_shared<DecodedRows>(std::move(pool), std::move(table));
  }

 private:
  static parquet::ReaderProperties properties(arrow::MemoryPool& pool) {
    parquet::ReaderProperties out(&pool);
    out.set_page_checksum_verification(true);
    return out;
  }

  std::string origin_;
  int64_t size_ = 0;
  mutable CappedPool pool_;  // the footer remembers it and takes the statistics' memory from it
  std::shared_ptr<parquet::FileMetaData> metadata_;
};

/// An AtomicFile as Arrow writes to it.
class AtomicStream final : public arrow::io::OutputStream {
 public:
  explicit AtomicStream(const fs::path& path) : file_(path) {}
  arrow::Status Write(const void* data, int64_t size) override {
    try {
      file_.write(data, static_cast<size_t>(size));
    } catch (const Error& error) {
      return arrow::Status::IOError(error.what());
    }
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Tell() const override { return static_cast<int64_t>(file_.bytes_written()); }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  bool closed_ = false;
};

std::shared_ptr<arrow::Schema> record_schema() {
  const auto text = arrow::utf8();
  const auto image = arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", text)});
  const auto message = arrow::struct_({arrow::field("role", text), arrow::field("content", text)});
  const OrderedJson string = {{"dtype", "string"}, {"_type", "Value"}};
  // Lists in the form that `datasets` reads since its first versions.
  const OrderedJson features = {{"id", string},
                                {"images", OrderedJson::array({{{"_type", "Image"}}})},
                                {"messages", OrderedJson::array({{{"role", string}, {"content", string}}})},
                                {"extra", string}};
  const OrderedJson info = {{"info", {{"features", features}}}};
  return arrow::schema({arrow::field("id", text), arrow::field("images", arrow::list(image)),
                        arrow::field("messages", arrow::list(message)), arrow::field("extra", text)},
                       arrow::key_value_metadata({"huggingface"}, {info.dump()}));
}

class ArrowParquetWriter final : public ParquetWriter {
 public:
  explicit ArrowParquetWriter(const fs::path& path)
      : origin_(path.string()), stream_(std::make_shared<AtomicStream>(path)), schema_(record_schema()) {
    parquet::WriterProperties::Builder how;
    how.compression(parquet::Compression::SNAPPY)->enable_page_checksum();
    // Pictures never repeat or sort: a dictionary and statistics of them only cost.
    how.disable_dictionary("images.list.element.bytes")->disable_statistics("images.list.element.bytes");
    how.compression("images.list.element.bytes", parquet::Compression::UNCOMPRESSED);
    writer_ = guarded(origin_, [&] {
      return parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), stream_, how.build(),
                                              parquet::ArrowWriterProperties::Builder().store_schema()->build());
    });
  }

  void write_row_group(std::span<const ParquetRecord> records) override {
    guarded(origin_, [&]() -> arrow::Result<bool> {
      ARROW_ASSIGN_OR_RAISE(const auto builder, arrow::RecordBatchBuilder::Make(schema_, arrow::default_memory_pool()));
      auto& id = *builder->GetFieldAs<arrow::StringBuilder>(0);
      auto& images = *builder->GetFieldAs<arrow::ListBuilder>(1);
      auto& image = static_cast<arrow::StructBuilder&>(*images.value_builder());
      auto& messages = *builder->GetFieldAs<arrow::ListBuilder>(2);
      auto& message = static_cast<arrow::StructBuilder&>(*messages.value_builder());
      auto& extra = *builder->GetFieldAs<arrow::StringBuilder>(3);
      const auto text_of = [](arrow::StructBuilder& parent, int field) -> arrow::StringBuilder& {
        return static_cast<arrow::StringBuilder&>(*parent.field_builder(field));
      };
      for (const ParquetRecord& record : records) {
        ARROW_RETURN_NOT_OK(id.Append(record.id));
        ARROW_RETURN_NOT_OK(images.Append());
        for (const ParquetRecord::Picture& picture : record.images) {
          ARROW_RETURN_NOT_OK(image.Append());
          ARROW_RETURN_NOT_OK(static_cast<arrow::BinaryBuilder&>(*image.field_builder(0)).Append(*picture.bytes));
          ARROW_RETURN_NOT_OK(picture.path.empty() ? text_of(image, 1).AppendNull() : text_of(image, 1).Append(picture.path));
        }
        ARROW_RETURN_NOT_OK(messages.Append());
        for (const ParquetRecord::Message& one : record.messages) {
          ARROW_RETURN_NOT_OK(message.Append());
          ARROW_RETURN_NOT_OK(text_of(message, 0).Append(one.role));
          ARROW_RETURN_NOT_OK(text_of(message, 1).Append(one.content));
        }
        ARROW_RETURN_NOT_OK(record.extra.empty() ? extra.AppendNull() : extra.Append(record.extra));
      }
      ARROW_ASSIGN_OR_RAISE(const auto batch, builder->Flush());
      ARROW_ASSIGN_OR_RAISE(const auto table, arrow::Table::FromRecordBatches(schema_, {batch}));
      ARROW_RETURN_NOT_OK(writer_->WriteTable(*table, std::max<int64_t>(batch->num_rows(), 1)));
      return true;
    });
  }

  void finish() override {
    guarded(origin_, [&]() -> arrow::Result<bool> {
      ARROW_RETURN_NOT_OK(writer_->Close());
      return true;
    });
    stream_->commit();
  }

 private:
  std::string origin_;
  std::shared_ptr<AtomicStream> stream_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace

std::shared_ptr<const ParquetFile> ParquetFile::open(const fs::path& path) {
  return std::make_shared<ArrowParquetFile>(path);
}

std::unique_ptr<ParquetWriter> ParquetWriter::create(const fs::path& path) {
  return std::make_unique<ArrowParquetWriter>(path);
}

}  // namespace ocelli::data

#endif
