#include "ocelli/data/prompt_forms.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "ocelli/base/error.h"
#include "ocelli/base/json.h"
#include "ocelli/data/box_text.h"
#include "ocelli/data/sample.h"

namespace ocelli::data {
namespace {

using Fields = std::set<std::string, std::less<>>;

const std::map<std::string, Fields, std::less<>>& kinds() {
  static const std::map<std::string, Fields, std::less<>> all = {
      {"short_answer", {"question"}},
      {"option_letter", {"question", "options"}},
      {"caption", {}},
      {"ocr", {}},
      {"text", {}},
      {"region_to_text", {"box"}},
      {"region_to_text_answer", {"text"}},
      {"text_to_region", {"text"}},
      {"text_to_region_answer", {"text", "boxes"}},
      {"box", box_fields()},
      {"box_separator", {}},
  };
  return all;
}

/// Copies `wording`, calling `field` for each field and writing what it returns.
std::string expand(std::string_view wording, const std::string& where,
                   const std::function<std::string(std::string_view name)>& field) {
  std::string out;
  for (size_t at = 0; at < wording.size(); ++at) {
    const char c = wording[at];
    if (c != '{' && c != '}') {
      out += c;
    } else if (at + 1 < wording.size() && wording[at + 1] == c) {
      out += c;
      ++at;
    } else {
      const size_t end = c == '{' ? wording.find('}', at) : std::string_view::npos;
      require(end != std::string_view::npos, "{}: a single \"{}\" at byte {}; a brace itself is written twice", where, c, at);
      out += field(wording.substr(at + 1, end - at - 1));
      at = end;
    }
  }
  return out;
}

void check_wording(const std::string& wording, const std::string& kind, const Fields& known, const std::string& where) {
  require(count_marks(wording) == 0, "{}: it holds {}, which is set by itself; leave it out", where, kPictureMark);
  expand(wording, where, [&](std::string_view name) {
    require(known.contains(name), "{}: there is no field \"{}\" for {}; {}", where, name, kind,
            known.empty() ? "it has none" : fmt::format("known are {}", fmt::join(known, ", ")));
    return std::string();
  });
}

}  // namespace

PromptForms::PromptForms()
    : wordings_{{"short_answer", {"{question}"}},
                {"option_letter", {"{question}\n{options}"}},
                {"caption", {"Describe the picture."}},
                {"ocr", {"Read the text in the picture."}},
                {"region_to_text_answer", {"{text}"}},
                {"text_to_region_answer", {"{boxes}"}},
                {"box_separator", {", "}}} {}

PromptForms PromptForms::read(const std::filesystem::path& path) {
  PromptForms forms;
  if (path.empty()) return forms;
  const std::string file = path.string();
  const Json table = read_json(path, {.max_bytes = 1 << 20});
  require(table.is_object(), "{}: expected an object, {{\"short_answer\": \"{{question}}\"}}", file);
  const JsonView view(table, file);
  for (const auto& [kind, value] : table.items()) {
    const auto known = kinds().find(kind);
    if (known == kinds().end()) {
      std::vector<std::string_view> names;
      for (const auto& [name, fields] : kinds()) names.push_back(name);
      fail("{}: there is no kind \"{}\"; known are {}", file, kind, fmt::join(names, ", "));
    }
    std::vector<std::string> wordings = value.is_array() ? view.strings(kind) : std::vector<std::string>{view.string(kind)};
    require(!wordings.empty(), "{}: {}: a list without any wording", file, kind);
    for (const std::string& wording : wordings) check_wording(wording, kind, known->second, file + ": " + kind);
    forms.wordings_[kind] = std::move(wordings);
  }
  return forms;
}

std::string PromptForms::fill(std::string_view kind, int64_t number, const std::map<std::string, std::string>& fields) const {
  const auto found = wordings_.find(kind);
  require(
      found != wordings_.end(),
      "there is no wording of \"{}\": give a prompts file that has the key \"{}\" (as prompts/llava-1.5.json has for regions)",
      kind, kind);
  const std::vector<std::string>& wordings = found->second;
  const std::string& wording = wordings[static_cast<uint64_t>(number) % wordings.size()];
  return expand(wording, std::string(kind), [&](std::string_view name) {
    const auto value = fields.find(std::string(name));
    require(value != fields.end(), "the wording of \"{}\" asks for {{{}}}, which isn't known here", kind, name);
    return value->second;
  });
}

}  // namespace ocelli::data
