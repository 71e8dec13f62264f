#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/text/jinja_ast.h"

namespace ocelli::text::jinja {

/// Recursive descent over the tokens, rule by rule as jinja2.parser. Statements are in jinja_parser.cpp, expressions
/// in jinja_expression_parser.cpp.
class Parser {
 public:
  Parser(std::vector<Token> tokens, int max_depth, Program& program)
      : tokens_(std::move(tokens)), max_depth_(max_depth), program_(program) {}

  void run();

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[next_]; }
  const Token& look() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  const Token& advance();
  bool at_operator(std::string_view text) const { return current().is_operator(text); }
  bool at_name(std::string_view text) const { return current().is_name(text); }
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  void expect_block_end();
  std::string_view expect_identifier();
  [[noreturn]] void fail_unexpected(std::string_view expected) const;

  // Statements.
  Body parse_body(Ends ends);
  Body parse_block(Ends ends);
  Stmt* parse_statement();
  Stmt* parse_if(Position at);
  Stmt* parse_for(Position at);
  Stmt* parse_set(Position at);
  Stmt* parse_with(Position at);
  Stmt* parse_macro(Position at);
  Stmt* parse_call_block(Position at);
  Stmt* parse_filter_block(Position at);
  Stmt* parse_generation(Position at);
  Stmt* parse_print(Position at);
  void parse_signature(Function& function);
  Body parse_function_body(Function& function, std::string_view end);
  Expr* parse_target(bool with_attribute, std::string_view end = {});
  void require_target(const Expr& target) const;

  // Expressions.
  Expr* parse_tuple(bool with_condition = true, std::string_view end = {}, bool in_parentheses = false);
  template <typename Parse>
  Expr* parse_members(Parse parse, std::string_view end, bool in_parentheses);
  Expr* parse_expression(bool with_condition = true);
  Expr* parse_conditional();
  Expr* parse_or();
  Expr* parse_and();
  Expr* parse_not();
  Expr* parse_compare();
  Expr* parse_sum();
  Expr* parse_concat();
  Expr* parse_product();
  Expr* parse_power();
  Expr* parse_unary(bool with_filter = true);
  Expr* parse_primary(bool with_attribute = false);
  Expr* parse_list();
  Expr* parse_dict();
  Expr* parse_postfix(Expr* node);
  Expr* parse_filters_and_tests(Expr* node);
  Expr* parse_subscript(Expr* node);
  Expr* parse_subscribed();
  Expr* parse_call(Expr* callee);
  Expr* parse_filter(Expr* input, bool starts_inline = false);
  Expr* parse_test(Expr* input);
  void parse_arguments(Expr& node);
  std::string_view parse_dotted_name();

  // Nodes.
  Expr* make(ExprKind kind, Position at);
  Stmt* make(StmtKind kind, Position at);
  Expr* make_literal(Position at, Value value);
  Value string_literal(std::string_view text);

  /// Counts open brackets, operands and blocks while they are parsed.
  class Nesting {
   public:
    explicit Nesting(Parser& parser);
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --parser_.depth_; }

   private:
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  size_t next_ = 0;
  int max_depth_;
  int depth_ = 0;
  int loops_ = 0;  ///< open for statements that break and continue would reach
  Program& program_;
  std::vector<Function*> functions_;  ///< whose bodies are being parsed
  /// Unknown filters and tests outside branches. Inside one, a template may name what this renderer lacks as long as
  /// it doesn't get there.
  std::vector<std::pair<Position, std::string>> unknown_;
};

}  // namespace ocelli::text::jinja
