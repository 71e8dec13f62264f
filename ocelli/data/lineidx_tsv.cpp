#include "ocelli/data/lineidx_tsv.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "ocelli/base/base64.h"
#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/line_index.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/table_rows.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

using Cells = std::vector<std::string_view>;

constexpr uint64_t kMostPictureBytes = image::DecodeOptions().max_file_bytes;

enum Column : size_t { kName, kImage, kText, kOriginDataset, kOriginSplit, kOriginIndex, kImagePath, kColumns };
constexpr std::array<std::string_view, kColumns> kNames = {"ds_name",      "image",      "text",      "origin_dataset",
                                                           "origin_split", "origin_idx", "image_path"};
/// Columns that say where a row is from.
constexpr std::array<Column, 3> kOrigins = {kName, kOriginDataset, kOriginSplit};

/// The text cell as a record of a conversation.
Json record_of(std::string_view text, const std::string& where) {
  Json record = parse_json(text, where);
  if (record.is_array()) return Json{{"conversations", std::move(record)}};
  require(record.is_object(), "{}: expected a record of a conversation", where);
  if (record.contains("conversations") || record.contains("messages")) return record;
  const JsonView view(record, where);
  const char* answer = view.has("answer") ? "answer" : "chosen";
  require(view.has("question") && view.has(answer),
          "{}: expected \"conversations\", \"messages\", or \"question\" and \"answer\" (or \"chosen\")", where);
  record["conversations"] = {{{"from", "human"}, {"value", view.string("question")}},
                             {{"from", "gpt"}, {"value", view.string(answer)}}};
  record.erase("question");
  record.erase(answer);
  return record;
}

class LineidxDataset final : public Dataset {
 public:
  explicit LineidxDataset(const DatasetOptions& options)
      : name_(options.name), images_(picture_root(options.images, options.path)), rows_(options.path) {
    const Cells first = rows_.cells(0);
    width_ = first.size();
    if (std::find(first.begin(), first.end(), "image") != first.end()) {
      first_row_ = 1;
      for (size_t i = 0; i < kColumns; ++i) {
        const auto found = std::find(first.begin(), first.end(), kNames[i]);
        if (found != first.end()) columns_[i] = static_cast<size_t>(found - first.begin());
      }
      require(columns_[kText].has_value(), "{}: its first row names columns, but no \"text\"", rows_.name());
      require(rows_.size() > 1, "{}: it has no row below the names of its columns", rows_.name());
    } else if (width_ == kColumns) {
      for (size_t i = 0; i < kColumns; ++i) columns_[i] = i;
    } else {
      require(width_ == 2 || width_ == 3, "{}: {} columns, expected the 7 of Muffin's, or key, image and text", rows_.name(),
              width_);
      columns_[kOriginIndex] = 0;
      columns_[kImage] = 1;
      if (width_ == 3) columns_[kText] = 2;
    }
    if (!columns_[kText]) open_texts(options);
  }

