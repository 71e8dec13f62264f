#include "ocelli/data/conversation_record.h"

#include <algorithm>
#include <array>
#include <set>

#include "ocelli/base/base64.h"
#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

constexpr uint64_t kMostInlineBytes = image::DecodeOptions().max_file_bytes;

/// Keys with a place in Sample. All others go to Sample::extra.
const std::set<std::string, std::less<>> kKnownKeys = {"id",     "image",       "images",         "conversations", "messages",
                                                       "system", "independent", "question_types", "answers",       "regions"};

/// A picture given by URL: inline bytes, or a local file.
Picture picture_of_url(const std::string& url, const std::string& where, const PictureAt& picture_at) {
  if (url.starts_with("data:")) {
    const size_t comma = url.find(";base64,");
    require(comma != std::string::npos, "{}: a data: URL without \";base64,\"", where);
    return {decode_base64(std::string_view(url).substr(comma + 8), where, kMostInlineBytes), "", where};
  }
  require(!url.starts_with("http://") && !url.starts_with("https://"),
          "{}: {} is on the network; ocelli reads local files: download it and give its path", where, url.substr(0, 80));
  return picture_at(url.starts_with("file://") ? url.substr(7) : url);
}

/// Pictures by name, and the marks that stand for them in turns ("<image>", or MiniCPM-V's "<image_00>").
struct NamedPictures {
  std::vector<Picture> pictures;
  std::vector<std::string> marks;  ///< of a table of marks; else empty
};

NamedPictures read_pictures(const Json& record, const JsonView& view, const std::string& where, const PictureAt& picture_at) {
  NamedPictures out;
  const bool plural = view.has("images");
  require(!plural || !view.has("image"), "{}: it has both \"image\" and \"images\"; leave one out", where);
  const char* key = plural ? "images" : "image";
  if (!view.has(key)) return out;
  const Json& value = record[key];
  const auto add = [&](const Json& one) {
    const std::string at = fmt::format("{}.{}[{}]", where, key, out.pictures.size());
    if (one.is_object()) {  // {"url"} of OpenAI's, {"path"} of Hugging Face's
      const JsonView table(one, at);
      out.pictures.push_back(picture_of_url(table.string(table.has("url") ? "url" : "path"), at, picture_at));
      return;
    }
    require(one.is_string(), "{} is {}, expected a path", at, one.dump().substr(0, 80));
    out.pictures.push_back(picture_of_url(one.get<std::string>(), at, picture_at));
  };
  if (value.is_array()) {
    for (const Json& one : value) add(one);
  } else if (value.is_object() && !plural) {
    for (const auto& [mark, path] : value.items()) {
      out.marks.push_back(mark);
      add(path);
    }
  } else {
    require(!plural, "{}.images is {}, expected a list of paths; write [\"…\"], or call the key \"image\"", where,
            value.dump().substr(0, 80));
    add(value);
  }
  return out;
}

/// A message's text; pictures given as parts get their marks and are put behind `pictures`.
std::string read_content(const Json& content, const std::string& at, const PictureAt& picture_at, std::vector<Picture>& inlined) {
  if (content.is_string()) return content.get<std::string>();
  require(content.is_array(), "{}.content is {}, expected a text or a list of parts", at, content.dump().substr(0, 80));
  std::string text;
  for (const Json& part : content) {
    require(part.is_object(), "{}.content: {} is no part", at, part.dump().substr(0, 80));
    const JsonView view(part, at + ".content");
    const std::string type = view.string("type");
    if (type == "text") {
      text += view.string("text");
      continue;
    }
    require(type == "image" || type == "image_url", "{}.content: a part of type \"{}\"; known are text, image, image_url", at,
            type);
    text += std::string(kPictureMark) + "\n";
    if (type == "image_url") {
      require(part.contains("image_url"), "{}.content: a part of type \"image_url\" without its \"image_url\"", at);
      const Json& url = part["image_url"];
      inlined.push_back(picture_of_url(url.is_string() ? url.get<std::string>() : JsonView(url, at + ".image_url").string("url"),
                                       at + ".image_url", picture_at));
    } else if (view.has("image")) {
      inlined.push_back(picture_of_url(view.string("image"), at + ".image", picture_at));
    }  // {"type": "image"} alone stands for the next of `images`
  }
  return text;
}

