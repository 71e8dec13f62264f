#include "ocelli/data/vlmeval_tsv.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "ocelli/base/base64.h"
#include "ocelli/base/error.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/python_list.h"
#include "ocelli/data/question_pairs.h"
#include "ocelli/data/table_rows.h"

namespace ocelli::data {
namespace {

constexpr size_t kMostReference = 64;  ///< characters of an image cell that is the index of another row
constexpr uint64_t kMostPictureBytes = image::DecodeOptions().max_file_bytes;

bool is_option(std::string_view column) {
  return column.size() == 1 && column[0] >= 'A' && column[0] <= 'Z';
}

class VlmevalDataset final : public Dataset {
 public:
  explicit VlmevalDataset(const DatasetOptions& options)
      : name_(options.name),
        images_(picture_root(options.images, options.path)),
        table_(options.path),
        forms_(PromptForms::read(options.prompts)),
        index_(table_.column("index")),
        question_(table_.column("question")),
        answer_(table_.column("answer")),
        image_(table_.find("image")),
        image_path_(table_.find("image_path")),
        hint_(table_.find("hint")),
        category_(table_.find("category")) {
    for (size_t i = 0; i < table_.columns().size(); ++i) {
      const std::string& column = table_.columns()[i];
      if (is_option(column)) {
        options_.push_back(i);
      } else if (i != index_ && i != question_ && i != answer_ && i != image_ && i != image_path_ && i != hint_ &&
                 i != category_) {
        extra_.push_back(i);
      }
    }
    std::sort(options_.begin(), options_.end(), [&](size_t a, size_t b) { return table_.columns()[a] < table_.columns()[b]; });
    if (!options.split.empty()) choose_split(options.split);
  }

  int64_t size() const override { return static_cast<int64_t>(chosen_ ? chosen_->size() : static_cast<size_t>(table_.size())); }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const int64_t number = chosen_ ? (*chosen_)[static_cast<size_t>(index)] : index;
    const TableRow row = table_.row(number);
    const std::string where = table_.where(number);
    Sample sample;
    sample.id = row[index_];
    sample.pictures = pictures_of(row, where);
    std::string question(row[question_]);
    if (hint_ && !row[*hint_].empty()) question = std::string(row[*hint_]) + "\n" + question;
    std::string options, letters;
    for (const size_t column : options_) {
      if (row[column].empty()) continue;
      if (!options.empty()) options += '\n';
      options += table_.columns()[column] + ". " + std::string(row[column]);
      letters += table_.columns()[column];
    }
    std::string answer(row[answer_]);
    require(!answer.empty(), "{}: column \"answer\" is empty; a table of questions alone can't be trained on", where);
    if (options.empty()) {
      sample.turns.push_back({Turn::Role::kUser, forms_.fill("short_answer", number, {{"question", question}})});
      if (is_python_list(answer)) {
        sample.references.push_back(read_python_list(answer, where + ", column \"answer\""));
        require(!sample.references[0].empty(), "{}: column \"answer\" is an empty list", where);
        answer = most_frequent(sample.references[0]);
      }
    } else {
      require(answer.size() == 1 && letters.find(answer) != std::string::npos,
              "{}: column \"answer\" is \"{}\", expected one of its options {}", where, answer.substr(0, 40), letters);
      sample.turns.push_back(
          {Turn::Role::kUser, forms_.fill("option_letter", number, {{"question", question}, {"options", options}})});
    }
    sample.turns.push_back({Turn::Role::kAssistant, std::move(answer)});
    if (category_ && !row[*category_].empty()) sample.question_types = {std::string(row[*category_])};
    for (const size_t column : extra_) {
      if (!row[column].empty()) sample.extra[table_.columns()[column]] = std::string(row[column]);
    }
    finish_sample(sample, where);
    return sample;
  }

 private:
  void choose_split(const std::string& split) {
    const size_t column = table_.column("split");
    chosen_.emplace();
    for (int64_t i = 0; i < table_.size(); ++i) {
      if (table_.cell(i, column) == split) chosen_->push_back(i);
    }
    require(!chosen_->empty(), "{}: no row has the split \"{}\"", table_.file().name(), split);
  }

  std::vector<Picture> pictures_of(const TableRow& row, const std::string& where) const {
    if (image_ && !row[*image_].empty()) {
      const std::string_view cell = row[*image_];
      if (cell.size() > kMostReference) return pictures_of_cell(cell, where);
      const int64_t carrier = row_of(std::string(cell), where);
      const TableRow carrying = table_.row(carrier);
      const std::string_view pictures = carrying[*image_];
      require(pictures.size() > kMostReference,
              "{}: column \"image\" says the picture stands in the row of index {}, but that row has none ({} characters)", where,
              cell, pictures.size());
      return pictures_of_cell(pictures, table_.where(carrier));
    }
    if (image_path_ && !row[*image_path_].empty()) {
      const std::string cell(row[*image_path_]);
      const std::string at = where + ", column \"image_path\"";
      std::vector<Picture> out;
      for (const std::string& path : is_python_list(cell) ? read_python_list(cell, at) : std::vector<std::string>{cell})
        out.emplace_back(below(images_, path, at));
      return out;
    }
    require(!image_ && !image_path_, "{}: the row has no picture: column \"{}\" is empty", where,
            image_ ? "image" : "image_path");
    return {};
  }