  int64_t size() const override { return rows_.size() - first_row_; }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const int64_t number = index + first_row_;
    const Cells cells = rows_.cells(number);
    const std::string where = rows_.where(number);
    require(cells.size() == width_, "{}: {} cells, but the first row has {}", where, cells.size(), width_);
    const auto cell = [&](Column column) { return columns_[column] ? cells[*columns_[column]] : std::string_view(); };
    const std::string key(cell(kOriginIndex));
    Json record = columns_[kText] ? record_of(cell(kText), where + ", column \"text\"") : record_of_key(key, where);
    const std::optional<Picture> picture = picture_of(cell(kImage), cell(kImagePath), where);
    record.erase("images");
    record.erase("image");
    if (picture) record["image"] = "the row's";
    Sample sample;
    sample.id = key.empty() ? std::to_string(index) : key;
    read_conversation(
        record, where, [&](const std::string& /*named*/) { return *picture; }, sample);
    for (const Column column : kOrigins) {
      if (!cell(column).empty()) sample.extra[std::string(kNames[column])] = std::string(cell(column));
    }
    return sample;
  }

 private:
  void open_texts(const DatasetOptions& options) {
    require(!options.annotations.empty(),
            "data {}: {} has a key and a picture a row; give the file of key and text (JSON) a row as `annotations`", name_,
            rows_.name());
    texts_.emplace(options.annotations);
    for (int64_t i = 0; i < texts_->size(); ++i) {
      const Cells cells = texts_->cells(i);
      require(cells.size() == 2, "{}: {} cells, expected key and text", texts_->where(i), cells.size());
      require(text_of_.emplace(cells[0], i).second, "{}: key \"{}\" is there twice", texts_->where(i), cells[0].substr(0, 80));
    }
  }

  Json record_of_key(const std::string& key, const std::string& where) const {
    const auto found = text_of_.find(key);
    require(found != text_of_.end(), "{}: {} has no text of key \"{}\"", where, texts_->name(), key.substr(0, 80));
    return record_of(texts_->cells(found->second)[1], texts_->where(found->second));
  }

  std::optional<Picture> picture_of(std::string_view base64, std::string_view path, const std::string& where) const {
    if (!base64.empty()) {
      const std::string at = where + ", column \"image\"";
      return Picture(decode_base64(base64, at, kMostPictureBytes), fs::path(path).filename(), at);
    }
    if (!path.empty()) return Picture(below(images_, std::string(path), where + ", column \"image_path\""));
    return std::nullopt;
  }

  std::string name_;
  fs::path images_;
  IndexedLines rows_;
  size_t width_ = 0;
  int64_t first_row_ = 0;
  std::array<std::optional<size_t>, kColumns> columns_;
  std::optional<IndexedLines> texts_;
  std::unordered_map<std::string, int64_t> text_of_;
};

class LineidxWriter final : public SampleWriter {
 public:
  explicit LineidxWriter(const WriterOptions& options)
      : rows_(options.path), index_(fs::path(options.path).replace_extension(".lineidx")) {}

  void write(const Sample& sample) override {
    require(sample.pictures.size() <= 1, "sample {}: {} pictures; lineidx holds one a row", sample.id, sample.pictures.size());
    OrderedJson record = conversation_record(sample, {});
    record.erase("id");
    std::array<std::string, kColumns> cells;
    for (const Column column : kOrigins) {
      const std::string name(kNames[column]);
      if (!record.contains(name) || !record[name].is_string()) continue;
      cells[column] = plain(record[name].get<std::string>(), name, sample);
      record.erase(name);
    }
    cells[kOriginIndex] = plain(sample.id, "id", sample);
    cells[kText] = record.dump(-1, ' ', false, OrderedJson::error_handler_t::strict);
    if (!sample.pictures.empty()) {
      cells[kImage] = encode_base64(*sample.pictures[0].encoded());
      cells[kImagePath] = plain(sample.pictures[0].path.filename().string(), "its picture's name", sample);
    }
    std::string row;
    for (size_t i = 0; i < kColumns; ++i) {
      require(cells[i].size() <= kMostCellBytes, "sample {}: {} takes {} bytes, a cell may have {}", sample.id, kNames[i],
              cells[i].size(), kMostCellBytes);
      row += (i == 0 ? "" : "\t") + cells[i];
    }
    index_.write(std::to_string(rows_.bytes_written()) + "\n");
    rows_.write(row + "\n");
  }

  void finish() override {
    rows_.commit();
    index_.commit();
  }

 private:
  /// Cells aren't quoted, so they hold neither separator nor line end.
  static std::string plain(std::string text, const std::string& what, const Sample& sample) {
    require(text.find_first_of("\t\r\n") == std::string::npos,
            "sample {}: {} holds a tab or a line's end, which the format can't", sample.id, what);
    return text;
  }

  AtomicFile rows_, index_;
};

}  // namespace

std::shared_ptr<const Dataset> open_lineidx_tsv(const DatasetOptions& options) {
  return std::make_shared<LineidxDataset>(options);
}

std::unique_ptr<SampleWriter> write_lineidx_tsv(const WriterOptions& options) {
  return std::make_unique<LineidxWriter>(options);
}

}  // namespace ocelli::data
