#include <algorithm>
#include <functional>
#include <optional>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_filters.h"
#include "ocelli/text/jinja_literal.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja::filters {
namespace {

/// A generator: its values are made when they are asked for, so that errors show up where Python shows them.
class Generator final : public IteratorObject {
 public:
  using Next = std::function<bool(Runtime&, Value&)>;
  explicit Generator(Next next) : next_(std::move(next)) {}
  bool next(Runtime& runtime, Value& value) override {
    runtime.charge();
    const Runtime::Nesting nesting(runtime);
    return next_(runtime, value);
  }

 private:
  Next next_;
};

Value generator(Runtime& runtime, Generator::Next next) {
  return Value(Kind::kIterator, runtime.make<Generator>(std::move(next)));
}

/// A filter that is a generator function in Python: nothing of it runs, and nothing fails, before the first value is
/// asked for. `start` gives the iterator then.
class Deferred final : public IteratorObject {
 public:
  Deferred(Filter start, const Value& input, const Arguments& arguments) : start_(start), input_(input), arguments_(arguments) {}
  bool next(Runtime& runtime, Value& value) override {
    const Runtime::Nesting nesting(runtime);
    if (values_ == nullptr) values_ = &start_(runtime, input_, arguments_).as<IteratorObject>();
    return values_->next(runtime, value);
  }

 private:
  Filter start_;
  Value input_;
  Arguments arguments_;
  IteratorObject* values_ = nullptr;
};

Value deferred(Runtime& runtime, Filter start, const Value& input, const Arguments& arguments) {
  return Value(Kind::kIterator, runtime.make<Deferred>(start, input, arguments));
}

/// A generator over values that are there already.
Value generator_of(Runtime& runtime, Values values) {
  return Value(Kind::kIterator, &iterate(runtime, runtime.list(std::move(values))));
}

Value lowered(Runtime& runtime, const Value& value) {
  if (!value.is_string()) return value;
  runtime.charge_scan(value.text().size());
  return runtime.string(to_lower(value.text()));
}

/// Looks up a dotted path; parts of digits are indexes.
class AttributePath {
 public:
  AttributePath(Runtime& runtime, const Value* attribute) {
    if (attribute == nullptr || attribute->is_none()) return;
    if (!attribute->is_string()) {
      parts_.push_back(*attribute);
      return;
    }
    add(runtime, attribute->text());
  }
  AttributePath(Runtime& runtime, std::string_view path) { add(runtime, path); }

  Value get(Runtime& runtime, Value item, const Value* fallback = nullptr) const {
    for (const Value& part : parts_) {
      item = get_item(runtime, item, part);
      if (fallback != nullptr && !fallback->is_none() && item.is_undefined()) item = *fallback;
    }
    return item;
  }

 private:
  void add(Runtime& runtime, std::string_view path) {
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      const std::string_view part = path.substr(begin, end - begin);
      const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      const std::optional<Int> index = digits ? parse_int(part, 10) : std::nullopt;
      parts_.push_back(index ? Value(*index) : runtime.string(std::string(part)));
      begin = end + 1;
    }
  }

  Values parts_;
};

/// An item with what it is sorted or grouped by.
struct Keyed {
  Value key;
  Value item;
};

void sort_by_key(Runtime& runtime, std::vector<Keyed>& entries, bool reverse) {
  std::stable_sort(entries.begin(), entries.end(), [&](const Keyed& left, const Keyed& right) {
    return reverse ? ordered(runtime, Order::kLess, right.key, left.key) : ordered(runtime, Order::kLess, left.key, right.key);
  });
}

Values items_of(const std::vector<Keyed>& entries) {
  Values items;
  for (const Keyed& entry : entries) items.push_back(entry.item);
  return items;
}

