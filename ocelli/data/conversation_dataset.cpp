#include "ocelli/data/conversation_dataset.h"

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/picture_files.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/record_file.h"

namespace ocelli::data {
namespace {

class ConversationDataset final : public Dataset {
 public:
  explicit ConversationDataset(const DatasetOptions& options) : options_(options), file_(options.path, options.name) {
    options_.images = picture_root(options.images, options.path);
  }
  int64_t size() const override { return file_.size(); }
  const std::string& name() const override { return options_.name; }

  Sample get(int64_t index) const override {
    const Json record = file_.object(index);
    Sample sample;
    sample.id = id_of(record, std::to_string(index));
    const std::string where = options_.path.string() + ", record " + sample.id;
    read_conversation(
        record, where, [&](const std::string& named) { return Picture(below(options_.images, named, where + ".image")); },
        sample);
    return sample;
  }

 private:
  DatasetOptions options_;
  RecordFile file_;
};

class ConversationWriter final : public SampleWriter {
 public:
  ConversationWriter(const WriterOptions& options, RecordForm form)
      : form_(form),
        array_(options.path.extension() == ".json"),
        file_(options.path),
        folder_(options.path.parent_path()),
        pictures_(options.images.empty() ? folder_ / "images" : options.images) {
    prefix_ = options.images.empty() ? "images/" : "";
  }

  void write(const Sample& sample) override {
    std::vector<std::string> names;
    for (const Picture& picture : sample.pictures) {
      names.push_back(prefix_ + pictures_.put(picture, fmt::format("{}-{}", sample.id, names.size())));
    }
    const std::string text = conversation_record(sample, names, form_).dump(-1, ' ', false, OrderedJson::error_handler_t::strict);
    if (array_) file_.write(count_ == 0 ? "[\n" : ",\n");
    file_.write(text);
    if (!array_) file_.write("\n");
    ++count_;
  }

  void finish() override {
    if (array_) file_.write(count_ == 0 ? "[]\n" : "\n]\n");
    file_.commit();
  }

 private:
  RecordForm form_;
  bool array_;
  AtomicFile file_;
  std::filesystem::path folder_;
  PictureFiles pictures_;
  std::string prefix_;  ///< from the file's folder to the pictures', when that is ours to choose
  int64_t count_ = 0;
};

}  // namespace

std::shared_ptr<const Dataset> open_conversations(const DatasetOptions& options) {
  return std::make_shared<ConversationDataset>(options);
}

std::unique_ptr<SampleWriter> write_llava(const WriterOptions& options) {
  return std::make_unique<ConversationWriter>(options, RecordForm::kLlava);
}

std::unique_ptr<SampleWriter> write_sharegpt(const WriterOptions& options) {
  return std::make_unique<ConversationWriter>(options, RecordForm::kShareGpt);
}

std::unique_ptr<SampleWriter> write_messages(const WriterOptions& options) {
  return std::make_unique<ConversationWriter>(options, RecordForm::kMessages);
}

}  // namespace ocelli::data
