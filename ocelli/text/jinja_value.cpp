#include "ocelli/text/jinja_value.h"

#include <algorithm>
#include <cstring>

#include "ocelli/text/jinja_runtime.h"

namespace ocelli::text::jinja {
namespace {

constexpr size_t kNotFound = static_cast<size_t>(-1);
constexpr size_t kIndexedFrom = 16;  // entries; below, a scan is faster than a hash

bool is_sequence(const Value& value) {
  return value.is(Kind::kList) || value.is(Kind::kTuple);
}

bool equal_numbers(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return left.integer() == right.integer();
  return left.number() == right.number();
}

bool equal_dicts(Runtime& runtime, const DictObject& left, const DictObject& right) {
  if (left.items.size() != right.items.size()) return false;
  for (const auto& [key, value] : left.items) {
    const Value* other = right.find(runtime, key);
    if (other == nullptr || !equal(runtime, value, *other)) return false;
  }
  return true;
}

template <typename T>
bool holds(Order order, const T& left, const T& right) {
  switch (order) {
    case Order::kLess:
      return left < right;
    case Order::kLessEqual:
      return left <= right;
    case Order::kGreater:
      return left > right;
    case Order::kGreaterEqual:
      break;
  }
  return left >= right;
}

std::string_view symbol(Order order) {
  constexpr std::string_view kSymbols[] = {"<", "<=", ">", ">="};
  return kSymbols[static_cast<int>(order)];
}

class StringIterator final : public IteratorObject {
 public:
  explicit StringIterator(std::string_view text) : text_(text) {}
  bool next(Runtime& runtime, Value& value) override {
    if (offset_ >= text_.size()) return false;
    runtime.charge();
    const size_t bytes = code_point_at(text_, offset_).bytes;
    value = runtime.string(std::string(text_.substr(offset_, bytes)));
    offset_ += bytes;
    return true;
  }

 private:
  std::string_view text_;
  size_t offset_ = 0;
};

class ValuesIterator final : public IteratorObject {
 public:
  explicit ValuesIterator(const Values& items) : items_(items) {}
  bool next(Runtime& runtime, Value& value) override {
    if (index_ >= items_.size()) return false;
    runtime.charge();
    value = items_[index_++];
    return true;
  }

 private:
  const Values& items_;
  size_t index_ = 0;
};

class KeysIterator final : public IteratorObject {
 public:
  explicit KeysIterator(const DictObject& dict) : dict_(dict) {}
  bool next(Runtime& runtime, Value& value) override {
    if (index_ >= dict_.items.size()) return false;
    runtime.charge();
    value = dict_.items[index_++].first;
    return true;
  }

 private:
  const DictObject& dict_;
  size_t index_ = 0;
};

class RangeIterator final : public IteratorObject {
 public:
  explicit RangeIterator(const RangeObject& range) : range_(range), size_(range.size()) {}
  bool next(Runtime& runtime, Value& value) override {
    if (index_ >= size_) return false;
    runtime.charge();
    value = Value(range_.start + range_.step * index_++);
    return true;
  }

 private:
  const RangeObject& range_;
  Int size_;
  Int index_ = 0;
};

class EmptyIterator final : public IteratorObject {
 public:
  bool next(Runtime&, Value&) override { return false; }
};

/// Iterating over `loop` itself goes on with the loop's items.
class LoopIterator final : public IteratorObject {
 public:
  explicit LoopIterator(LoopObject& loop, Value self) : loop_(loop), self_(self) {}
  bool next(Runtime& runtime, Value& value) override {
    runtime.charge();
    if (!loop_.advance(runtime)) return false;
    value = runtime.tuple({loop_.current(), self_});
    return true;
  }

 private:
  LoopObject& loop_;
  Value self_;
};

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return value.as<ViewObject>().type_name;
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCallable:
      return "function";
    case Kind::kCycler:
      break;
  }
  return "Cycler";
}

Int RangeObject::size() const {
  if (step > 0) return stop > start ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

const Value* DictObject::find(Runtime& runtime, const Value& key) const {
  const size_t index = index_of(runtime, key);
  return index == kNotFound ? nullptr : &items[index].second;
}

const Value* DictObject::find(std::string_view key) const {
  const size_t index = index_of(key);
  return index == kNotFound ? nullptr : &items[index].second;
}

size_t DictObject::index_of(std::string_view key) const {
  if (items.size() >= kIndexedFrom) {
    for (size_t i = index_.empty() ? 0 : items.size(); i < items.size(); ++i) {
      if (items[i].first.is_string()) index_.emplace(items[i].first.text(), i);
    }
    const auto found = index_.find(key);
    return found == index_.end() ? kNotFound : found->second;
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].first.is_string() && items[i].first.text() == key) return i;
  }
  return kNotFound;
}

size_t DictObject::index_of(Runtime& runtime, const Value& key) const {
  runtime.charge();
  if (key.is_string()) return index_of(key.text());
  require_hashable(runtime, key);
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].first.is_string() && equal(runtime, items[i].first, key)) return i;
  }
  return kNotFound;
}

void DictObject::set(Runtime& runtime, const Value& key, const Value& value) {
  const size_t index = index_of(runtime, key);
  if (index != kNotFound) {
    items[index].second = value;
    return;
  }
  runtime.charge_memory(2 * sizeof(Value));
  items.emplace_back(key, value);
  if (!index_.empty() && key.is_string()) index_.emplace(key.text(), items.size() - 1);
}

