#include "ocelli/data/picture_folder.h"

#include <optional>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/data/picture_files.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/picture_walk.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/question_pairs.h"
#include "ocelli/data/record_file.h"
#include "ocelli/data/table_rows.h"
#include "ocelli/text/utf8.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostCaptionBytes = 1 << 20;
constexpr const char* kMetadata = "metadata.jsonl";

/// A picture's place and its words, as one of the three forms gives them.
struct Caption {
  std::string file;
  std::string text;
  OrderedJson extra;
  std::string where;
};

class Captions {
 public:
  virtual ~Captions() = default;
  virtual int64_t size() const = 0;
  virtual Caption get(int64_t index) const = 0;
};

class RecordCaptions final : public Captions {
 public:
  RecordCaptions(const fs::path& path, const std::string& name) : file_(path, name) {}
  int64_t size() const override { return file_.size(); }

  Caption get(int64_t index) const override {
    Caption out;
    out.where = file_.where(index);
    const Json record = file_.object(index);
    const JsonView view(record, out.where);
    out.file = view.string("file_name");
    out.text = view.string("text");
    for (const auto& [key, value] : record.items()) {
      if (key != "file_name" && key != "text") out.extra[key] = value;
    }
    return out;
  }

 private:
  RecordFile file_;
};

class TableCaptions final : public Captions {
 public:
  explicit TableCaptions(const fs::path& path)
      : table_(path, {.separator = ','}),
        file_(table_.find("image") ? *table_.find("image") : table_.column("file_name")),
        text_(table_.find("caption") ? *table_.find("caption") : table_.column("text")) {}
  int64_t size() const override { return table_.size(); }

  Caption get(int64_t index) const override {
    const TableRow row = table_.row(index);
    Caption out{std::string(row[file_]), std::string(row[text_]), {}, table_.where(index)};
    for (size_t i = 0; i < row.size(); ++i) {
      if (i != file_ && i != text_ && !row[i].empty()) out.extra[table_.columns()[i]] = std::string(row[i]);
    }
    return out;
  }

 private:
  NamedTable table_;
  size_t file_, text_;
};

class TextCaptions final : public Captions {
 public:
  TextCaptions(const fs::path& folder, const fs::path& root)
      : folder_(folder), root_(root), pictures_(find_pictures(folder, root)) {
    require(!pictures_.empty(), "{}: no picture (.jpg, .jpeg, .png, .webp) in it", folder.string());
  }
  int64_t size() const override { return static_cast<int64_t>(pictures_.size()); }

  Caption get(int64_t index) const override {
    const fs::path& picture = pictures_[static_cast<size_t>(index)];
    const fs::path words = fs::path(folder_ / picture).replace_extension(".txt");
    require(is_there(words), "{}: its caption {} is missing", (folder_ / picture).string(), words.string());
    require_inside(words, root_);
    std::string text = read_file(words, kMostCaptionBytes);
    require(text.find('\0') == std::string::npos && text::is_valid_utf8(text), "{}: the caption isn't UTF-8, or holds a NUL",
            words.string());
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    return {picture.generic_string(), std::move(text), {}, words.string()};
  }

 private:
  fs::path folder_, root_;
  std::vector<fs::path> pictures_;
};

std::unique_ptr<Captions> captions_of(const DatasetOptions& options, const fs::path& root) {
  if (fs::exists(options.path / kMetadata)) return std::make_unique<RecordCaptions>(options.path / kMetadata, options.name);
  for (const char* table : {"metadata.csv", "captions.csv"}) {
    if (fs::exists(options.path / table)) return std::make_unique<TableCaptions>(options.path / table);
  }
  return std::make_unique<TextCaptions>(options.path, root);
}

class PictureFolder final : public Dataset {
 public:
  explicit PictureFolder(const DatasetOptions& options)
      : options_(options),
        root_(options.images.empty() ? options.path : options.images),
        forms_(PromptForms::read(options.prompts)) {
    require(fs::is_directory(options.path), "data {}: {} is no folder", options.name, options.path.string());
    captions_ = captions_of(options, root_);
  }
  int64_t size() const override { return captions_->size(); }
  const std::string& name() const override { return options_.name; }

  Sample get(int64_t index) const override {
    Caption caption = captions_->get(index);
    Sample sample;
    sample.id = caption.file;
    fs::path picture = options_.path / caption.file;
    if (!options_.images.empty() && !is_there(picture)) picture = root_ / caption.file;
    picture = below(root_, fs::absolute(picture).lexically_normal().string(), caption.where);
    if (is_there(picture)) require_inside(picture, root_);
    sample.pictures.emplace_back(std::move(picture));
    sample.turns = {{Turn::Role::kUser, forms_.fill("caption", index, {})}, {Turn::Role::kAssistant, std::move(caption.text)}};
    sample.extra = std::move(caption.extra);
    finish_sample(sample, caption.where);
    return sample;
  }

 private:
  DatasetOptions options_;
  fs::path root_;
  PromptForms forms_;
  std::unique_ptr<Captions> captions_;
};

class PictureFolderWriter final : public SampleWriter {
 public:
  explicit PictureFolderWriter(const WriterOptions& options)
      : folder_(made(options.path)), file_(folder_ / kMetadata), pictures_(options.images.empty() ? folder_ : options.images) {
    if (options.images.empty()) return;
    const auto inside = path_below(folder_, options.images);
    require(inside.has_value(), "{}: pictures must lie below {}, the data set's folder", options.images.string(),
            folder_.string());
    if (*inside != ".") prefix_ = inside->generic_string() + "/";
  }

  void write(const Sample& sample) override {
    require(sample.pictures.size() == 1, "sample {}: {} pictures; folder holds captions of one", sample.id,
            sample.pictures.size());
    const std::vector<QuestionPair> pairs = question_pairs(sample, "folder");
    const std::string name = prefix_ + pictures_.put(sample.pictures[0], sample.id);
    lose("question");
    for (const QuestionPair& pair : pairs) {
      OrderedJson record = {{"file_name", name}, {"text", pair.answer}};
      for (const auto& [key, value] : sample.extra.items()) {
        if (!record.contains(key)) record[key] = value;
      }
      file_.write(record.dump(-1, ' ', false, OrderedJson::error_handler_t::strict) + "\n");
    }
    for (const char* key : {"file_name", "text"}) {
      if (sample.extra.contains(key)) lose(key);
    }
    if (sample.id != name) lose("id");
    if (!sample.references.empty()) lose("references");
    if (!sample.question_types.empty()) lose("question_types");
    if (!sample.regions.empty()) lose("regions");
    if (sample.turns.front().role == Turn::Role::kSystem) lose("system turn");
  }

  void finish() override { file_.commit(); }

 private:
  static fs::path made(const fs::path& folder) {
    make_directories(folder);
    return folder;
  }

  fs::path folder_;
  AtomicFile file_;
  PictureFiles pictures_;
  std::string prefix_;
};

}  // namespace

std::shared_ptr<const Dataset> open_picture_folder(const DatasetOptions& options) {
  return std::make_shared<PictureFolder>(options);
}

std::unique_ptr<SampleWriter> write_picture_folder(const WriterOptions& options) {
  return std::make_unique<PictureFolderWriter>(options);
}

}  // namespace ocelli::data