Value extreme(Runtime& runtime, std::string_view name, Order order, const Value& input, const Arguments& arguments) {
  const Bound bound(name, arguments, {"case_sensitive", "attribute"});
  const bool case_sensitive = bound.truth(runtime, 0, false);
  const AttributePath path(runtime, bound[1]);
  std::optional<Keyed> best;
  IteratorObject& values = iterate(runtime, input);
  for (Value item; values.next(runtime, item);) {
    const Value key = path.get(runtime, item);
    const Keyed entry{case_sensitive ? key : lowered(runtime, key), item};
    if (!best || ordered(runtime, order, entry.key, best->key)) best = entry;
  }
  return best ? best->item : runtime.undefined("no aggregated item, the sequence was empty");
}

/// The rest of the arguments, for a filter or test named in the first ones.
Arguments after(const Arguments& arguments, size_t count) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count), arguments.positional.end());
  rest.keywords = arguments.keywords;
  return rest;
}

Value select_or_reject(Runtime& runtime, const Value& input, const Arguments& arguments, bool by_attribute, bool wanted) {
  // An empty input is never looked at, and neither are the arguments then.
  if (!truth(runtime, input)) return generator_of(runtime, {});
  const size_t offset = by_attribute ? 1 : 0;
  if (arguments.positional.size() < offset) fail("selectattr and rejectattr need the attribute's name");
  const AttributePath path(runtime, by_attribute ? &arguments.positional[0] : nullptr);
  std::optional<std::string_view> test;
  Arguments rest;
  if (arguments.positional.size() > offset) {
    const Value& given = arguments.positional[offset];
    if (!given.is_string()) fail("select: the test's name is a {}, expected a string", type_name(given));
    test = given.text();
    rest = after(arguments, offset + 1);
  }
  IteratorObject& values = iterate(runtime, input);
  return generator(runtime, [=, &values](Runtime& at, Value& value) {
    while (values.next(at, value)) {
      const Value tested = path.get(at, value);
      if ((test ? apply_test(at, *test, tested, rest) : truth(at, tested)) == wanted) return true;
    }
    return false;
  });
}

Value start_items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("items", arguments, {});
  Values pairs;
  if (!input.is_undefined()) {
    if (!input.is(Kind::kDict)) fail("items takes a dict, not {}", type_name(input));
    for (const auto& [key, value] : input.as<DictObject>().items) pairs.push_back(runtime.tuple({key, value}));
  }
  return generator_of(runtime, std::move(pairs));
}

Value start_unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  const bool case_sensitive = bound.truth(runtime, 0, false);
  const AttributePath path(runtime, bound[1]);
  IteratorObject& values = iterate(runtime, input);
  auto* seen = runtime.make<DictObject>();
  return generator(runtime, [=, &values](Runtime& at, Value& value) {
    while (values.next(at, value)) {
      const Value raw = path.get(at, value);
      const Value key = case_sensitive ? raw : lowered(at, raw);
      if (seen->find(at, key) != nullptr) continue;
      seen->set(at, key, Value());
      return true;
    }
    return false;
  });
}

Value start_batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const Int size = bound.integer(0, 1);
  Values batches;
  Values current;
  for (const Value& item : collect(runtime, input)) {
    if (static_cast<Int>(current.size()) == size) {
      batches.push_back(runtime.list(std::move(current)));
      current.clear();
    }
    current.push_back(item);
  }
  if (!current.empty()) {
    while (bound.is_set(1) && static_cast<Int>(current.size()) < size) {
      runtime.charge();
      current.push_back(*bound[1]);
    }
    batches.push_back(runtime.list(std::move(current)));
  }
  return generator_of(runtime, std::move(batches));
}

