#include "ocelli/data/table_row.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/question_pairs.h"

namespace ocelli::data {
namespace {

/// Takes a column out of the row; null when it isn't there.
Json take(Json& row, const std::string& column) {
  const auto found = row.find(column);
  if (found == row.end()) return nullptr;
  Json value = std::move(*found);
  row.erase(found);
  return value;
}

std::string shown(const Json& value) {
  return value.is_binary() ? "bytes" : value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

/// A text, or a number as its text.
std::string text_of(const Json& value, const std::string& at) {
  require(value.is_string() || value.is_number() || value.is_boolean(), "{} is {}, expected a text", at, shown(value));
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool holds_bytes(const Json& value) {
  if (value.is_binary()) return true;
  return value.is_structured() && std::any_of(value.begin(), value.end(), holds_bytes);
}

Picture picture_of_bytes(const Json& value, const std::string& name, const std::string& at) {
  const auto& bytes = value.get_binary();
  return {std::string(bytes.begin(), bytes.end()), name, at};
}

void add_pictures(const Json& value, const std::string& at, const TableContext& context, std::vector<Picture>& pictures) {
  if (value.is_null()) return;
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      require(!value[i].is_array(), "{}[{}] is a list in a list", at, i);
      add_pictures(value[i], fmt::format("{}[{}]", at, i), context, pictures);
    }
  } else if (value.is_binary()) {
    pictures.push_back(picture_of_bytes(value, "", at));
  } else if (value.is_string()) {
    pictures.emplace_back(below(context.images, value.get<std::string>(), at));
  } else {
    require(value.is_object() && (value.contains("bytes") || value.contains("path")),
            "{} is {}, expected a picture: a struct of bytes and path, bytes, or a path", at, shown(value));
    static const Json kNothing;
    const auto bytes_at = value.find("bytes"), path_at = value.find("path");
    const Json& bytes = bytes_at == value.end() ? kNothing : *bytes_at;
    const Json& path = path_at == value.end() ? kNothing : *path_at;
    require(path.is_null() || path.is_string(), "{}.path is {}, expected a text", at, shown(path));
    const std::string name = path.is_string() ? path.get<std::string>() : "";
    if (bytes.is_binary()) {
      pictures.push_back(picture_of_bytes(bytes, name, at));
      return;
    }
    require(bytes.is_null(), "{}.bytes is {}, expected bytes", at, shown(bytes));
    require(!name.empty(), "{}: the picture has neither bytes nor path", at);
    pictures.emplace_back(below(context.images, name, at));
  }
}

/// The number of `image_12`; none for other columns.
std::optional<int> picture_number(const std::string& column) {
  if (!column.starts_with("image_")) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(column.data() + 6, column.data() + column.size(), number);
  if (error != std::errc() || end != column.data() + column.size()) return std::nullopt;
  return number;
}

std::vector<Picture> take_pictures(Json& row, const TableContext& context) {
  std::vector<Picture> pictures;
  for (const char* column : {"image", "images"}) {
    const Json value = take(row, column);
    add_pictures(value, context.where + ", " + column, context, pictures);
  }
  std::map<int, std::string> numbered;
  for (const auto& [column, value] : row.items()) {
    if (const auto number = picture_number(column)) numbered.emplace(*number, column);
  }
  for (const auto& [number, column] : numbered) add_pictures(take(row, column), context.where + ", " + column, context, pictures);
  return pictures;
}

/// The turns, as a list; their JSON text is parsed.
Json turns_of(Json value, const std::string& at) {
  if (value.is_string()) value = parse_json(value.get<std::string>(), at);
  require(value.is_array(), "{} is {}, expected a list of turns", at, shown(value));
  // Structs of a table have all their fields in every row: those that are null say nothing.
  for (Json& turn : value) {
    if (!turn.is_object()) continue;
    for (auto field = turn.begin(); field != turn.end();) field = field->is_null() ? turn.erase(field) : std::next(field);
  }
  return value;
}

void add_pair(std::string question, std::string answer, Sample& sample) {
  sample.turns.push_back({Turn::Role::kUser, std::move(question)});
  sample.turns.push_back({Turn::Role::kAssistant, std::move(answer)});
}

void read_texts(const Json& texts, const TableContext& context, Sample& sample) {
  require(texts.is_array(), "{}, texts is {}, expected a list of {{user, assistant}}", context.where, shown(texts));
  OrderedJson sources = OrderedJson::array();
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string at = fmt::format("{}, texts[{}]", context.where, i);
    require(texts[i].is_object(), "{} is {}, expected {{user, assistant}}", at, shown(texts[i]));
    const JsonView pair(texts[i], at);
    add_pair(pair.string("user"), pair.string("assistant"), sample);
    if (pair.has("source")) sources.push_back(pair.string("source"));
  }
  if (!sources.empty()) sample.extra["sources"] = std::move(sources);
}

/// Texts, or structs with the text as their `answer`.
std::vector<std::string> answers_of(const Json& value, const std::string& at) {
  std::vector<std::string> answers;
  if (value.is_null()) return answers;
  if (!value.is_array()) return {text_of(value, at)};
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string one = fmt::format("{}[{}]", at, i);
    if (value[i].is_null()) continue;
    const bool wrapped = value[i].is_object() && value[i].contains("answer");
    answers.push_back(text_of(wrapped ? value[i]["answer"] : value[i], one));
  }
  return answers;
}

