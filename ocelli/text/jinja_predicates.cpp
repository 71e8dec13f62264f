#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_filters.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {
namespace {

template <bool (*Check)(const Value&)>
bool simple(Runtime&, const Value& input, const Arguments& arguments) {
  const Bound none("the test", arguments, {});
  return Check(input);
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_boolean(const Value& value) {
  return value.is(Kind::kBool);
}
bool is_true(const Value& value) {
  return value.is(Kind::kBool) && value.integer() != 0;
}
bool is_false(const Value& value) {
  return value.is(Kind::kBool) && value.integer() == 0;
}
bool is_integer(const Value& value) {
  return value.is(Kind::kInt);
}
bool is_float(const Value& value) {
  return value.is(Kind::kFloat);
}
bool is_number(const Value& value) {
  return value.is_number();
}
bool is_string(const Value& value) {
  return value.is_string();
}
bool is_mapping(const Value& value) {
  return value.is(Kind::kDict);
}
bool is_sequence(const Value& value) {
  return has_length(value) && !value.is(Kind::kView) && !value.is(Kind::kLoop);
}
bool is_escaped(const Value& value) {
  return value.is_string() && value.as<StringObject>().markup;
}
/// Undefined has a __call__, which raises: Python's callable() says true.
bool is_callable(const Value& value) {
  return value.is(Kind::kCallable) || value.is(Kind::kLoop) || value.is_undefined();
}

bool is_lowercase(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("lower", arguments, {});
  return is_lower(to_text(runtime, input));
}
bool is_uppercase(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("upper", arguments, {});
  return is_upper(to_text(runtime, input));
}

bool has_rest(Runtime& runtime, const Value& input, const Value& divisor, Int rest) {
  return equal(runtime, binary(runtime, Operator::kModulo, input, divisor), Value(rest));
}
bool is_odd(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("odd", arguments, {});
  return has_rest(runtime, input, Value(Int{2}), 1);
}
bool is_even(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("even", arguments, {});
  return has_rest(runtime, input, Value(Int{2}), 0);
}
bool is_divisible(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"}, 1);
  return has_rest(runtime, input, *bound[0], 0);
}

bool is_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("filter", arguments, {});
  require_hashable(runtime, input);
  return input.is_string() && find_filter(input.text()) != nullptr;
}
bool is_test(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound none("test", arguments, {});
  require_hashable(runtime, input);
  return input.is_string() && find_test(input.text()) != nullptr;
}

bool is_same(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("sameas", arguments, {"other"}, 1);
  const Value& other = *bound[0];
  if (input.kind() != other.kind()) return false;
  // What Python keeps one object of: constants, and as good as always short strings and small numbers.
  if (input.is_none() || input.is_number() || input.is_string()) return equal(runtime, input, other);
  return input.object() == other.object();
}

bool is_in(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("in", arguments, {"seq"}, 1);
  return contains(runtime, *bound[0], input);
}
bool is_equal(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("eq", arguments, {"/other"}, 1);
  return equal(runtime, input, *bound[0]);
}
bool is_not_equal(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("ne", arguments, {"/other"}, 1);
  return !equal(runtime, input, *bound[0]);
}
template <Order order>
bool is_ordered(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("the comparison", arguments, {"/other"}, 1);
  return ordered(runtime, order, input, *bound[0]);
}

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr NamedTest kTests[] = {
    {"!=", is_not_equal},
    {"<", is_ordered<Order::kLess>},
    {"<=", is_ordered<Order::kLessEqual>},
    {"==", is_equal},
    {">", is_ordered<Order::kGreater>},
    {">=", is_ordered<Order::kGreaterEqual>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", simple<is_escaped>},
    {"even", is_even},
    {"false", simple<is_false>},
    {"filter", is_filter},
    {"float", simple<is_float>},
    {"ge", is_ordered<Order::kGreaterEqual>},
    {"greaterthan", is_ordered<Order::kGreater>},
    {"gt", is_ordered<Order::kGreater>},
    {"in", is_in},
    {"integer", simple<is_integer>},
    {"iterable", simple<is_iterable>},
    {"le", is_ordered<Order::kLessEqual>},
    {"lessthan", is_ordered<Order::kLess>},
    {"lower", is_lowercase},
    {"lt", is_ordered<Order::kLess>},
    {"mapping", simple<is_mapping>},
    {"ne", is_not_equal},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", is_test},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", is_uppercase},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const NamedTest& entry : kTests) {
    if (entry.name == name) return entry.test;
  }
  return nullptr;
}

}  // namespace ocelli::text::jinja