Value start_slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const Int slices = bound.integer(0, 1);
  if (slices == 0) fail("slice: the number of slices can't be zero");
  const Values values = collect(runtime, input);
  Values lists;
  size_t begin = 0;
  for (Int i = 0; i < slices; ++i) {
    runtime.charge();
    const bool has_extra = i < static_cast<Int>(values.size()) % slices;
    const size_t size = values.size() / static_cast<size_t>(slices) + (has_extra ? 1 : 0);
    Values part(values.begin() + static_cast<std::ptrdiff_t>(begin), values.begin() + static_cast<std::ptrdiff_t>(begin + size));
    begin += size;
    if (bound.is_set(1) && !has_extra) part.push_back(*bound[1]);
    lists.push_back(runtime.list(std::move(part)));
  }
  return generator_of(runtime, std::move(lists));
}

Value start_map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!truth(runtime, input)) return generator_of(runtime, {});
  const bool by_attribute =
      arguments.positional.empty() && std::any_of(arguments.keywords.begin(), arguments.keywords.end(),
                                                  [](const auto& keyword) { return keyword.first == "attribute"; });
  if (by_attribute) {
    const Bound bound("map", arguments, {"attribute", "default"});
    const AttributePath path(runtime, bound[0]);
    const Value fallback = bound.has(1) ? *bound[1] : Value();
    IteratorObject& values = iterate(runtime, input);
    return generator(runtime, [=, &values](Runtime& at, Value& value) {
      if (!values.next(at, value)) return false;
      value = path.get(at, value, &fallback);
      return true;
    });
  }
  if (arguments.positional.empty() || !arguments.positional[0].is_string()) fail("map needs a filter's name or attribute=");
  const std::string_view name = arguments.positional[0].text();
  const Arguments rest = after(arguments, 1);
  IteratorObject& values = iterate(runtime, input);
  return generator(runtime, [=, &values](Runtime& at, Value& value) {
    if (!values.next(at, value)) return false;
    value = apply_filter(at, name, value, rest);
    return true;
  });
}

template <bool by_attribute, bool wanted>
Value start_select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return select_or_reject(runtime, input, arguments, by_attribute, wanted);
}

}  // namespace

Value length(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("length", arguments, {});
  return Value(jinja::length(runtime, input));
}

Value list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("list", arguments, {});
  return runtime.list(collect(runtime, input));
}

Value first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("first", arguments, {});
  Value value;
  if (iterate(runtime, input).next(runtime, value)) return value;
  return runtime.undefined("no first item, the sequence was empty");
}

Value last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("last", arguments, {});
  if (!has_length(input) || input.is(Kind::kLoop)) fail("a {} can't be read from its end", type_name(input));
  const Values values = collect(runtime, input);
  return values.empty() ? runtime.undefined("no last item, the sequence was empty") : values.back();
}

Value reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("reverse", arguments, {});
  Values values = collect(runtime, input);
  std::reverse(values.begin(), values.end());
  if (input.is_string()) {
    std::string out;
    for (const Value& value : values) out += value.text();
    return runtime.string(std::move(out), input.as<StringObject>().markup);
  }
  return input.is(Kind::kIterator) ? runtime.list(std::move(values)) : generator_of(runtime, std::move(values));
}

Value join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const std::string separator = bound.has(0) ? to_text(runtime, *bound[0]) : "";
  const AttributePath path(runtime, bound[1]);
  std::string out;
  bool is_first = true;
  IteratorObject& values = iterate(runtime, input);
  for (Value item; values.next(runtime, item); is_first = false) {
    if (!is_first) out += separator;
    append_text(runtime, path.get(runtime, item), out);
    runtime.check_size(static_cast<Int>(out.size()));
  }
  return runtime.string(std::move(out));
}

Value default_value(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = input.is_undefined() || (bound.truth(runtime, 1, false) && !truth(runtime, input));
  if (!missing) return input;
  return bound.has(0) ? *bound[0] : runtime.string({});
}

Value attr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  const std::string_view name = bound.text(0, {});
  if (const std::optional<Value> found = find_attribute(runtime, input, name)) return *found;
  return runtime.undefined(fmt::format("'{}' has no attribute '{}'", type_name(input), name));
}