bool truth(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    default:
      return !has_length(value) || length(runtime, value) != 0;
  }
}

bool equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge();
  if (left.is_number() && right.is_number()) return equal_numbers(left, right);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (left.text().size() != right.text().size()) return false;
      runtime.charge_scan(left.text().size());
      return left.text() == right.text();
    default:
      break;
  }
  if (left.object() == right.object()) return true;
  const Runtime::Nesting nesting(runtime);
  if (is_sequence(left)) {
    const Values& a = left.as<ListObject>().items;
    const Values& b = right.as<ListObject>().items;
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!equal(runtime, a[i], b[i])) return false;
    }
    return true;
  }
  if (left.is(Kind::kDict)) return equal_dicts(runtime, left.as<DictObject>(), right.as<DictObject>());
  if (left.is(Kind::kRange)) {
    const auto& a = left.as<RangeObject>();
    const auto& b = right.as<RangeObject>();
    if (a.size() != b.size()) return false;
    return a.size() == 0 || (a.start == b.start && (a.size() == 1 || a.step == b.step));
  }
  return false;
}

bool is_hashable(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kList) || value.is(Kind::kDict)) return false;
  if (!value.is(Kind::kTuple)) return true;
  const Runtime::Nesting nesting(runtime);
  const Values& items = value.as<ListObject>().items;
  runtime.charge(static_cast<int64_t>(items.size()));
  return std::all_of(items.begin(), items.end(), [&](const Value& item) { return is_hashable(runtime, item); });
}

void require_hashable(Runtime& runtime, const Value& value) {
  if (!is_hashable(runtime, value)) fail("a {} that holds or is a list or dict can't be a dict key", type_name(value));
}

bool ordered(Runtime& runtime, Order order, const Value& left, const Value& right) {
  runtime.charge();
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined()) fail("{}", side->as<UndefinedObject>().message);
  }
  if (left.is_integral() && right.is_integral()) return holds(order, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return holds(order, left.number(), right.number());
  if (left.is_string() && right.is_string()) {
    runtime.charge_scan(std::min(left.text().size(), right.text().size()));
    return holds(order, left.text(), right.text());  // UTF-8 orders as code points do
  }
  if (is_sequence(left) && left.kind() == right.kind()) {
    const Runtime::Nesting nesting(runtime);
    const Values& a = left.as<ListObject>().items;
    const Values& b = right.as<ListObject>().items;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(runtime, a[i], b[i])) return ordered(runtime, order, a[i], b[i]);
    }
    return holds(order, a.size(), b.size());
  }
  fail("'{}' isn't defined between {} and {}", symbol(order), type_name(left), type_name(right));
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) fail("'in' of a string needs a string on its left, not {}", type_name(item));
    runtime.charge_scan(container.text().size());
    const std::string_view text = container.text();
    // memmem takes linear time; string_view::find takes quadratic time on hostile text.
    return memmem(text.data(), text.size(), item.text().data(), item.text().size()) != nullptr;
  }
  if (container.is(Kind::kDict)) return container.as<DictObject>().find(runtime, item) != nullptr;
  IteratorObject& items = iterate(runtime, container);
  Value value;
  while (items.next(runtime, value)) {
    if (equal(runtime, value, item)) return true;
  }
  return false;
}

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

Int length(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      runtime.charge_scan(value.text().size());
      return static_cast<Int>(count_code_points(value.text()));
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<Int>(value.as<ListObject>().items.size());
    case Kind::kDict:
      return static_cast<Int>(value.as<DictObject>().items.size());
    case Kind::kView:
      return static_cast<Int>(value.as<ViewObject>().items.size());
    case Kind::kRange:
      return value.as<RangeObject>().size();
    case Kind::kLoop:
      return value.as<LoopObject>().length(runtime);
    default:
      fail("a {} has no length", type_name(value));
  }
}

bool is_iterable(const Value& value) {
  return has_length(value) || value.is(Kind::kIterator);
}

IteratorObject& iterate(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return *runtime.make<EmptyIterator>();
    case Kind::kString:
      return *runtime.make<StringIterator>(value.text());
    case Kind::kList:
    case Kind::kTuple:
      return *runtime.make<ValuesIterator>(value.as<ListObject>().items);
    case Kind::kDict:
      return *runtime.make<KeysIterator>(value.as<DictObject>());
    case Kind::kView:
      return *runtime.make<ValuesIterator>(value.as<ViewObject>().items);
    case Kind::kRange:
      return *runtime.make<RangeIterator>(value.as<RangeObject>());
    case Kind::kIterator:
      return value.as<IteratorObject>();
    case Kind::kLoop:
      return *runtime.make<LoopIterator>(value.as<LoopObject>(), value);
    default:
      fail("a {} can't be iterated over", type_name(value));
  }
}

Values collect(Runtime& runtime, const Value& value) {
  Values items;
  IteratorObject& iterator = iterate(runtime, value);
  for (Value item; iterator.next(runtime, item);) {
    runtime.charge_memory(sizeof(Value));
    items.push_back(item);
  }
  return items;
}

}  // namespace ocelli::text::jinja
