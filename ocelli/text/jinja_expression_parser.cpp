#include <algorithm>

#include "ocelli/text/jinja_parser.h"

namespace ocelli::text::jinja {
namespace {

/// Filters of jinja2 that chat templates have no use for.
constexpr std::string_view kUnsupportedFilters[] = {"filesizeformat", "pprint", "random",   "striptags",
                                                    "urlencode",      "urlize", "wordwrap", "xmlattr"};

std::optional<Comparison> comparison_of(const Token& token) {
  constexpr std::pair<std::string_view, Comparison> kOperators[] = {
      {"==", Comparison::kEqual},     {"!=", Comparison::kNotEqual}, {"<", Comparison::kLess},
      {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},   {">=", Comparison::kGreaterEqual}};
  for (const auto& [text, comparison] : kOperators) {
    if (token.is_operator(text)) return comparison;
  }
  return std::nullopt;
}

}  // namespace

Value Parser::string_literal(std::string_view text) {
  return Value(Kind::kString, program_.heap.make<StringObject>(text, false));
}

Expr* Parser::make_literal(Position at, Value value) {
  Expr* expr = make(ExprKind::kLiteral, at);
  expr->literal = value;
  return expr;
}

template <typename Parse>
Expr* Parser::parse_members(Parse parse, std::string_view end, bool in_parentheses) {
  const Position at = current().at;
  const auto at_end = [&] {
    return current().kind == TokenKind::kVariableEnd || current().kind == TokenKind::kBlockEnd || at_operator(")") ||
           (!end.empty() && at_name(end));
  };
  std::vector<Expr*> members;
  bool is_tuple = false;
  while (true) {
    if (!members.empty()) expect_operator(",");
    if (at_end()) break;
    members.push_back(parse());
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!members.empty()) return members[0];
    if (!in_parentheses) fail_unexpected("an expression");
  }
  Expr* tuple = make(ExprKind::kTuple, at);
  tuple->items = std::move(members);
  return tuple;
}

Expr* Parser::parse_tuple(bool with_condition, std::string_view end, bool in_parentheses) {
  return parse_members([&] { return parse_expression(with_condition); }, end, in_parentheses);
}

Expr* Parser::parse_target(bool with_attribute, std::string_view end) {
  Expr* target = parse_members([&] { return parse_primary(with_attribute); }, end, false);
  require_target(*target);
  return target;
}

void Parser::require_target(const Expr& target) const {
  if (target.kind == ExprKind::kTuple) {
    for (const Expr* item : target.items) require_target(*item);
  } else if (target.kind == ExprKind::kName) {
    if (program_.names[static_cast<size_t>(target.name)] == "loop" && loops_ > 0) {
      fail_at(target.at, "the variable 'loop' can't be assigned inside a loop");
    }
  } else if (target.kind != ExprKind::kAttributeTarget) {
    fail_at(target.at, "this can't be assigned to");
  }
}

Expr* Parser::parse_expression(bool with_condition) {
  return with_condition ? parse_conditional() : parse_or();
}

Expr* Parser::parse_conditional() {
  const size_t known = unknown_.size();
  const Position at = current().at;
  Expr* value = parse_or();
  while (skip_name("if")) {
    Expr* node = make(ExprKind::kConditional, at);
    node->right = value;
    node->left = parse_or();
    if (skip_name("else")) {
      const Nesting nesting(*this);
      node->third = parse_conditional();
    }
    value = node;
    unknown_.resize(known);
  }
  return value;
}

Expr* Parser::parse_or() {
  Expr* first = parse_and();
  if (!at_name("or")) return first;
  Expr* node = make(ExprKind::kOr, first->at);
  node->items.push_back(first);
  while (skip_name("or")) node->items.push_back(parse_and());
  return node;
}

Expr* Parser::parse_and() {
  Expr* first = parse_not();
  if (!at_name("and")) return first;
  Expr* node = make(ExprKind::kAnd, first->at);
  node->items.push_back(first);
  while (skip_name("and")) node->items.push_back(parse_not());
  return node;
}

Expr* Parser::parse_not() {
  const Position at = current().at;
  if (!skip_name("not")) return parse_compare();
  const Nesting nesting(*this);
  Expr* node = make(ExprKind::kNot, at);
  node->left = parse_not();
  return node;
}

Expr* Parser::parse_compare() {
  Expr* first = parse_sum();
  Expr* node = nullptr;
  while (true) {
    std::optional<Comparison> comparison = comparison_of(current());
    if (comparison) {
      advance();
    } else if (skip_name("in")) {
      comparison = Comparison::kIn;
    } else if (at_name("not") && look().is_name("in")) {
      advance();
      advance();
      comparison = Comparison::kNotIn;
    } else {
      return node != nullptr ? node : first;
    }
    if (node == nullptr) {
      node = make(ExprKind::kCompare, first->at);
      node->items.push_back(first);
    }
    node->comparisons.push_back(*comparison);
    node->items.push_back(parse_sum());
  }
}