Value dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string_view by = bound.text(1, "key");
  if (by != "key" && by != "value") fail("dictsort: by is '{}', expected key or value", by);
  if (input.is_undefined()) fail("{}", input.as<UndefinedObject>().message);
  if (!input.is(Kind::kDict)) fail("dictsort takes a dict, not {}", type_name(input));
  const bool case_sensitive = bound.truth(runtime, 0, false);
  std::vector<Keyed> entries;
  for (const auto& [key, value] : input.as<DictObject>().items) {
    const Value sorted = by == "key" ? key : value;
    entries.push_back({case_sensitive ? sorted : lowered(runtime, sorted), runtime.tuple({key, value})});
  }
  sort_by_key(runtime, entries, bound.truth(runtime, 2, false));
  return runtime.list(items_of(entries));
}

Value sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = bound.truth(runtime, 1, false);
  // Several attributes, separated by commas, are compared one after the other.
  std::vector<AttributePath> paths;
  if (bound.is_set(2) && bound[2]->is_string()) {
    const std::string_view list = bound.text(2, {});
    for (size_t begin = 0; begin <= list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      paths.emplace_back(runtime, list.substr(begin, end - begin));
      begin = end + 1;
    }
  } else {
    paths.emplace_back(runtime, bound[2]);
  }
  std::vector<Keyed> entries;
  for (const Value& item : collect(runtime, input)) {
    Values key;
    for (const AttributePath& path : paths) {
      const Value part = path.get(runtime, item);
      key.push_back(case_sensitive ? part : lowered(runtime, part));
    }
    entries.push_back({runtime.tuple(std::move(key)), item});
  }
  sort_by_key(runtime, entries, bound.truth(runtime, 0, false));
  return runtime.list(items_of(entries));
}

Value groupby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = bound.truth(runtime, 2, false);
  const AttributePath path(runtime, bound[0]);
  std::vector<Keyed> entries;
  for (const Value& item : collect(runtime, input)) {
    const Value key = path.get(runtime, item, bound[1]);
    entries.push_back({case_sensitive ? key : lowered(runtime, key), item});
  }
  sort_by_key(runtime, entries, false);
  Values groups;
  for (size_t begin = 0; begin < entries.size();) {
    Values members;
    size_t end = begin;
    for (; end < entries.size() && equal(runtime, entries[end].key, entries[begin].key); ++end) {
      members.push_back(entries[end].item);
    }
    if (members.empty()) {  // a key that isn't equal to itself: NaN
      members.push_back(entries[end++].item);
    }
    const Value key = path.get(runtime, members[0], bound[1]);
    const Value group = runtime.tuple({key, runtime.list(std::move(members))});
    group.as<ListObject>().is_group = true;
    groups.push_back(group);
    begin = end;
  }
  return runtime.list(std::move(groups));
}

Value min(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return extreme(runtime, "min", Order::kLess, input, arguments);
}
Value max(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return extreme(runtime, "max", Order::kGreater, input, arguments);
}

Value sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  const AttributePath path(runtime, bound[0]);
  Value total = bound.has(1) ? *bound[1] : Value(Int{0});
  if (total.is_string()) fail("sum can't start from a string; use join");
  IteratorObject& values = iterate(runtime, input);
  for (Value item; values.next(runtime, item);) total = binary(runtime, Operator::kAdd, total, path.get(runtime, item));
  return total;
}

Value items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_items, input, arguments);
}
Value unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_unique, input, arguments);
}
Value batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_batch, input, arguments);
}
Value slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_slice, input, arguments);
}
Value map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_map, input, arguments);
}
Value select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_select<false, true>, input, arguments);
}
Value reject(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_select<false, false>, input, arguments);
}
Value selectattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_select<true, true>, input, arguments);
}
Value rejectattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return deferred(runtime, start_select<true, false>, input, arguments);
}

}  // namespace ocelli::text::jinja::filters
