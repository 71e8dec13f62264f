#include "ocelli/text/post_processor.h"

#include <string>

namespace ocelli::text {

namespace {

// A template may name one long list of ids many times; nobody needs more than a few.
constexpr size_t kMaxAddedIds = 65'536;

int64_t checked_id(const Json& value, int64_t vocab_size, const std::string& path) {
  require(value.is_number_integer(), "{}: an id is no integer", path);
  require(value >= 0 && value < vocab_size, "{}: id {} is outside the vocabulary (0 to {})", path, value.dump(), vocab_size - 1);
  return value.get<int64_t>();
}

/// `"cls": ["<s>", 0]`
int64_t pair_id(const JsonView& config, const char* key, int64_t vocab_size) {
  const Json& pair = config.value().value(key, Json());
  require(pair.is_array() && pair.size() == 2, "{}: `{}` must be [token, id]", config.path(), key);
  return checked_id(pair[1], vocab_size, config.path());
}

Surroundings read_template(const JsonView& config, int64_t vocab_size) {
  const Json& pieces = config.value().value("single", Json());
  require(pieces.is_array(), "{}: `single` must be an array", config.path());
  Surroundings result;
  bool seen = false;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const JsonView piece(pieces[i], fmt::format("{}.single[{}]", config.path(), i));
    if (piece.has("Sequence")) {
      const std::string id = piece.object("Sequence").string("id");
      require(id == "A" && !seen, "{}: sequence '{}' isn't supported in `single` (one 'A' is)", piece.path(), id);
      seen = true;
      continue;
    }
    const std::string name = piece.object("SpecialToken").string("id");
    const Json& ids = config.object("special_tokens").object(name).value().value("ids", Json());
    require(ids.is_array(), "{}: special_tokens['{}'].ids must be an array", config.path(), name);
    std::vector<int64_t>& side = seen ? result.after : result.before;
    for (const Json& id : ids) side.push_back(checked_id(id, vocab_size, piece.path()));
    require(side.size() <= kMaxAddedIds, "{}: the template adds more than {} ids", config.path(), kMaxAddedIds);
  }
  require(seen, "{}: `single` has no sequence 'A'", config.path());
  return result;
}

}  // namespace

Surroundings read_post_processor(const JsonView& config, int64_t vocab_size) {
  const std::string type = config.string("type");
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return read_template(config, vocab_size);
  if (type == "RobertaProcessing" || type == "BertProcessing") {
    return {{pair_id(config, "cls", vocab_size)}, {pair_id(config, "sep", vocab_size)}};
  }
  if (type != "Sequence") {
    fail(
        "{}: post_processor '{}' isn't supported (ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, Sequence "
        "are)",
        config.path(), type);
  }
  const Json& steps = config.value().value("processors", Json());
  require(steps.is_array(), "{}: a Sequence needs an array `processors`", config.path());
  Surroundings result;
  for (size_t i = 0; i < steps.size(); ++i) {
    // Each step surrounds what the steps before made.
    const Surroundings step =
        read_post_processor(JsonView(steps[i], fmt::format("{}.processors[{}]", config.path(), i)), vocab_size);
    result.before.insert(result.before.begin(), step.before.begin(), step.before.end());
    result.after.insert(result.after.end(), step.after.begin(), step.after.end());
    require(result.before.size() <= kMaxAddedIds && result.after.size() <= kMaxAddedIds, "{}: the sequence adds more than {} ids",
            config.path(), kMaxAddedIds);
  }
  return result;
}

}  // namespace ocelli::text
