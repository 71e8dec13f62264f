#include "ocelli/base/json.h"

#include <type_traits>
#include <unordered_map>
#include <utility>

#include "ocelli/base/file.h"
#include "ocelli/base/json_sax.h"

namespace ocelli {
namespace {

/// Builds a value from nlohmann's events. Top-down: containers are filled in place.
template <typename Value>
class Builder : public detail::SaxHandler {
 public:
  Builder(std::string_view text, std::string_view origin, const JsonLimits& limits) : SaxHandler(text, origin), limits_(limits) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& /*text*/) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(typename Value::binary_t& /*value*/) { fail_here("binary values aren't JSON"); }
  bool start_object(size_t /*count*/) { return open(Value::object()); }
  bool end_object() { return close(); }
  bool start_array(size_t /*count*/) { return open(Value::array()); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    slot_ = slot_for(name);
    return true;
  }

  Value take() { return std::move(root_); }

 private:
  struct Frame {
    Value* container;
    /// Ordered objects only: where each key stands. Their own lookup is linear, and a text of many keys would take quadratic
    /// time.
    std::unordered_map<std::string, size_t> places;
  };

  Value* slot_for(std::string& name) {
    Frame& frame = frames_.back();
    auto& object = *frame.container->template get_ptr<typename Value::object_t*>();
    if constexpr (std::is_same_v<Value, OrderedJson>) {
      const auto [place, is_new] = frame.places.emplace(name, object.size());
      if (!is_new) refuse_duplicate(name);
      if (is_new) object.push_back({std::move(name), Value()});
      return &(object.begin() + static_cast<std::ptrdiff_t>(place->second))->second;
    } else {
      const auto [place, is_new] = object.try_emplace(name);
      if (!is_new) refuse_duplicate(name);
      return &place->second;
    }
  }

  void refuse_duplicate(const std::string& name) const {
    if (limits_.reject_duplicate_keys)
      fail_here("key {} is given twice", Json(name.substr(0, 100)).dump(-1, ' ', false, kReplace));
  }

  template <typename Any>
  Value* place(Any&& value) {
    if (frames_.empty()) {
      root_ = std::forward<Any>(value);
      return &root_;
    }
    Value& container = *frames_.back().container;
    if (container.is_array()) {
      container.push_back(std::forward<Any>(value));
      return &container.back();
    }
    *slot_ = std::forward<Any>(value);
    return slot_;
  }

  template <typename Any>
  bool put(Any&& value) {
    place(std::forward<Any>(value));
    return true;
  }

  bool open(Value container) {
    if (static_cast<int>(frames_.size()) >= limits_.max_depth) fail_here("nested deeper than {} levels", limits_.max_depth);
    frames_.push_back({place(std::move(container)), {}});
    return true;
  }

  bool close() {
    frames_.pop_back();
    return true;
  }

  static constexpr auto kReplace = Json::error_handler_t::replace;
  JsonLimits limits_;
  Value root_;
  std::vector<Frame> frames_;
  Value* slot_ = nullptr;
};

template <typename Value>
Value parse(std::string_view text, std::string_view origin, const JsonLimits& limits) {
  require(text.size() <= limits.max_bytes, "{}: {} bytes of JSON, the limit is {}", origin, text.size(), limits.max_bytes);
  Builder<Value> builder(text, origin, limits);
  detail::sax_parse(builder);
  return builder.take();
}

/// A value for a message: short, and text even where a string isn't.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr size_t kMost = 60;
  if (text.size() > kMost) {
    size_t end = kMost;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a UTF-8 character
    text.resize(end);
    text += "…";
  }
  return text;
}

[[noreturn]] void wrong(const std::string& path, const Json& value, std::string_view expected) {
  fail("{} is {}, expected {}", path, shown(value), expected);
}

int64_t to_integer(const Json& value, const std::string& path) {
  if (!value.is_number_integer()) wrong(path, value, "an integer");
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    wrong(path, value, fmt::format("an integer of at most {}", INT64_MAX));
  }
  return value.get<int64_t>();
}

