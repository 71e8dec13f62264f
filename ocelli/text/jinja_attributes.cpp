#include <algorithm>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {
namespace {

using Method = Value (*)(Runtime&, const Value&, const Arguments&);

class BoundMethod final : public CallableObject {
 public:
  BoundMethod(std::string_view name, Value self, Method method) : name_(name), self_(self), method_(method) {}
  Value call(Runtime& runtime, const Arguments& arguments) override { return method_(runtime, self_, arguments); }
  std::string_view name() const override { return name_; }

 private:
  std::string_view name_;
  Value self_;
  Method method_;
};

Value bind(Runtime& runtime, std::string_view name, const Value& self, Method method) {
  return Value(Kind::kCallable, runtime.make<BoundMethod>(name, self, method));
}

Value view(Runtime& runtime, std::string_view type, Values items) {
  runtime.charge(static_cast<int64_t>(items.size()));
  runtime.charge_memory(items.size() * sizeof(Value));
  return Value(Kind::kView, runtime.make<ViewObject>(type, std::move(items)));
}

Value dict_keys(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound none("keys()", arguments, {});
  Values items;
  for (const auto& [key, value] : self.as<DictObject>().items) items.push_back(key);
  return view(runtime, "dict_keys", std::move(items));
}

Value dict_values(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound none("values()", arguments, {});
  Values items;
  for (const auto& [key, value] : self.as<DictObject>().items) items.push_back(value);
  return view(runtime, "dict_values", std::move(items));
}

Value dict_items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound none("items()", arguments, {});
  Values items;
  for (const auto& [key, value] : self.as<DictObject>().items) items.push_back(runtime.tuple({key, value}));
  return view(runtime, "dict_items", std::move(items));
}

Value dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("get()", arguments, {"/key", "/default"}, 1);
  const Value* found = self.as<DictObject>().find(runtime, *bound[0]);
  if (found != nullptr) return *found;
  return bound.has(1) ? *bound[1] : Value();
}

Value dict_copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound none("copy()", arguments, {});
  auto* copy = runtime.make<DictObject>();
  for (const auto& [key, value] : self.as<DictObject>().items) copy->set(runtime, key, value);
  return Value(Kind::kDict, copy);
}

Value list_copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound none("copy()", arguments, {});
  runtime.charge(static_cast<int64_t>(self.as<ListObject>().items.size()));
  return runtime.list(self.as<ListObject>().items);
}

Value sequence_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count()", arguments, {"/value"}, 1);
  Int count = 0;
  for (const Value& item : collect(runtime, self)) count += equal(runtime, item, *bound[0]) ? 1 : 0;
  return Value(count);
}

Value sequence_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("index()", arguments, {"/value", "/start", "/stop"}, 1);
  const Values items = collect(runtime, self);
  const auto size = static_cast<Int>(items.size());
  const auto clamp = [&](Int index) { return std::clamp<Int>(index < 0 ? index + size : index, 0, size); };
  const Int stop = clamp(bound.integer(2, size));
  for (Int i = clamp(bound.integer(1, 0)); i < stop; ++i) {
    if (equal(runtime, items[static_cast<size_t>(i)], *bound[0])) return Value(i);
  }
  fail("index(): {} isn't in the {}", to_repr(runtime, *bound[0]), type_name(self));
}

Value cycler_next(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound none("next()", arguments, {});
  auto& cycler = self.as<CyclerObject>();
  const Value value = cycler.items[cycler.next];
  cycler.next = (cycler.next + 1) % cycler.items.size();
  return value;
}

Value cycler_reset(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound none("reset()", arguments, {});
  self.as<CyclerObject>().next = 0;
  return Value();
}

Value unsafe(Runtime& runtime, const Value& object, std::string_view name) {
  return runtime.undefined(fmt::format("access to attribute '{}' of a {} is unsafe", name, type_name(object)));
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// `object[key]`: nothing when Python raises TypeError or LookupError.
std::optional<Value> item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    if (!is_hashable(runtime, key)) return std::nullopt;
    const Value* found = object.as<DictObject>().find(runtime, key);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  const bool indexed = object.is_string() || object.is(Kind::kList) || object.is(Kind::kTuple) || object.is(Kind::kRange);
  if (!indexed || !key.is_integral()) return std::nullopt;
  const Int size = length(runtime, object);
  const Int index = key.integer() < 0 ? key.integer() + size : key.integer();
  if (index < 0 || index >= size) return std::nullopt;
  if (object.is_string()) {
    const std::string_view text = object.text();
    const size_t offset = offset_of_code_point(text, static_cast<size_t>(index));
    return runtime.string(std::string(text.substr(offset, code_point_at(text, offset).bytes)), object.as<StringObject>().markup);
  }
  if (object.is(Kind::kRange)) return Value(object.as<RangeObject>().start + object.as<RangeObject>().step * index);
  return object.as<ListObject>().items[static_cast<size_t>(index)];
}

struct SliceBounds {
  Int start, stop, step;
};

Int slice_part(const Value& value, Int fallback) {
  if (value.is_none()) return fallback;
  if (!value.is_integral()) fail("a slice's parts must be integers or none, not {}", type_name(value));
  return value.integer();
}

/// Python's slice.indices().
SliceBounds slice_bounds(Int size, const Value& start, const Value& stop, const Value& step) {
  SliceBounds bounds{0, 0, slice_part(step, 1)};
  if (bounds.step == 0) fail("a slice's step can't be zero");
  const bool down = bounds.step < 0;
  const Int low = down ? -1 : 0;
  const Int high = down ? size - 1 : size;
  const auto place = [&](const Value& value, Int fallback) {
    if (value.is_none()) return fallback;
    Int index = slice_part(value, 0);
    if (index < 0) index += size;
    return std::clamp(index, low, high);
  };
  bounds.start = place(start, down ? high : low);
  bounds.stop = place(stop, down ? low : high);
  // No text or list is that long: keeps start + step from overflowing.
  constexpr Int kFar = Int{1} << 62;
  bounds.step = std::clamp(bounds.step, -kFar, kFar);
  return bounds;
}

}  // namespace

