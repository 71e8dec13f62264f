#include "ocelli/text/jinja_interpreter.h"

namespace ocelli::text::jinja {
namespace {

/// Whether the node works on a value to its left: a chain of these is evaluated in a loop, however long it is.
bool is_link(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kAttribute:
    case ExprKind::kItem:
    case ExprKind::kCall:
    case ExprKind::kFilter:
    case ExprKind::kTest:
    case ExprKind::kBinary:
      return true;
    default:
      return false;
  }
}

bool compares(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::kEqual:
      return equal(runtime, left, right);
    case Comparison::kNotEqual:
      return !equal(runtime, left, right);
    case Comparison::kLess:
      return ordered(runtime, Order::kLess, left, right);
    case Comparison::kLessEqual:
      return ordered(runtime, Order::kLessEqual, left, right);
    case Comparison::kGreater:
      return ordered(runtime, Order::kGreater, left, right);
    case Comparison::kGreaterEqual:
      return ordered(runtime, Order::kGreaterEqual, left, right);
    case Comparison::kIn:
      return contains(runtime, right, left);
    case Comparison::kNotIn:
      break;
  }
  return !contains(runtime, right, left);
}

}  // namespace

Value Interpreter::evaluate(const Expr& expr, Scope& scope) {
  charge();
  at_ = expr.at;
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.literal;
    case ExprKind::kName:
      return evaluate_name(expr, scope);
    case ExprKind::kCaptured:
      return captured_;
    default:
      break;
  }
  const Nesting nesting(*this);
  if (is_link(expr)) return evaluate_chain(expr, scope);
  switch (expr.kind) {
    case ExprKind::kTuple:
      return tuple(evaluate_all(expr.items, scope));
    case ExprKind::kList:
      return list(evaluate_all(expr.items, scope));
    case ExprKind::kDict:
      return evaluate_dict(expr, scope);
    case ExprKind::kNot:
      return Value(!holds(*expr.left, scope));
    case ExprKind::kNegate:
      return negate(*this, evaluate(*expr.left, scope));
    case ExprKind::kPlus: {
      const Value value = evaluate(*expr.left, scope);
      const Value negated = negate(*this, value);
      return value.is(Kind::kBool) ? Value(value.integer()) : value.is(Kind::kFloat) ? value : negate(*this, negated);
    }
    case ExprKind::kCompare:
      return evaluate_compare(expr, scope);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_logic(expr, scope);
    case ExprKind::kConcat:
      return evaluate_concat(expr, scope);
    case ExprKind::kConditional:
      return evaluate_conditional(expr, scope);
    default:
      fail("this can't be evaluated");
  }
}

Value Interpreter::evaluate_name(const Expr& expr, Scope& scope) {
  if (const Value* found = scope.find(expr.name)) return *found;
  const std::string_view name = program_.names[static_cast<size_t>(expr.name)];
  if (CallableObject* global = find_global(name)) return Value(Kind::kCallable, global);
  return undefined_name(expr.name);
}

Value Interpreter::undefined_name(int name) {
  Value& value = undefined_names_[static_cast<size_t>(name)];
  if (value.is_none()) value = undefined(fmt::format("'{}' is undefined", program_.names[static_cast<size_t>(name)]));
  return value;
}

Value Interpreter::evaluate_chain(const Expr& expr, Scope& scope) {
  std::vector<const Expr*> links;
  const Expr* first = &expr;
  for (; is_link(*first); first = first->left) links.push_back(first);
  charge(static_cast<int64_t>(links.size()));
  Value value = evaluate(*first, scope);
  for (auto link = links.rbegin(); link != links.rend(); ++link) value = evaluate_link(**link, value, scope);
  return value;
}