Expr* Parser::parse_sum() {
  Expr* left = parse_concat();
  while (at_operator("+") || at_operator("-")) {
    Expr* node = make(ExprKind::kBinary, left->at);
    node->op = advance().text == "+" ? Operator::kAdd : Operator::kSubtract;
    node->left = left;
    node->right = parse_concat();
    left = node;
  }
  return left;
}

Expr* Parser::parse_concat() {
  Expr* first = parse_product();
  if (!at_operator("~")) return first;
  Expr* node = make(ExprKind::kConcat, first->at);
  node->items.push_back(first);
  while (skip_operator("~")) node->items.push_back(parse_product());
  return node;
}

Expr* Parser::parse_product() {
  Expr* left = parse_power();
  while (at_operator("*") || at_operator("/") || at_operator("//") || at_operator("%")) {
    Expr* node = make(ExprKind::kBinary, left->at);
    const std::string op = advance().text;
    node->op = op == "*"   ? Operator::kMultiply
               : op == "/" ? Operator::kDivide
               : op == "%" ? Operator::kModulo
                           : Operator::kFloorDivide;
    node->left = left;
    node->right = parse_power();
    left = node;
  }
  return left;
}

Expr* Parser::parse_power() {
  Expr* left = parse_unary();
  while (skip_operator("**")) {
    Expr* node = make(ExprKind::kBinary, left->at);
    node->op = Operator::kPower;
    node->left = left;
    node->right = parse_unary();
    left = node;
  }
  return left;
}

Expr* Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  const Position at = current().at;
  Expr* node = nullptr;
  if (at_operator("-") || at_operator("+")) {
    node = make(advance().text == "-" ? ExprKind::kNegate : ExprKind::kPlus, at);
    node->left = parse_unary(false);
  } else {
    node = parse_primary();
  }
  node = parse_postfix(node);
  return with_filter ? parse_filters_and_tests(node) : node;
}

Expr* Parser::parse_primary(bool with_attribute) {
  const Token& token = current();
  const Position at = token.at;
  switch (token.kind) {
    case TokenKind::kName: {
      const std::string_view name = program_.keep(advance().text);
      if (name == "true" || name == "True") return make_literal(at, Value(true));
      if (name == "false" || name == "False") return make_literal(at, Value(false));
      if (name == "none" || name == "None") return make_literal(at, Value());
      const bool is_attribute = with_attribute && skip_operator(".");
      Expr* expr = make(is_attribute ? ExprKind::kAttributeTarget : ExprKind::kName, at);
      expr->name = program_.number_of(name);
      if (is_attribute) expr->text = expect_identifier();
      for (Function* function : functions_) {
        if (name == "caller") function->reads_caller = true;
        if (name == "kwargs") function->reads_kwargs = true;
        if (name == "varargs") function->reads_varargs = true;
      }
      return expr;
    }
    case TokenKind::kString: {
      std::string text = advance().text;
      while (current().kind == TokenKind::kString) text += advance().text;
      return make_literal(at, string_literal(program_.keep(std::move(text))));
    }
    case TokenKind::kInteger:
      return make_literal(at, Value(advance().integer));
    case TokenKind::kFloat:
      return make_literal(at, Value(advance().number));
    case TokenKind::kOperator:
      if (token.text == "(") {
        advance();
        Expr* expr = parse_tuple(true, {}, true);
        expect_operator(")");
        return expr;
      }
      if (token.text == "[") return parse_list();
      if (token.text == "{") return parse_dict();
      [[fallthrough]];
    default:
      fail_unexpected("an expression");
  }
}

Expr* Parser::parse_list() {
  Expr* list = make(ExprKind::kList, current().at);
  expect_operator("[");
  while (!at_operator("]")) {
    if (!list->items.empty()) expect_operator(",");
    if (at_operator("]")) break;
    list->items.push_back(parse_expression());
  }
  expect_operator("]");
  return list;
}

Expr* Parser::parse_dict() {
  Expr* dict = make(ExprKind::kDict, current().at);
  expect_operator("{");
  while (!at_operator("}")) {
    if (!dict->items.empty()) expect_operator(",");
    if (at_operator("}")) break;
    dict->items.push_back(parse_expression());
    expect_operator(":");
    dict->items.push_back(parse_expression());
  }
  expect_operator("}");
  return dict;
}

