#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ocelli/text/jinja_lexer.h"

namespace ocelli::text::jinja {

class Runtime;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  ///< dict.keys(), values(), items()
  kRange,
  kIterator,  ///< a generator: read once
  kNamespace,
  kLoop,
  kCallable,
  kCycler,
};

/// Anything larger than a number. Lives in a Runtime's (or the program's) heap and is freed with it, never one by
/// one: a value nested a million deep, or a namespace that holds itself, costs no recursion and leaks nothing.
struct Object {
  virtual ~Object() = default;
};

/// A Python value. Copying is cheap and shares the object behind it.
class Value {
 public:
  Value() : kind_(Kind::kNone), integer_(0) {}
  explicit Value(bool boolean) : kind_(Kind::kBool), integer_(boolean ? 1 : 0) {}
  explicit Value(Int integer) : kind_(Kind::kInt), integer_(integer) {}
  explicit Value(double number) : kind_(Kind::kFloat), number_(number) {}
  Value(Kind kind, Object* object) : kind_(kind), object_(object) {}

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  ///< isinstance(x, int)
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  Int integer() const { return integer_; }  ///< of kInt and kBool
  double number() const { return kind_ == Kind::kFloat ? number_ : static_cast<double>(integer_); }
  /// Of kString.
  std::string_view text() const;
  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  Object* object() const { return object_; }

 private:
  Kind kind_;
  union {
    Int integer_;
    double number_;
    Object* object_;
  };
};

using Values = std::vector<Value>;

/// Arguments of a call, filter or test.
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string_view, Value>> keywords;
};

struct StringObject : Object {
  StringObject(std::string text, bool is_markup) : owned(std::move(text)), view(owned), markup(is_markup) {}
  StringObject(std::string_view text, bool is_markup) : view(text), markup(is_markup) {}
  std::string owned;
  std::string_view view;
  bool markup;  ///< markupsafe.Markup: escapes what is added to it
};

/// The error that using an undefined value gives.
struct UndefinedObject : Object {
  explicit UndefinedObject(std::string text) : message(std::move(text)) {}
  std::string message;
};

/// Items of a list or tuple.
struct ListObject : Object {
  explicit ListObject(Values values) : items(std::move(values)) {}
  Values items;
  bool is_group = false;  ///< a groupby pair: has the attributes `grouper` and `list`
};

struct ViewObject : Object {
  ViewObject(std::string_view type, Values values) : type_name(type), items(std::move(values)) {}
  std::string_view type_name;
  Values items;
};

/// Keeps the order of insertion, as Python's dict.
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> items;

  /// Throws Error on a key that can't be hashed.
  const Value* find(Runtime& runtime, const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Runtime& runtime, const Value& key, const Value& value);

 private:
  size_t index_of(Runtime& runtime, const Value& key) const;
  size_t index_of(std::string_view key) const;
  /// Positions of the string keys; built at the first search once a scan would be slow.
  mutable std::unordered_map<std::string_view, size_t> index_;
};

struct RangeObject : Object {
  RangeObject(Int first, Int end, Int by) : start(first), stop(end), step(by) {}
  Int start, stop, step;
  Int size() const;
};

struct NamespaceObject : Object {
  DictObject attributes;
};

struct CyclerObject : Object {
  Values items;
  size_t next = 0;
};

/// Something iter() gives.
struct IteratorObject : Object {
  /// Sets `value` and returns true, or returns false at the end.
  virtual bool next(Runtime& runtime, Value& value) = 0;
};

struct CallableObject : Object {
  virtual Value call(Runtime& runtime, const Arguments& arguments) = 0;
  virtual std::string_view name() const = 0;
};

/// The variable `loop` of a for statement.
struct LoopObject : CallableObject {
  /// Moves to the next item; false at the end.
  virtual bool advance(Runtime& runtime) = 0;
  virtual Value current() const = 0;
  virtual Value attribute(Runtime& runtime, std::string_view name) = 0;
  virtual Int length(Runtime& runtime) = 0;
};

inline std::string_view Value::text() const {
  return as<StringObject>().view;
}

/// Python's name of the type.
std::string_view type_name(const Value& value);

bool truth(Runtime& runtime, const Value& value);
/// `==`.
bool equal(Runtime& runtime, const Value& left, const Value& right);
/// Whether the value may be a dict key.
bool is_hashable(Runtime& runtime, const Value& value);
/// Throws Error unless it may.
void require_hashable(Runtime& runtime, const Value& value);

enum class Order { kLess, kLessEqual, kGreater, kGreaterEqual };
/// Throws Error when Python doesn't order the two.
bool ordered(Runtime& runtime, Order order, const Value& left, const Value& right);
/// `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);

/// len(); throws Error when the value has none.
Int length(Runtime& runtime, const Value& value);
bool has_length(const Value& value);
/// iter(); throws Error when the value can't be iterated over. An iterator gives itself.
IteratorObject& iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
/// list().
Values collect(Runtime& runtime, const Value& value);

/// str() and repr(), appended to `out`.
void append_text(Runtime& runtime, const Value& value, std::string& out);
void append_repr(Runtime& runtime, const Value& value, std::string& out);
std::string to_text(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);

}  // namespace ocelli::text::jinja