Turn::Role role_of(const std::string& from, const std::string& at) {
  if (from == "system") return Turn::Role::kSystem;
  if (from == "human" || from == "user") return Turn::Role::kUser;
  require(from == "gpt" || from == "assistant", "{}: a turn of \"{}\"; known are human, gpt, system (or user, assistant)", at,
          from);
  return Turn::Role::kAssistant;
}

/// Writes `<image>` for the marks of a table, and puts the pictures into the order of their marks.
void unify_marks(NamedPictures& named, std::vector<Turn>& turns) {
  std::vector<Picture> ordered;
  std::vector<bool> used(named.marks.size(), false);
  for (Turn& turn : turns) {
    std::string text;
    for (size_t at = 0; at < turn.text.size();) {
      size_t found = named.marks.size();
      for (size_t m = 0; m < named.marks.size() && found == named.marks.size(); ++m) {
        if (!named.marks[m].empty() && turn.text.compare(at, named.marks[m].size(), named.marks[m]) == 0) found = m;
      }
      if (found == named.marks.size()) {
        text += turn.text[at++];
        continue;
      }
      text += kPictureMark;
      ordered.push_back(named.pictures[found]);
      used[found] = true;
      at += named.marks[found].size();
    }
    turn.text = std::move(text);
  }
  if (ordered.empty()) return;  // no marks at all: all pictures go in front, in the table's order
  for (size_t m = 0; m < used.size(); ++m) {
    if (!used[m]) ordered.push_back(named.pictures[m]);
  }
  named.pictures = std::move(ordered);
}

