#include <cmath>

#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

std::string_view symbol(Operator op) {
  return kSymbols[static_cast<int>(op)];
}

[[noreturn]] void fail_overflow(Operator op) {
  fail("the result of '{}' is an integer beyond 128 bits", symbol(op));
}

Int multiply(Int left, Int right) {
  // No __builtin_mul_overflow: clang makes it a call into compiler-rt, which isn't linked.
  const Int most = left == 0 ? 0 : kIntMax / (left < 0 ? -left : left);
  if (left != 0 && (right > most || right < -most)) fail_overflow(Operator::kMultiply);
  return left * right;
}

Int floor_divide(Int left, Int right) {
  const Int quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

double float_modulo(double left, double right) {
  double rest = std::fmod(left, right);
  if (rest != 0) {
    if ((right < 0) != (rest < 0)) rest += right;
  } else {
    rest = std::copysign(0.0, right);
  }
  return rest;
}

double float_floor_divide(double left, double right) {
  const double quotient = (left - float_modulo(left, right)) / right;
  if (quotient == 0) return std::copysign(0.0, left / right);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value integer_power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) fail("zero can't be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Int result = 1;
  while (true) {
    if ((exponent & 1) != 0) result = multiply(result, base);
    exponent >>= 1;
    if (exponent == 0) return Value(result);
    if (base == 0 || base == 1) return Value(base == 0 ? Int{0} : result);
    base = multiply(base, base);
  }
}

Value integer_operation(Operator op, Int left, Int right) {
  switch (op) {
    case Operator::kAdd:
      if (right > 0 ? left > kIntMax - right : left < -kIntMax - right) fail_overflow(op);
      return Value(left + right);
    case Operator::kSubtract:
      if (right < 0 ? left > kIntMax + right : left < -kIntMax + right) fail_overflow(op);
      return Value(left - right);
    case Operator::kMultiply:
      return Value(multiply(left, right));
    case Operator::kDivide:
      if (right == 0) fail("division by zero");
      return Value(static_cast<double>(left) / static_cast<double>(right));
    case Operator::kFloorDivide:
      if (right == 0) fail("integer division by zero");
      return Value(floor_divide(left, right));
    case Operator::kModulo:
      if (right == 0) fail("integer modulo by zero");
      return Value(left - floor_divide(left, right) * right);
    case Operator::kPower:
      break;
  }
  return integer_power(left, right);
}

Value float_operation(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return Value(left + right);
    case Operator::kSubtract:
      return Value(left - right);
    case Operator::kMultiply:
      return Value(left * right);
    case Operator::kDivide:
      if (right == 0) fail("float division by zero");
      return Value(left / right);
    case Operator::kFloorDivide:
      if (right == 0) fail("float floor division by zero");
      return Value(float_floor_divide(left, right));
    case Operator::kModulo:
      if (right == 0) fail("float modulo by zero");
      return Value(float_modulo(left, right));
    case Operator::kPower:
      break;
  }
  if (left == 0 && right < 0) fail("zero can't be raised to a negative power");
  const double result = std::pow(left, right);
  if (std::isnan(result) && !std::isnan(left) && !std::isnan(right)) fail("a complex power isn't supported");
  if (std::isinf(result) && std::isfinite(left) && std::isfinite(right)) fail("the power is too large for a float");
  return Value(result);
}

bool is_markup(const Value& value) {
  return value.is_string() && value.as<StringObject>().markup;
}

Value add_strings(Runtime& runtime, const Value& left, const Value& right) {
  const bool markup = is_markup(left) || is_markup(right);
  std::string out;
  for (const Value* side : {&left, &right}) {
    runtime.charge_scan(side->text().size());
    runtime.check_size(static_cast<Int>(out.size() + side->text().size()));
    out += markup && !is_markup(*side) ? escape_html(side->text()) : std::string(side->text());
  }
  return runtime.string(std::move(out), markup);
}

Value repeat(Runtime& runtime, const Value& value, Int count) {
  if (count < 0) count = 0;
  if (value.is_string()) {
    const auto size = static_cast<Int>(value.text().size());
    if (count > kIntMax / (size + 1)) fail_overflow(Operator::kMultiply);
    runtime.check_size(size * count);
    runtime.charge_scan(static_cast<size_t>(size * count));
    std::string out;
    out.reserve(static_cast<size_t>(size * count));
    for (Int i = 0; i < count && size != 0; ++i) out += value.text();
    return runtime.string(std::move(out), is_markup(value));
  }
  const Values& items = value.as<ListObject>().items;
  const auto size = static_cast<Int>(items.size());
  // Each item costs a step, so the count is held by the limit before anything is made.
  if (size != 0 && count > runtime.limits().max_steps / size + 1) count = runtime.limits().max_steps / size + 1;
  runtime.charge(static_cast<int64_t>(size * count));
  Values out;
  runtime.charge_memory(static_cast<size_t>(size * count) * sizeof(Value));
  for (Int i = 0; i < count && size != 0; ++i) out.insert(out.end(), items.begin(), items.end());
  return value.is(Kind::kList) ? runtime.list(std::move(out)) : runtime.tuple(std::move(out));
}

bool is_repeatable(const Value& value) {
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple);
}

}  // namespace

Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return integer_operation(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return float_operation(op, left.number(), right.number());
  if (op == Operator::kModulo && left.is_string()) {
    return runtime.string(percent_format(runtime, left.text(), right), is_markup(left));
  }
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined()) fail("{}", side->as<UndefinedObject>().message);
  }
  if (op == Operator::kAdd) {
    if (left.is_string() && right.is_string()) return add_strings(runtime, left, right);
    if (left.kind() == right.kind() && (left.is(Kind::kList) || left.is(Kind::kTuple))) {
      Values items = left.as<ListObject>().items;
      const Values& more = right.as<ListObject>().items;
      runtime.charge(static_cast<int64_t>(items.size() + more.size()));
      items.insert(items.end(), more.begin(), more.end());
      return left.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
    }
  }
  if (op == Operator::kMultiply) {
    if (is_repeatable(left) && right.is_integral()) return repeat(runtime, left, right.integer());
    if (is_repeatable(right) && left.is_integral()) return repeat(runtime, right, left.integer());
  }
  fail("'{}' isn't defined between {} and {}", symbol(op), type_name(left), type_name(right));
}

Value negate(Runtime&, const Value& value) {
  if (value.is_undefined()) fail("{}", value.as<UndefinedObject>().message);
  if (value.is_integral()) return Value(-value.integer());
  if (value.is(Kind::kFloat)) return Value(-value.number());
  fail("'-' isn't defined for a {}", type_name(value));
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace ocelli::text::jinja