std::optional<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return string_method(runtime, object, name);
    case Kind::kDict:
      if (name == "keys") return bind(runtime, name, object, dict_keys);
      if (name == "values") return bind(runtime, name, object, dict_values);
      if (name == "items") return bind(runtime, name, object, dict_items);
      if (name == "get") return bind(runtime, name, object, dict_get);
      if (name == "copy") return bind(runtime, name, object, dict_copy);
      if (is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"})) return unsafe(runtime, object, name);
      return std::nullopt;
    case Kind::kList:
      if (is_one_of(name, {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"})) {
        return unsafe(runtime, object, name);
      }
      if (name == "copy") return bind(runtime, name, object, list_copy);
      [[fallthrough]];
    case Kind::kTuple:
      if (object.as<ListObject>().is_group && name == "grouper") return object.as<ListObject>().items[0];
      if (object.as<ListObject>().is_group && name == "list") return object.as<ListObject>().items[1];
      [[fallthrough]];
    case Kind::kRange:
      if (name == "count") return bind(runtime, name, object, sequence_count);
      if (name == "index") return bind(runtime, name, object, sequence_index);
      if (object.is(Kind::kRange) && name == "start") return Value(object.as<RangeObject>().start);
      if (object.is(Kind::kRange) && name == "stop") return Value(object.as<RangeObject>().stop);
      if (object.is(Kind::kRange) && name == "step") return Value(object.as<RangeObject>().step);
      return std::nullopt;
    case Kind::kNamespace: {
      const Value* found = object.as<NamespaceObject>().attributes.find(name);
      return found == nullptr ? std::nullopt : std::optional(*found);
    }
    case Kind::kLoop:
      return object.as<LoopObject>().attribute(runtime, name);
    case Kind::kCycler:
      if (name == "next") return bind(runtime, name, object, cycler_next);
      if (name == "reset") return bind(runtime, name, object, cycler_reset);
      if (name == "current") return object.as<CyclerObject>().items[object.as<CyclerObject>().next];
      return std::nullopt;
    case Kind::kCallable:
      if (name == "name") return runtime.string(std::string(object.as<CallableObject>().name()));
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) fail("{}", object.as<UndefinedObject>().message);
  const std::optional<Value> found = find_attribute(runtime, object, name);
  if (found) return *found;
  if (object.is(Kind::kDict)) {
    const Value* entry = object.as<DictObject>().find(name);
    if (entry != nullptr) return *entry;
  }
  return runtime.undefined(fmt::format("'{}' has no attribute '{}'", type_name(object), name));
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) fail("{}", object.as<UndefinedObject>().message);
  if (const std::optional<Value> found = item(runtime, object, key)) return *found;
  if (key.is_string()) {
    if (const std::optional<Value> found = find_attribute(runtime, object, key.text())) return *found;
  }
  return runtime.undefined(fmt::format("'{}' has no element {}", type_name(object), to_repr(runtime, key)));
}

Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined()) fail("{}", object.as<UndefinedObject>().message);
  const bool list = object.is(Kind::kList) || object.is(Kind::kTuple);
  if (!list && !object.is_string() && !object.is(Kind::kRange)) fail("a {} can't be sliced", type_name(object));
  const Int size = length(runtime, object);
  const SliceBounds bounds = slice_bounds(size, start, stop, step);
  const auto each = [&](auto&& visit) {
    for (Int i = bounds.start; bounds.step > 0 ? i < bounds.stop : i > bounds.stop; i += bounds.step)
      visit(static_cast<size_t>(i));
  };
  if (object.is(Kind::kRange)) {
    const auto& range = object.as<RangeObject>();
    return Value(Kind::kRange, runtime.make<RangeObject>(range.start + range.step * bounds.start,
                                                         range.start + range.step * bounds.stop, range.step * bounds.step));
  }
  if (list) {
    Values items;
    each([&](size_t i) {
      runtime.charge();
      items.push_back(object.as<ListObject>().items[i]);
    });
    return object.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
  }
  const std::string_view text = object.text();
  const bool markup = object.as<StringObject>().markup;
  if (bounds.step == 1) {
    if (bounds.start >= bounds.stop) return runtime.string({}, markup);
    const size_t begin = offset_of_code_point(text, static_cast<size_t>(bounds.start));
    const size_t bytes = offset_of_code_point(text.substr(begin), static_cast<size_t>(bounds.stop - bounds.start));
    return runtime.string(std::string(text.substr(begin, bytes)), markup);
  }
  std::vector<std::string_view> characters;
  runtime.charge_memory(static_cast<size_t>(size) * sizeof(std::string_view));
  for (size_t offset = 0; offset < text.size();) {
    const size_t bytes = code_point_at(text, offset).bytes;
    characters.push_back(text.substr(offset, bytes));
    offset += bytes;
  }
  std::string out;
  each([&](size_t i) { out += characters[i]; });
  return runtime.string(std::move(out), markup);
}

Value call(Runtime& runtime, const Value& callee, const Arguments& arguments) {
  if (callee.is_undefined()) fail("{}", callee.as<UndefinedObject>().message);
  if (!callee.is(Kind::kCallable) && !callee.is(Kind::kLoop)) fail("a {} can't be called", type_name(callee));
  const Runtime::Nesting nesting(runtime);
  return callee.as<CallableObject>().call(runtime, arguments);
}

}  // namespace ocelli::text::jinja