double to_number(const Json& value, const std::string& path) {
  if (!value.is_number()) wrong(path, value, "a number");
  return value.get<double>();
}

bool to_boolean(const Json& value, const std::string& path) {
  if (!value.is_boolean()) wrong(path, value, "true or false");
  return value.get<bool>();
}

std::string to_string(const Json& value, const std::string& path) {
  if (!value.is_string()) wrong(path, value, "a string");
  return value.get<std::string>();
}

int64_t in_range(int64_t value, int64_t low, int64_t high, const std::string& path) {
  require(low <= value && value <= high, "{} is {}, expected {} to {}", path, value, low, high);
  return value;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view origin, const JsonLimits& limits) {
  return parse<Json>(text, origin, limits);
}

OrderedJson parse_ordered_json(std::string_view text, std::string_view origin, const JsonLimits& limits) {
  return parse<OrderedJson>(text, origin, limits);
}

Json read_json(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

JsonView::JsonView(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {
  if (!value.is_object()) wrong(path_, value, "an object");
}

std::string JsonView::child(std::string_view key) const {
  return fmt::format("{}{}{}", path_, nested_ ? "." : ": ", key);
}

JsonView JsonView::noting(std::set<std::string>& asked) const {
  JsonView view = *this;
  view.asked_ = &asked;
  return view;
}

void JsonView::note(std::string_view key) const {
  if (asked_ != nullptr) asked_->insert(fmt::format("{}{}", prefix_, key));
}

bool JsonView::has(std::string_view key) const {
  note(key);
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

const Json& JsonView::at(std::string_view key) const {
  note(key);
  const auto found = value_->find(key);
  if (found == value_->end()) fail("{} is missing", child(key));
  return *found;
}

JsonView JsonView::object(std::string_view key) const {
  JsonView view(at(key), child(key));
  view.nested_ = true;
  view.asked_ = asked_;
  view.prefix_ = fmt::format("{}{}.", prefix_, key);
  return view;
}

int64_t JsonView::integer(std::string_view key) const {
  return to_integer(at(key), child(key));
}
double JsonView::number(std::string_view key) const {
  return to_number(at(key), child(key));
}
bool JsonView::boolean(std::string_view key) const {
  return to_boolean(at(key), child(key));
}
std::string JsonView::string(std::string_view key) const {
  return to_string(at(key), child(key));
}

std::vector<double> JsonView::numbers(std::string_view key) const {
  const Json& list = at(key);
  if (!list.is_array()) wrong(child(key), list, "a list of numbers");
  std::vector<double> result;
  result.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) result.push_back(to_number(list[i], fmt::format("{}[{}]", child(key), i)));
  return result;
}

std::vector<int64_t> JsonView::integers(std::string_view key) const {
  const Json& list = at(key);
  if (!list.is_array()) wrong(child(key), list, "a list of integers");
  std::vector<int64_t> result;
  result.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) result.push_back(to_integer(list[i], fmt::format("{}[{}]", child(key), i)));
  return result;
}

std::vector<std::string> JsonView::strings(std::string_view key) const {
  const Json& list = at(key);
  if (!list.is_array()) wrong(child(key), list, "a list of strings");
  std::vector<std::string> result;
  result.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) result.push_back(to_string(list[i], fmt::format("{}[{}]", child(key), i)));
  return result;
}

int64_t JsonView::integer(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}
double JsonView::number(std::string_view key, double fallback) const {
  return has(key) ? number(key) : fallback;
}
bool JsonView::boolean(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}
std::string JsonView::string(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}

int64_t JsonView::integer_in(std::string_view key, int64_t low, int64_t high) const {
  return in_range(integer(key), low, high, child(key));
}

int64_t JsonView::integer_in(std::string_view key, int64_t low, int64_t high, int64_t fallback) const {
  return has(key) ? integer_in(key, low, high) : fallback;
}

}  // namespace ocelli
