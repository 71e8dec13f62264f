#include "ocelli/data/text_only.h"

#include <initializer_list>
#include <set>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/record_file.h"

namespace ocelli::data {
namespace {

void ask(Sample& sample, std::string question, std::string answer) {
  sample.turns.push_back({Turn::Role::kUser, std::move(question)});
  sample.turns.push_back({Turn::Role::kAssistant, std::move(answer)});
}

void set_system(Sample& sample, std::string text) {
  if (!text.empty()) sample.turns.push_back({Turn::Role::kSystem, std::move(text)});
}

void read_alpaca(const JsonView& view, Sample& sample) {
  set_system(sample, view.string("system", ""));
  if (view.has("history")) {
    const Json& history = view.value()["history"];
    require(history.is_array(), "{}.history: expected a list of [question, answer]", view.path());
    for (const Json& pair : history) {
      require(pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string(),
              "{}.history: expected a list of [question, answer]", view.path());
      ask(sample, pair[0].get<std::string>(), pair[1].get<std::string>());
    }
  }
  const std::string input = view.string("input", "");
  ask(sample, view.string("instruction") + (input.empty() ? "" : "\n" + input), view.string("output"));
}

void read_turns_in_order(const JsonView& view, Sample& sample) {
  for (const std::string& text : view.strings("data"))
    sample.turns.push_back({sample.turns.size() % 2 == 0 ? Turn::Role::kUser : Turn::Role::kAssistant, text});
}

class TextDataset final : public Dataset {
 public:
  explicit TextDataset(const DatasetOptions& options)
      : options_(options), file_(options.path, options.name), forms_(PromptForms::read(options.prompts)) {}
  int64_t size() const override { return file_.size(); }
  const std::string& name() const override { return options_.name; }

  Sample get(int64_t index) const override {
    const std::string where = file_.where(index);
    const Json record = file_.object(index);
    const JsonView view(record, where);
    Sample sample;
    sample.id = id_of(record, std::to_string(index));
    if (view.has("messages") || view.has("conversations")) {
      read_conversation(
          record, where,
          [&](const std::string& named) -> Picture {
            fail("{}: it has a picture, \"{}\"; read the file as llava, sharegpt or messages", where, named.substr(0, 80));
          },
          sample);
      return sample;
    }
    std::set<std::string, std::less<>> used = {"id"};
    const auto use = [&](std::initializer_list<const char*> keys) { used.insert(keys.begin(), keys.end()); };
    if (view.has("instruction")) {
      read_alpaca(view, sample);
      use({"instruction", "input", "output", "system", "history"});
    } else if (view.has("question")) {
      set_system(sample, view.string("system_prompt", ""));
      ask(sample, view.string("question"), view.string("response"));
      use({"system_prompt", "question", "response"});
    } else if (view.has("data")) {
      read_turns_in_order(view, sample);
      use({"data"});
    } else {
      require(view.has("text"), "{}: expected one of messages, conversations, instruction, question, data, text", where);
      require(forms_.has("text"),
              "{}: a text without a question; give a prompts file with the key \"text\", the question in front of it: "
              "{{\"text\": \"\"}} trains on the text alone",
              where);
      ask(sample, forms_.fill("text", index, {}), view.string("text"));
      use({"text"});
    }
    for (const auto& [key, value] : record.items()) {
      if (!used.contains(key)) sample.extra[key] = value;
    }
    finish_sample(sample, where);
    return sample;
  }

 private:
  DatasetOptions options_;
  RecordFile file_;
  PromptForms forms_;
};

class TextWriter final : public SampleWriter {
 public:
  explicit TextWriter(const WriterOptions& options) : file_(options.path) {}

  void write(const Sample& sample) override {
    require(sample.pictures.empty(), "sample {}: {} pictures; text holds none", sample.id, sample.pictures.size());
    file_.write(
        conversation_record(sample, {}, RecordForm::kMessages).dump(-1, ' ', false, OrderedJson::error_handler_t::strict) + "\n");
  }
  void finish() override { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace

std::shared_ptr<const Dataset> open_text_only(const DatasetOptions& options) {
  return std::make_shared<TextDataset>(options);
}

std::unique_ptr<SampleWriter> write_text_only(const WriterOptions& options) {
  return std::make_unique<TextWriter>(options);
}

}  // namespace ocelli::data
