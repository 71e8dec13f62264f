#include "ocelli/data/vqa_v2.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "ocelli/base/error.h"
#include "ocelli/base/json.h"
#include "ocelli/data/coco_name.h"
#include "ocelli/data/file_text.h"
#include "ocelli/data/json_scan.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/question_pairs.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWrittenSplit = "data";

fs::path annotations_of(const DatasetOptions& options) {
  if (!options.annotations.empty()) return options.annotations;
  const fs::path beside = vqa_annotations_beside(options.path);
  require(is_there(beside),
          "data {}: {} holds questions alone; give the file with their answers as `annotations` (looked for {})", options.name,
          options.path.string(), beside.string());
  return beside;
}

class VqaDataset final : public Dataset {
 public:
  explicit VqaDataset(const DatasetOptions& options)
      : options_(options),
        forms_(PromptForms::read(options.prompts)),
        question_file_(options.path),
        answer_file_(annotations_of(options)),
        questions_(find_records(question_file_.text(), "questions", question_file_.name())),
        answers_(find_records(answer_file_.text(), "annotations", answer_file_.name())) {
    options_.images = bare_picture_root(options.images, options.path);
    if (options_.split.empty()) {
      const auto split = find_value(question_file_.text(), "data_subtype");
      require(split && split->size() > 2 && split->starts_with("\""),
              "{}: it has no \"data_subtype\", which pictures' names hold; give `split`, \"train2014\" for example",
              question_file_.name());
      options_.split = split->substr(1, split->size() - 2);
    }
    require(options_.split.find('/') == std::string::npos, "data {}: split \"{}\" is no part of a file's name", options_.name,
            options_.split);
    require(!questions_.empty(), "{}: no question", question_file_.name());
    index_answers();
    group_by_picture();
  }

  int64_t size() const override { return static_cast<int64_t>(pictures_.size()); }
  const std::string& name() const override { return options_.name; }

  Sample get(int64_t index) const override {
    const PictureQuestions& picture = pictures_[static_cast<size_t>(index)];
    Sample sample;
    sample.id = std::to_string(picture.image_id);
    sample.independent = true;
    sample.pictures.emplace_back(coco_picture(options_.images, options_.split, picture.image_id));
    for (const uint32_t number : picture.questions) add_question(number, sample);
    const auto unsaid = [](const std::string& type) { return type.empty(); };
    if (std::all_of(sample.question_types.begin(), sample.question_types.end(), unsaid)) sample.question_types.clear();
    finish_sample(sample, fmt::format("{}, image_id {}", question_file_.name(), picture.image_id));
    return sample;
  }

 private:
  struct PictureQuestions {
    int64_t image_id = 0;
    std::vector<uint32_t> questions;
  };

  std::string question_name(size_t number) const { return fmt::format("{}, question {}", question_file_.name(), number); }
  std::string answer_name(size_t number) const { return fmt::format("{}, annotation {}", answer_file_.name(), number); }

  void index_answers() {
    answer_of_.reserve(answers_.size());
    for (size_t i = 0; i < answers_.size(); ++i) {
      const int64_t id = find_integer(answers_[i], "question_id", answer_name(i));
      require(answer_of_.emplace(id, static_cast<uint32_t>(i)).second, "{}: question_id {} is answered twice", answer_name(i),
              id);
    }
  }

  void group_by_picture() {
    std::unordered_map<int64_t, size_t> places;
    for (size_t i = 0; i < questions_.size(); ++i) {
      const int64_t image_id = find_integer(questions_[i], "image_id", question_name(i));
      require(image_id >= 0, "{}: image_id is {}, expected at least 0", question_name(i), image_id);
      const auto [place, is_new] = places.emplace(image_id, pictures_.size());
      if (is_new) pictures_.push_back({image_id, {}});
      pictures_[place->second].questions.push_back(static_cast<uint32_t>(i));
    }
  }

  void add_question(uint32_t number, Sample& sample) const {
    const std::string where = question_name(number);
    const Json question = parse_json(questions_[number], where);
    const JsonView asked(question, where);
    const int64_t id = asked.integer("question_id");
    const auto found = answer_of_.find(id);
    require(found != answer_of_.end(), "{}: question_id {} has no annotation in {}", where, id, answer_file_.name());
    const std::string at = answer_name(found->second);
    const Json annotation = parse_json(answers_[found->second], at);
    const JsonView answered(annotation, at);
    require(annotation.contains("answers") && annotation["answers"].is_array() && !annotation["answers"].empty(),
            "{}: answers: expected a list of {{\"answer\": …}}", at);
    std::vector<std::string> references;
    for (const Json& one : annotation["answers"]) references.push_back(JsonView(one, at + ": answers").string("answer"));
    sample.turns.push_back({Turn::Role::kUser, forms_.fill("short_answer", number, {{"question", asked.string("question")}})});
    sample.turns.push_back({Turn::Role::kAssistant, answered.string("multiple_choice_answer", most_frequent(references))});
    sample.question_types.push_back(answered.string("answer_type", ""));
    sample.references.push_back(std::move(references));
  }