void read_question(Json& row, const TableContext& context, Sample& sample) {
  const std::string question = text_of(take(row, "question"), context.where + ", question");
  const Json single = take(row, "answer"), choice = take(row, "multiple_choice_answer");
  std::vector<std::string> answers = answers_of(take(row, "answers"), context.where + ", answers");
  const std::vector<std::string> listed = answers_of(single, context.where + ", answer");
  std::string answer;
  if (!listed.empty()) {
    answer = listed.front();
    if (answers.empty() && single.is_array()) answers = listed;
  } else if (!choice.is_null()) {
    answer = text_of(choice, context.where + ", multiple_choice_answer");
  } else {
    require(!answers.empty(), "{}: the question has no answer (columns answer, answers)", context.where);
    answer = most_frequent(answers);
  }
  add_pair(context.prompts.fill("short_answer", context.index, {{"question", question}}), answer, sample);
  if (!answers.empty()) sample.references = {std::move(answers)};
}

void read_captions(const Json& value, const std::string& column, const TableContext& context, Sample& sample) {
  std::vector<std::string> captions = answers_of(value, context.where + ", " + column);
  require(!captions.empty(), "{}, {}: the list is empty", context.where, column);
  add_pair(context.prompts.fill("caption", context.index, {}), captions.front(), sample);
  if (captions.size() > 1) sample.references = {std::move(captions)};
}

std::string columns_of(const Json& row) {
  std::string names;
  for (const auto& [name, value] : row.items()) names += (names.empty() ? "" : ", ") + name;
  return names.substr(0, 400);
}

}  // namespace

void read_table_row(Json row, const TableContext& context, Sample& sample) {
  const std::string columns = columns_of(row);
  Json id = take(row, "id");
  if (id.is_null()) id = row.value("question_id", Json());
  sample.id = id.is_null() ? std::to_string(context.index) : text_of(id, context.where + ", id");
  std::vector<Picture> pictures = take_pictures(row, context);
  for (auto column = row.begin(); column != row.end();) {
    column = column->is_null() || holds_bytes(*column) ? row.erase(column) : std::next(column);
  }
  if (row.contains("extra") && row["extra"].is_string() && row["extra"].get_ref<const std::string&>().starts_with("{")) {
    const Json extra = parse_json(take(row, "extra").get<std::string>(), context.where + ", extra");
    for (const auto& [name, value] : extra.items()) row[name] = value;
  }

  for (const char* column : {"conversations", "messages", "conversation"}) {
    if (!row.contains(column)) continue;
    Json turns = turns_of(take(row, column), context.where + ", " + column);
    row["conversations"] = std::move(turns);
    std::vector<std::string> names;
    for (size_t i = 0; i < pictures.size(); ++i) names.push_back(std::to_string(i));
    if (!names.empty()) row["images"] = names;
    size_t next = 0;
    read_conversation(
        row, context.where,
        [&](const std::string& named) {
          return next < pictures.size() ? pictures[next++] : Picture(below(context.images, named, context.where));
        },
        sample);
    return;
  }
  sample.pictures = std::move(pictures);
  if (row.contains("texts")) {
    read_texts(take(row, "texts"), context, sample);
  } else if (row.contains("question")) {
    read_question(row, context, sample);
  } else {
    const char* column = row.contains("caption") ? "caption" : "captions";
    require(row.contains(column),
            "{}: no text in its columns ({}); known are conversations, messages, texts, question with answer, caption",
            context.where, columns);
    read_captions(take(row, column), column, context, sample);
  }
  for (const auto& [name, value] : row.items()) sample.extra[name] = OrderedJson::parse(value.dump());
  finish_sample(sample, context.where);
}

}  // namespace ocelli::data