  static std::vector<Picture> pictures_of_cell(std::string_view cell, const std::string& where) {
    const std::string at = where + ", column \"image\"";
    std::vector<Picture> out;
    if (!cell.starts_with('[')) {
      out.emplace_back(decode_base64(cell, at, kMostPictureBytes), "", at);
      return out;
    }
    for (const std::string& one : read_python_list(cell, at)) {
      const std::string name = fmt::format("{}[{}]", at, out.size());
      out.emplace_back(decode_base64(one, name, kMostPictureBytes), "", name);
    }
    return out;
  }

  /// The row whose `index` is `name`. The places are looked up once, when the first row refers to another.
  int64_t row_of(const std::string& name, const std::string& where) const {
    std::call_once(indexed_, [&] {
      for (int64_t i = 0; i < table_.size(); ++i) row_of_index_.emplace(table_.cell(i, index_), i);
    });
    const auto found = row_of_index_.find(name);
    require(
        found != row_of_index_.end(),
        "{}: column \"image\" is \"{}\": at most {} characters are the index of the row that has the picture, and no row has it",
        where, name, kMostReference);
    return found->second;
  }

  std::string name_;
  std::filesystem::path images_;
  NamedTable table_;
  PromptForms forms_;
  size_t index_, question_, answer_;
  std::optional<size_t> image_, image_path_, hint_, category_;
  std::vector<size_t> options_, extra_;
  std::optional<std::vector<int64_t>> chosen_;
  mutable std::once_flag indexed_;
  mutable std::unordered_map<std::string, int64_t> row_of_index_;
};

class VlmevalWriter final : public SampleWriter {
 public:
  explicit VlmevalWriter(const WriterOptions& options) : file_(options.path) {
    file_.write("index\timage\tquestion\tanswer\tcategory\tsplit\n");
  }

  void write(const Sample& sample) override {
    require(!sample.pictures.empty(), "sample {}: no picture; vlmeval asks about one or more", sample.id);
    const std::vector<QuestionPair> pairs = question_pairs(sample, "vlmeval");
    const std::string pictures = cell_of(sample);
    const int64_t first = rows_;
    if (sample.id != std::to_string(first)) lose("id");
    if (!sample.regions.empty()) lose("regions");
    if (sample.turns.front().role == Turn::Role::kSystem) lose("system turn");
    std::string split;
    for (const auto& [key, value] : sample.extra.items()) {
      if (key == "split" && value.is_string()) {
        split = value.get<std::string>();
      } else {
        lose(key);
      }
    }
    if (std::any_of(pairs.begin(), pairs.end(), says_less)) lose("answer");
    std::string rows;
    for (const QuestionPair& pair : pairs) {
      const bool again = rows_ > first;
      rows += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", rows_, again ? std::to_string(first) : pictures, quoted_cell(pair.question),
                          quoted_cell(answer_cell(pair)), quoted_cell(pair.type), quoted_cell(split));
      ++rows_;
    }
    file_.write(rows);
  }

  void finish() override { file_.commit(); }

 private:
  /// An answer that looks like a list is written as a list of one.
  static std::string answer_cell(const QuestionPair& pair) {
    if (!pair.references.empty()) return write_python_list(pair.references);
    return is_python_list(pair.answer) ? write_python_list({pair.answer}) : pair.answer;
  }
  /// Whether the answer is not the one a reader picks among the references.
  static bool says_less(const QuestionPair& pair) {
    return !pair.references.empty() && most_frequent(pair.references) != pair.answer;
  }
  static std::string cell_of(const Sample& sample) {
    std::vector<std::string> texts;
    for (const Picture& picture : sample.pictures) {
      const auto bytes = picture.encoded();
      texts.push_back(encode_base64(*bytes));
      require(texts.back().size() > kMostReference, "{}: {} bytes are no picture", picture.name(), bytes->size());
    }
    const std::string cell = texts.size() == 1 ? texts[0] : write_python_list(texts);
    require(cell.size() <= kMostCellBytes, "sample {}: its pictures take {} bytes in base64, a cell may have {}", sample.id,
            cell.size(), kMostCellBytes);
    return cell;
  }

  AtomicFile file_;
  int64_t rows_ = 0;
};

}  // namespace

std::shared_ptr<const Dataset> open_vlmeval_tsv(const DatasetOptions& options) {
  return std::make_shared<VlmevalDataset>(options);
}

std::unique_ptr<SampleWriter> write_vlmeval_tsv(const WriterOptions& options) {
  return std::make_unique<VlmevalWriter>(options);
}

}  // namespace ocelli::data