  DatasetOptions options_;
  PromptForms forms_;
  FileText question_file_, answer_file_;
  std::vector<std::string_view> questions_, answers_;
  std::unordered_map<int64_t, uint32_t> answer_of_;
  std::vector<PictureQuestions> pictures_;
};

class VqaWriter final : public SampleWriter {
 public:
  explicit VqaWriter(const WriterOptions& options)
      : images_(options.images.empty() ? options.path.parent_path() / "images" : options.images),
        questions_(options.path),
        answers_(vqa_annotations_beside(options.path)) {
    questions_.write(fmt::format("{{\"data_subtype\": \"{}\", \"questions\": [", kWrittenSplit));
    answers_.write(fmt::format("{{\"data_subtype\": \"{}\", \"annotations\": [", kWrittenSplit));
  }

  void write(const Sample& sample) override {
    require(sample.pictures.size() == 1, "sample {}: {} pictures; vqa asks about one", sample.id, sample.pictures.size());
    const std::vector<QuestionPair> pairs = question_pairs(sample, "vqa");
    const int64_t image_id = id_of(sample);
    make_directories(images_);
    write_file_atomic(images_ / fmt::format("COCO_{}_{:012}.jpg", kWrittenSplit, image_id), *sample.pictures[0].encoded());
    for (const QuestionPair& pair : pairs) {
      ++count_;
      put(questions_, {{"image_id", image_id}, {"question", pair.question}, {"question_id", count_}});
      OrderedJson answers = OrderedJson::array();
      for (const std::string& text : pair.references.empty() ? std::vector<std::string>{pair.answer} : pair.references)
        answers.push_back({{"answer", text}, {"answer_confidence", "yes"}, {"answer_id", answers.size() + 1}});
      put(answers_, {{"question_id", count_},
                     {"image_id", image_id},
                     {"answer_type", pair.type},
                     {"multiple_choice_answer", pair.answer},
                     {"answers", std::move(answers)}});
    }
    if (std::to_string(image_id) != sample.id) lose("id");
    if (!sample.regions.empty()) lose("regions");
    if (sample.turns.front().role == Turn::Role::kSystem) lose("system turn");
    for (const auto& [key, value] : sample.extra.items()) lose(key);
  }

  void finish() override {
    questions_.write("\n]}\n");
    answers_.write("\n]}\n");
    answers_.commit();
    questions_.commit();
  }

 private:
  /// The sample's own number when it is one nobody has, else the next free.
  int64_t id_of(const Sample& sample) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(sample.id.data(), sample.id.data() + sample.id.size(), id);
    const bool whole = error == std::errc() && end == sample.id.data() + sample.id.size() && id >= 0;
    if (!whole || used_.contains(id)) {
      while (used_.contains(next_)) ++next_;
      id = next_;
    }
    used_.insert(id);
    return id;
  }

  void put(AtomicFile& file, const OrderedJson& record) {
    file.write(count_ == 1 ? "\n" : ",\n");
    file.write(record.dump(-1, ' ', false, OrderedJson::error_handler_t::strict));
  }

  fs::path images_;
  AtomicFile questions_, answers_;
  std::unordered_set<int64_t> used_;
  int64_t next_ = 0;
  int64_t count_ = 0;  ///< questions
};

}  // namespace

fs::path vqa_annotations_beside(const fs::path& questions) {
  constexpr std::string_view kQuestions = "questions";
  std::string name = questions.stem().string();
  const size_t at = name.rfind(kQuestions);
  if (at == std::string::npos) {
    name += "_annotations";
  } else {
    name.replace(at, kQuestions.size(), "annotations");
  }
  return questions.parent_path() / (name + questions.extension().string());
}

std::shared_ptr<const Dataset> open_vqa_v2(const DatasetOptions& options) {
  return std::make_shared<VqaDataset>(options);
}

std::unique_ptr<SampleWriter> write_vqa_v2(const WriterOptions& options) {
  return std::make_unique<VqaWriter>(options);
}

}  // namespace ocelli::data