Value Interpreter::evaluate_link(const Expr& expr, const Value& left, Scope& scope) {
  switch (expr.kind) {
    case ExprKind::kAttribute:
      at_ = expr.at;
      return get_attribute(*this, left, expr.text);
    case ExprKind::kItem:
      return evaluate_item(expr, left, scope);
    case ExprKind::kBinary: {
      const Value right = evaluate(*expr.right, scope);
      at_ = expr.at;
      return binary(*this, expr.op, left, right);
    }
    case ExprKind::kCall: {
      const Arguments arguments = arguments_of(expr, scope);
      at_ = expr.at;
      return call(*this, left, arguments);
    }
    case ExprKind::kFilter: {
      const Arguments arguments = arguments_of(expr, scope);
      at_ = expr.at;
      if (expr.filter == nullptr) fail("there is no filter '{}' here", expr.text);
      return expr.filter(*this, left, arguments);
    }
    default: {
      const Arguments arguments = arguments_of(expr, scope);
      at_ = expr.at;
      if (expr.test == nullptr) fail("there is no test '{}' here", expr.text);
      return Value(expr.test(*this, left, arguments));
    }
  }
}

Value Interpreter::evaluate_item(const Expr& expr, const Value& object, Scope& scope) {
  if (expr.right->kind != ExprKind::kSlice) {
    const Value key = evaluate(*expr.right, scope);
    at_ = expr.at;
    return get_item(*this, object, key);
  }
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.right->items[i] != nullptr) parts[i] = evaluate(*expr.right->items[i], scope);
  }
  at_ = expr.at;
  return get_slice(*this, object, parts[0], parts[1], parts[2]);
}

Value Interpreter::evaluate_compare(const Expr& expr, Scope& scope) {
  Value left = evaluate(*expr.items[0], scope);
  for (size_t i = 0; i < expr.comparisons.size(); ++i) {
    const Value right = evaluate(*expr.items[i + 1], scope);
    at_ = expr.at;
    if (!compares(*this, expr.comparisons[i], left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

Value Interpreter::evaluate_logic(const Expr& expr, Scope& scope) {
  const bool stops_at = expr.kind == ExprKind::kOr;
  Value value;
  for (const Expr* item : expr.items) {
    value = evaluate(*item, scope);
    if (truth(*this, value) == stops_at) break;
  }
  return value;
}

Value Interpreter::evaluate_concat(const Expr& expr, Scope& scope) {
  std::string out;
  for (const Value& value : evaluate_all(expr.items, scope)) append_text(*this, value, out);
  return string(std::move(out));
}

Value Interpreter::evaluate_conditional(const Expr& expr, Scope& scope) {
  if (holds(*expr.left, scope)) return evaluate(*expr.right, scope);
  if (expr.third != nullptr) return evaluate(*expr.third, scope);
  return undefined("the inline if was false and has no else");
}

Value Interpreter::evaluate_dict(const Expr& expr, Scope& scope) {
  auto* dict = make<DictObject>();
  for (size_t i = 0; i < expr.items.size(); i += 2) {
    const Value key = evaluate(*expr.items[i], scope);
    dict->set(*this, key, evaluate(*expr.items[i + 1], scope));
  }
  return Value(Kind::kDict, dict);
}

Values Interpreter::evaluate_all(const std::vector<Expr*>& exprs, Scope& scope) {
  Values values;
  values.reserve(exprs.size());
  for (const Expr* expr : exprs) values.push_back(evaluate(*expr, scope));
  return values;
}

Arguments Interpreter::arguments_of(const Expr& expr, Scope& scope) {
  Arguments arguments;
  arguments.positional = evaluate_all(expr.items, scope);
  for (const auto& [name, value] : expr.keywords) arguments.keywords.emplace_back(name, evaluate(*value, scope));
  if (expr.star != nullptr) {
    for (const Value& value : collect(*this, evaluate(*expr.star, scope))) arguments.positional.push_back(value);
  }
  if (expr.double_star != nullptr) {
    const Value keywords = evaluate(*expr.double_star, scope);
    if (!keywords.is(Kind::kDict)) fail("'**' needs a dict, not {}", type_name(keywords));
    for (const auto& [key, value] : keywords.as<DictObject>().items) {
      if (!key.is_string()) fail("'**': a keyword is a {}, expected a string", type_name(key));
      for (const auto& [other, given] : expr.keywords) {
        if (other == key.text()) fail("the keyword argument '{}' is given twice", other);
      }
      charge();
      arguments.keywords.emplace_back(key.text(), value);
    }
  }
  return arguments;
}

}  // namespace ocelli::text::jinja
