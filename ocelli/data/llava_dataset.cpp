#include "ocelli/data/llava_dataset.h"

#include <algorithm>

#include "ocelli/base/json.h"

namespace ocelli::data {
namespace {

constexpr std::string_view kMark = "<image>";
constexpr size_t kMostPictures = 64;
/// Bytes of a file that is read rather than mapped: users edit theirs, and a map of a file cut short is a signal.
constexpr uint64_t kMostRead = 256 << 20;

size_t count_marks(std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + kMark.size())) ++count;
  return count;
}

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::string id_of(const Json& record, int64_t index) {
  if (!record.contains("id")) return std::to_string(index);
  const Json& id = record["id"];
  return id.is_string() ? id.get<std::string>() : id.dump();
}

}  // namespace

std::vector<std::string_view> split_records(std::string_view text, const std::string& origin) {
  std::vector<std::string_view> records;
  size_t at = 0;
  while (at < text.size() && is_space(text[at])) ++at;
  if (at == text.size()) fail("{}: the file is empty", origin);
  if (text[at] != '[') {
    while (at < text.size()) {
      size_t end = text.find('\n', at);
      if (end == std::string_view::npos) end = text.size();
      size_t first = at;
      while (first < end && is_space(text[first])) ++first;
      if (first < end) records.push_back(text.substr(first, end - first));
      at = end + 1;
    }
    return records;
  }
  // Only brackets and strings matter to find where records end; each is parsed in full when it is asked for.
  int depth = 0;
  bool in_string = false;
  size_t begin = 0;
  bool closed = false;
  for (; at < text.size() && !closed; ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
      if (depth == 1) fail("{}: byte {}: a record must be an object", origin, at);
    } else if (c == '[' || c == '{') {
      if (depth == 1) begin = at;
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
      if (depth == 1) records.push_back(text.substr(begin, at + 1 - begin));
      if (depth == 0) closed = true;
    } else if (depth == 1 && c != ',' && !is_space(c)) {
      fail("{}: byte {}: a record must be an object", origin, at);
    }
  }
  while (closed && at < text.size() && is_space(text[at])) ++at;
  require(!closed || at == text.size(), "{}: byte {}: the JSON array is closed, but something follows", origin, at);
  require(closed, "{}: the JSON array is not closed; the file is truncated", origin);
  return records;
}

LlavaDataset::LlavaDataset(const DatasetOptions& options) : options_(options) {
  if (options_.images.empty()) options_.images = options_.path.parent_path();
  std::error_code unknown;
  std::string_view text;
  if (std::filesystem::file_size(options.path, unknown) > kMostRead && !unknown) {
    map_ = MappedFile::open(options.path);
    text = {reinterpret_cast<const char*>(map_->bytes().data()), map_->bytes().size()};
  } else {
    text_ = std::make_shared<const std::string>(read_file(options.path, kMostRead));
    text = *text_;
  }
  records_ = split_records(text, options.path.string());
  require(!records_.empty(), "data {}: {} holds no record", options_.name, options_.path.string());
}

Sample LlavaDataset::get(int64_t index) const {
  const Json record =
      parse_json(records_[static_cast<size_t>(index)], options_.path.string() + ", record " + std::to_string(index));
  const std::string where = options_.path.string() + ", record " + id_of(record, index);
  const JsonView view(record, where);
  require(record.is_object(), "{}: expected an object", where);
  Sample sample;
  sample.id = id_of(record, index);
  sample.independent = view.boolean("independent", false);
  if (view.has("image")) {
    std::vector<std::string> paths;
    if (record["image"].is_array()) {
      paths = view.strings("image");
    } else {
      paths.push_back(view.string("image"));
    }
    require(paths.size() <= kMostPictures, "{}: {} pictures, at most {} are allowed", where, paths.size(), kMostPictures);
    for (const std::string& path : paths) {
      require(!path.empty() && path.find('\0') == std::string::npos, "{}.image: the path is empty", where);
      const std::filesystem::path full =
          std::filesystem::path(path).is_absolute() ? std::filesystem::path(path) : options_.images / path;
      sample.pictures.push_back(full);
    }
  }
  const char* key = view.has("conversations") ? "conversations" : "messages";
  require(view.has(key) && record[key].is_array(), "{}.conversations: expected an array of turns", where);
  size_t marks = 0;
  Turn::Role expected = Turn::Role::kUser;
  for (const Json& item : record[key]) {
    const std::string at = where + "." + key + "[" + std::to_string(sample.turns.size()) + "]";
    require(item.is_object(), "{}: expected an object", at);
    const JsonView turn(item, at);
    const std::string from = turn.has("from") ? turn.string("from") : turn.string("role");
    Turn out;
    out.text = turn.has("value") ? turn.string("value") : turn.string("content");
    if (from == "system") {
      require(sample.turns.empty(), "{}: a system turn must come first", at);
      out.role = Turn::Role::kSystem;
    } else {
      const bool user = from == "human" || from == "user";
      require(user || from == "gpt" || from == "assistant", "{}.from is \"{}\"; known are human, gpt, system", at, from);
      out.role = user ? Turn::Role::kUser : Turn::Role::kAssistant;
      require(out.role == expected, "{}: two turns in a row by \"{}\"; human and gpt must alternate", at, from);
      expected = user ? Turn::Role::kAssistant : Turn::Role::kUser;
      if (user) {
        marks += count_marks(out.text);
      } else {
        require(out.text.find_first_not_of(" \t\r\n") != std::string::npos, "{}.value: the answer is empty", at);
      }
    }
    sample.turns.push_back(std::move(out));
  }
  require(!sample.turns.empty() && sample.turns.back().role == Turn::Role::kAssistant, "{}.{}: it must end with an answer", where,
          key);
  if (marks == 0 && !sample.pictures.empty()) {
    std::string front;
    for (size_t i = 0; i < sample.pictures.size(); ++i) front += std::string(kMark) + "\n";
    for (Turn& turn : sample.turns) {
      if (turn.role != Turn::Role::kUser) continue;
      turn.text = front + turn.text;
      break;
    }
  } else {
    require(marks == sample.pictures.size(), "{}: {} <image> marks for {} pictures", where, marks, sample.pictures.size());
  }
  const auto answers = static_cast<size_t>(std::count_if(sample.turns.begin(), sample.turns.end(),
                                                         [](const Turn& turn) { return turn.role == Turn::Role::kAssistant; }));
  if (view.has("question_types")) {
    sample.question_types = view.strings("question_types");
    require(sample.question_types.size() == answers, "{}.question_types: {} types for {} answers", where,
            sample.question_types.size(), answers);
  }
  if (view.has("answers")) {
    const Json& lists = record["answers"];
    require(lists.is_array() && lists.size() == answers, "{}.answers: expected a list of references for each of {} answers",
            where, answers);
    for (const Json& list : lists) {
      require(list.is_array() && !list.empty(), "{}.answers: expected a list of strings per question", where);
      std::vector<std::string> texts;
      for (const Json& text : list) {
        require(text.is_string(), "{}.answers holds {}, expected strings", where, text.dump());
        texts.push_back(text.get<std::string>());
      }
      sample.references.push_back(std::move(texts));
    }
  }
  return sample;
}

std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options) {
  require(options.format == "llava", "data {}: format \"{}\" is not known; known is llava", options.name, options.format);
  return std::make_shared<LlavaDataset>(options);
}

}  // namespace ocelli::data