void read_answers(const Json& lists, size_t answers, const std::string& where, Sample& sample) {
  require(lists.is_array() && lists.size() == answers, "{}.answers: expected a list of references for each of {} answers", where,
          answers);
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

void read_regions(const Json& list, const std::string& where, Sample& sample) {
  require(list.is_array(), "{}.regions: expected a list", where);
  for (const Json& one : list) {
    const std::string at = fmt::format("{}.regions[{}]", where, sample.regions.size());
    require(one.is_object(), "{}: expected an object", at);
    const JsonView view(one, at);
    Region region;
    region.picture = view.integer("picture", 0);
    require(region.picture >= 0 && region.picture < static_cast<int64_t>(sample.pictures.size()),
            "{}.picture is {}, of {} pictures", at, region.picture, sample.pictures.size());
    region.text = view.string("text", "");
    const std::vector<double> box = view.numbers("box");
    require(box.size() == 4, "{}.box: {} numbers, expected x0, y0, x1, y1", at, box.size());
    std::copy(box.begin(), box.end(), region.box.begin());
    require(box[0] <= box[2] && box[1] <= box[3], "{}.box: x0, y0, x1, y1 = {}, {}, {}, {} are out of order", at, box[0], box[1],
            box[2], box[3]);
    if (view.has("mask")) region.mask = one["mask"];
    sample.regions.push_back(std::move(region));
  }
}

OrderedJson regions_json(const std::vector<Region>& regions) {
  OrderedJson list = OrderedJson::array();
  for (const Region& region : regions) {
    OrderedJson one = {{"picture", region.picture}, {"text", region.text}, {"box", region.box}};
    if (!region.mask.is_null()) one["mask"] = OrderedJson(region.mask);
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string id_of(const Json& record, const std::string& otherwise) {
  if (!record.is_object() || !record.contains("id") || record["id"].is_null()) return otherwise;
  const Json& id = record["id"];
  return id.is_string() ? id.get<std::string>() : id.dump();
}

void read_conversation(const Json& record, const std::string& where, const PictureAt& picture_at, Sample& sample) {
  require(record.is_object(), "{}: expected an object", where);
  const JsonView view(record, where);
  sample.independent = view.boolean("independent", false);
  NamedPictures named = read_pictures(record, view, where, picture_at);
  if (view.has("system")) sample.turns.push_back({Turn::Role::kSystem, view.string("system")});
  const char* key = view.has("conversations") ? "conversations" : "messages";
  require(view.has(key) && record[key].is_array(), "{}.conversations: expected an array of turns", where);
  std::vector<Picture> inlined;
  size_t number = 0;
  for (const Json& item : record[key]) {
    const std::string at = fmt::format("{}.{}[{}]", where, key, number++);
    require(item.is_object(), "{}: expected an object", at);
    const JsonView turn(item, at);
    Turn out;
    out.role = role_of(turn.has("from") ? turn.string("from") : turn.string("role"), at);
    if (out.role == Turn::Role::kAssistant && number == 1) continue;
    if (turn.has("value")) {
      out.text = turn.string("value");
    } else {
      require(item.contains("content"), "{}: it has neither \"value\" nor \"content\"", at);
      out.text = read_content(item["content"], at, picture_at, inlined);
    }
    sample.turns.push_back(std::move(out));
  }
  require(inlined.empty() || named.pictures.empty(), "{}: pictures both in its messages and in a list beside them", where);
  if (!named.marks.empty()) unify_marks(named, sample.turns);
  sample.pictures = inlined.empty() ? std::move(named.pictures) : std::move(inlined);
  finish_sample(sample, where);

  const auto answers = static_cast<size_t>(std::count_if(sample.turns.begin(), sample.turns.end(),
                                                         [](const Turn& turn) { return turn.role == Turn::Role::kAssistant; }));
  if (view.has("question_types")) {
    sample.question_types = view.strings("question_types");
    require(sample.question_types.size() == answers, "{}.question_types: {} types for {} answers", where,
            sample.question_types.size(), answers);
  }
  if (view.has("answers")) read_answers(record["answers"], answers, where, sample);
  if (view.has("regions")) read_regions(record["regions"], where, sample);
  for (const auto& [name, value] : record.items()) {
    if (!kKnownKeys.contains(name)) sample.extra[name] = OrderedJson::parse(value.dump());
  }
}

OrderedJson conversation_record(const Sample& sample, const std::vector<std::string>& pictures, RecordForm form) {
  OrderedJson record = {{"id", sample.id}};
  if (!pictures.empty()) {
    if (form != RecordForm::kLlava) {
      record["images"] = pictures;
    } else if (pictures.size() == 1) {
      record["image"] = pictures[0];
    } else {
      record["image"] = pictures;
    }
  }
  const bool messages = form == RecordForm::kMessages;
  OrderedJson turns = OrderedJson::array();
  for (const Turn& turn : sample.turns) {
    if (turn.role == Turn::Role::kSystem && form == RecordForm::kShareGpt) {
      record["system"] = turn.text;
      continue;
    }
    const std::array<const char*, 3> theirs = {"system", "human", "gpt"}, openai = {"system", "user", "assistant"};
    const auto role = static_cast<size_t>(turn.role);
    turns.push_back(messages ? OrderedJson{{"role", openai[role]}, {"content", turn.text}}
                             : OrderedJson{{"from", theirs[role]}, {"value", turn.text}});
  }
  record[messages ? "messages" : "conversations"] = std::move(turns);
  if (sample.independent) record["independent"] = true;
  if (!sample.question_types.empty()) record["question_types"] = sample.question_types;
  if (!sample.references.empty()) record["answers"] = sample.references;
  if (!sample.regions.empty()) record["regions"] = regions_json(sample.regions);
  for (const auto& [name, value] : sample.extra.items()) record[kKnownKeys.contains(name) ? name + "_" : name] = value;
  return record;
}

}  // namespace ocelli::data
