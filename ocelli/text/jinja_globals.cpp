#include <array>
#include <chrono>
#include <ctime>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_filters.h"

namespace ocelli::text::jinja {
namespace {

constexpr Int kMaxRange = 100'000;  // jinja2.sandbox.MAX_RANGE

Value range(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("range()", arguments, {"/start", "/stop", "/step"}, 1);
  const bool single = !bound.has(1);
  const Int start = single ? 0 : bound.integer(0, 0);
  const Int stop = single ? bound.integer(0, 0) : bound.integer(1, 0);
  const Int step = bound.integer(2, 1);
  for (const Int part : {start, stop, step}) {
    if (part > INT64_MAX || part < -INT64_MAX) fail("range(): {} is beyond 64 bits", part);
  }
  if (step == 0) fail("range(): the step can't be zero");
  auto* object = runtime.make<RangeObject>(start, stop, step);
  if (object->size() > kMaxRange) fail("range() of {} items is over the limit of {}", object->size(), kMaxRange);
  return Value(Kind::kRange, object);
}

/// dict(): a dict, or pairs, and keyword arguments over them.
DictObject* fill_dict(Runtime& runtime, DictObject* dict, std::string_view name, const Arguments& arguments) {
  if (arguments.positional.size() > 1) fail("{} takes at most one positional argument", name);
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.as<DictObject>().items) dict->set(runtime, key, value);
    } else {
      for (const Value& pair : collect(runtime, source)) {
        const Values both = collect(runtime, pair);
        if (both.size() != 2) fail("{} needs pairs, got a sequence of {}", name, both.size());
        dict->set(runtime, both[0], both[1]);
      }
    }
  }
  for (const auto& [key, value] : arguments.keywords) dict->set(runtime, runtime.string(std::string(key)), value);
  return dict;
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  return Value(Kind::kDict, fill_dict(runtime, runtime.make<DictObject>(), "dict()", arguments));
}

Value make_namespace(Runtime& runtime, const Arguments& arguments) {
  auto* object = runtime.make<NamespaceObject>();
  fill_dict(runtime, &object->attributes, "namespace()", arguments);
  for (const auto& [key, value] : object->attributes.items) {
    if (key.is_string() && key.text().starts_with('_')) fail("namespace(): the name '{}' starts with an underscore", key.text());
  }
  return Value(Kind::kNamespace, object);
}

Value cycler(Runtime& runtime, const Arguments& arguments) {
  if (!arguments.keywords.empty() || arguments.positional.empty()) fail("cycler() needs at least one item, and no names");
  auto* object = runtime.make<CyclerObject>();
  object->items = arguments.positional;
  return Value(Kind::kCycler, object);
}

/// Nothing when called first, the separator afterwards.
class Joiner final : public CallableObject {
 public:
  explicit Joiner(std::string_view separator) : separator_(separator) {}
  Value call(Runtime& runtime, const Arguments& arguments) override {
    const Bound none("joiner", arguments, {});
    return runtime.string(std::exchange(used_, true) ? separator_ : std::string());
  }
  std::string_view name() const override { return "joiner"; }

 private:
  std::string separator_;
  bool used_ = false;
};

Value joiner(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("joiner()", arguments, {"sep"});
  return Value(Kind::kCallable, runtime.make<Joiner>(bound.text(0, ", ")));
}

Value raise_exception(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("raise_exception()", arguments, {"message"}, 1);
  throw Error(to_text(runtime, *bound[0]));
}

/// datetime.now().strftime(): local time without a zone, so %z and %Z are empty; %f is microseconds.
Value strftime_now(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("strftime_now()", arguments, {"format"}, 1);
  const std::string_view given = bound.text(0, {});
  if (given.size() > 1024) fail("strftime_now(): the format is longer than 1024 bytes");
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::string format = " ";  // so that a result is never empty, which strftime gives for a buffer too small
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] != '%' || i + 1 == given.size()) {
      format += given[i];
      continue;
    }
    const char letter = given[++i];
    if (letter == 'f') {
      format += fmt::format("{:06}", micros);
    } else if (letter != 'z' && letter != 'Z') {
      format += '%';
      format += letter;
    }
  }
  std::string out(format.size() * 64 + 64, '\0');
  const size_t size = std::strftime(out.data(), out.size(), format.c_str(), &parts);
  return runtime.string(size == 0 ? std::string() : out.substr(1, size - 1));
}

class GlobalFunction final : public CallableObject {
 public:
  using Function = Value (*)(Runtime&, const Arguments&);
  GlobalFunction(std::string_view name, Function function) : name_(name), function_(function) {}
  Value call(Runtime& runtime, const Arguments& arguments) override { return function_(runtime, arguments); }
  std::string_view name() const override { return name_; }

 private:
  std::string_view name_;
  Function function_;
};

}  // namespace

CallableObject* find_global(std::string_view name) {
  // Stateless, so one of each serves all renderings and threads.
  static std::array<GlobalFunction, 7> globals = {
      GlobalFunction("range", range),
      GlobalFunction("dict", make_dict),
      GlobalFunction("namespace", make_namespace),
      GlobalFunction("cycler", cycler),
      GlobalFunction("joiner", joiner),
      GlobalFunction("raise_exception", raise_exception),
      GlobalFunction("strftime_now", strftime_now),
  };
  for (GlobalFunction& global : globals) {
    if (global.name() == name) return &global;
  }
  return nullptr;
}

}  // namespace ocelli::text::jinja