Expr* Parser::parse_postfix(Expr* node) {
  while (true) {
    if (at_operator(".") || at_operator("[")) {
      node = parse_subscript(node);
    } else if (at_operator("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

Expr* Parser::parse_filters_and_tests(Expr* node) {
  while (true) {
    if (at_operator("|")) {
      node = parse_filter(node);
    } else if (at_name("is")) {
      node = parse_test(node);
    } else if (at_operator("(")) {
      node = parse_call(node);
    } else {
      return node;
    }
  }
}

Expr* Parser::parse_subscript(Expr* object) {
  const Position at = current().at;
  if (skip_operator(".")) {
    if (current().kind == TokenKind::kInteger) {
      Expr* node = make(ExprKind::kItem, at);
      node->left = object;
      node->right = make_literal(current().at, Value(current().integer));
      advance();
      return node;
    }
    Expr* node = make(ExprKind::kAttribute, at);
    node->left = object;
    node->text = expect_identifier();
    return node;
  }
  expect_operator("[");
  std::vector<Expr*> keys;
  while (!at_operator("]")) {
    if (!keys.empty()) expect_operator(",");
    keys.push_back(parse_subscribed());
    if (keys.back()->kind == ExprKind::kSlice && (keys.size() > 1 || !at_operator("]"))) {
      fail_at(keys.back()->at, "a slice inside a tuple of subscripts isn't supported");
    }
  }
  expect_operator("]");
  Expr* node = make(ExprKind::kItem, at);
  node->left = object;
  if (keys.size() == 1) {
    node->right = keys[0];
  } else {
    node->right = make(ExprKind::kTuple, at);
    node->right->items = std::move(keys);
  }
  return node;
}

Expr* Parser::parse_subscribed() {
  const Position at = current().at;
  Expr* start = nullptr;
  if (!at_operator(":")) {
    start = parse_expression();
    if (!at_operator(":")) return start;
  }
  advance();
  const auto part = [&]() -> Expr* {
    return at_operator(":") || at_operator("]") || at_operator(",") ? nullptr : parse_expression();
  };
  Expr* stop = part();
  Expr* step = skip_operator(":") ? part() : nullptr;
  Expr* slice = make(ExprKind::kSlice, at);
  slice->items = {start, stop, step};
  return slice;
}

Expr* Parser::parse_call(Expr* callee) {
  Expr* call = make(ExprKind::kCall, current().at);
  call->left = callee;
  parse_arguments(*call);
  return call;
}

void Parser::parse_arguments(Expr& node) {
  const Position at = current().at;
  const auto require_order = [&](bool in_order) {
    if (!in_order) fail_at(at, "invalid order of arguments in the call");
  };
  expect_operator("(");
  for (bool first = true; !at_operator(")"); first = false) {
    if (!first) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    if (skip_operator("*")) {
      require_order(node.star == nullptr && node.double_star == nullptr);
      node.star = parse_expression();
    } else if (skip_operator("**")) {
      require_order(node.double_star == nullptr);
      node.double_star = parse_expression();
    } else if (current().kind == TokenKind::kName && look().is_operator("=")) {
      require_order(node.double_star == nullptr);
      const std::string_view name = expect_identifier();
      for (const auto& [other, value] : node.keywords) {
        if (other == name) fail_at(at, "the keyword argument '{}' is given twice", name);
      }
      advance();
      node.keywords.emplace_back(name, parse_expression());
    } else {
      require_order(node.star == nullptr && node.double_star == nullptr && node.keywords.empty());
      node.items.push_back(parse_expression());
    }
  }
  expect_operator(")");
}

std::string_view Parser::parse_dotted_name() {
  std::string name(expect_identifier());
  while (skip_operator(".")) name += "." + std::string(expect_identifier());
  return program_.keep(std::move(name));
}

Expr* Parser::parse_filter(Expr* input, bool starts_inline) {
  while (starts_inline || skip_operator("|")) {
    starts_inline = false;
    Expr* node = make(ExprKind::kFilter, current().at);
    node->left = input;
    node->text = parse_dotted_name();
    node->filter = find_filter(node->text);
    if (node->filter == nullptr) {
      const bool exists =
          std::find(std::begin(kUnsupportedFilters), std::end(kUnsupportedFilters), node->text) != std::end(kUnsupportedFilters);
      unknown_.emplace_back(node->at, exists ? fmt::format("the filter '{}' isn't supported", node->text)
                                             : fmt::format("there is no filter '{}'", node->text));
    }
    if (at_operator("(")) parse_arguments(*node);
    input = node;
  }
  return input;
}

Expr* Parser::parse_test(Expr* input) {
  const Position at = current().at;
  advance();
  const bool negated = skip_name("not");
  Expr* node = make(ExprKind::kTest, current().at);
  node->left = input;
  node->text = parse_dotted_name();
  node->test = find_test(node->text);
  if (node->test == nullptr) unknown_.emplace_back(node->at, fmt::format("there is no test '{}'", node->text));
  const Token& token = current();
  const bool starts_argument = token.kind == TokenKind::kName || token.kind == TokenKind::kString ||
                               token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat || token.is_operator("[") ||
                               token.is_operator("{");
  if (at_operator("(")) {
    parse_arguments(*node);
  } else if (starts_argument && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail_at(token.at, "tests can't be chained with 'is'");
    node->items.push_back(parse_postfix(parse_primary()));
  }
  if (!negated) return node;
  Expr* inverse = make(ExprKind::kNot, at);
  inverse->left = node;
  return inverse;
}

}  // namespace ocelli::text::jinja
