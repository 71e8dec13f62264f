#include "ocelli/text/jinja_parser.h"

#include <algorithm>

#include "ocelli/text/jinja_scopes.h"

namespace ocelli::text::jinja {

int Program::number_of(std::string_view name) {
  const auto [entry, is_new] = numbers.emplace(name, static_cast<int>(names.size()));
  if (is_new) names.push_back(name);
  return entry->second;
}

void parse(std::vector<Token> tokens, int max_depth, Program& program) {
  Parser(std::move(tokens), max_depth, program).run();
}

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.depth_ > parser_.max_depth_) {
    --parser_.depth_;
    fail_at(parser_.current().at, "nested deeper than {} levels (max_depth)", parser_.max_depth_);
  }
}

void Parser::run() {
  program_.body = parse_body({});
  if (!unknown_.empty()) fail_at(unknown_.front().first, "{}", unknown_.front().second);
  find_hidden_names(program_);
}

const Token& Parser::advance() {
  const Token& token = tokens_[next_];
  if (next_ + 1 < tokens_.size()) ++next_;
  return token;
}

bool Parser::skip_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view text) {
  if (!at_name(text)) return false;
  advance();
  return true;
}

void Parser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_unexpected(fmt::format("'{}'", text));
}

void Parser::expect_name(std::string_view text) {
  if (!skip_name(text)) fail_unexpected(fmt::format("'{}'", text));
}

void Parser::expect_block_end() {
  if (current().kind != TokenKind::kBlockEnd) fail_unexpected("'%}'");
  advance();
}

std::string_view Parser::expect_identifier() {
  if (current().kind != TokenKind::kName) fail_unexpected("a name");
  return program_.keep(advance().text);
}

void Parser::fail_unexpected(std::string_view expected) const {
  fail_at(current().at, "unexpected {}, expected {}", describe(current()), expected);
}

Expr* Parser::make(ExprKind kind, Position at) {
  Expr& expr = program_.exprs.emplace_back();
  expr.kind = kind;
  expr.at = at;
  return &expr;
}

Stmt* Parser::make(StmtKind kind, Position at) {
  Stmt& stmt = program_.stmts.emplace_back();
  stmt.kind = kind;
  stmt.at = at;
  return &stmt;
}

Body Parser::parse_body(Ends ends) {
  Body body;
  while (current().kind != TokenKind::kEnd) {
    const Position at = current().at;
    if (current().kind == TokenKind::kData) {
      Stmt* stmt = make(StmtKind::kText, at);
      stmt->text = program_.keep(advance().text);
      body.push_back(stmt);
    } else if (current().kind == TokenKind::kVariableBegin) {
      advance();
      Stmt* stmt = make(StmtKind::kPrint, at);
      stmt->value = parse_tuple();
      if (current().kind != TokenKind::kVariableEnd) fail_unexpected("'}}'");
      advance();
      body.push_back(stmt);
    } else {
      advance();  // the lexer gives nothing else outside tags: this is {%
      if (current().kind == TokenKind::kName && std::find(ends.begin(), ends.end(), current().text) != ends.end()) return body;
      body.push_back(parse_statement());
      expect_block_end();
    }
  }
  return body;
}

/// From behind a statement's head to one of `ends`, which becomes the current token.
Body Parser::parse_block(Ends ends) {
  const Nesting nesting(*this);
  skip_operator(":");
  const Position at = current().at;
  expect_block_end();
  Body body = parse_body(ends);
  if (current().kind == TokenKind::kEnd) fail_at(at, "the block is never closed; expected {{% {} %}}", *(ends.end() - 1));
  return body;
}

Stmt* Parser::parse_statement() {
  if (current().kind != TokenKind::kName) fail_unexpected("the name of a tag");
  const Position at = current().at;
  const std::string tag = advance().text;
  if (tag == "if") return parse_if(at);
  if (tag == "for") return parse_for(at);
  if (tag == "set") return parse_set(at);
  if (tag == "with") return parse_with(at);
  if (tag == "macro") return parse_macro(at);
  if (tag == "call") return parse_call_block(at);
  if (tag == "filter") return parse_filter_block(at);
  if (tag == "generation") return parse_generation(at);
  if (tag == "print") return parse_print(at);
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) fail_at(at, "'{}' stands outside a for loop", tag);
    return make(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, at);
  }
  for (const std::string_view other : {"block", "extends", "include", "import", "from", "autoescape"}) {
    if (tag == other) fail_at(at, "the tag '{}' isn't supported in a chat template", tag);
  }
  fail_at(at, "unknown tag '{}'", tag);
}

Stmt* Parser::parse_if(Position at) {
  Stmt* stmt = make(StmtKind::kIf, at);
  const size_t known = unknown_.size();
  while (true) {
    Expr* condition = parse_tuple(false);
    stmt->branches.emplace_back(condition, parse_block({"elif", "else", "endif"}));
    const std::string tag = advance().text;
    if (tag == "elif") continue;
    if (tag == "else") {
      stmt->branches.emplace_back(nullptr, parse_block({"endif"}));
      advance();
    }
    unknown_.resize(known);
    return stmt;
  }
}

Stmt* Parser::parse_for(Position at) {
  Stmt* stmt = make(StmtKind::kFor, at);
  ++loops_;  // the target counts as inside: it can't be named 'loop' either
  stmt->target = parse_target(false, "in");
  --loops_;
  expect_name("in");
  stmt->value = parse_tuple(false, "recursive");
  if (skip_name("if")) stmt->test = parse_expression();
  stmt->recursive = skip_name("recursive");
  ++loops_;
  // A loop rendered by calling `loop()` returns its text: break and continue stay inside it all the same.
  stmt->body = parse_block({"else", "endfor"});
  --loops_;
  if (advance().text == "else") {
    stmt->otherwise = parse_block({"endfor"});
    advance();
  }
  return stmt;
}

Stmt* Parser::parse_set(Position at) {
  Expr* target = parse_target(true);
  if (skip_operator("=")) {
    Stmt* stmt = make(StmtKind::kSet, at);
    stmt->target = target;
    stmt->value = parse_tuple();
    return stmt;
  }
  Stmt* stmt = make(StmtKind::kSetBlock, at);
  stmt->target = target;
  stmt->value = parse_filter(make(ExprKind::kCaptured, at));
  stmt->body = parse_block({"endset"});
  advance();
  return stmt;
}

Stmt* Parser::parse_with(Position at) {
  Stmt* stmt = make(StmtKind::kWith, at);
  while (current().kind != TokenKind::kBlockEnd) {
    if (!stmt->assignments.empty()) expect_operator(",");
    Expr* target = parse_target(false);
    expect_operator("=");
    stmt->assignments.emplace_back(target, parse_expression());
  }
  stmt->body = parse_block({"endwith"});
  advance();
  return stmt;
}

void Parser::parse_signature(Function& function) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!function.parameters.empty()) expect_operator(",");
    const Position at = current().at;
    function.parameters.push_back(program_.number_of(expect_identifier()));
    if (skip_operator("=")) {
      function.defaults.push_back(parse_expression());
    } else if (!function.defaults.empty()) {
      fail_at(at, "a parameter without a default follows one with a default");
    }
  }
  expect_operator(")");
}

Body Parser::parse_function_body(Function& function, std::string_view end) {
  functions_.push_back(&function);
  const int loops = std::exchange(loops_, 0);
  Body body = parse_block({end});
  advance();
  loops_ = loops;
  functions_.pop_back();
  return body;
}

Stmt* Parser::parse_macro(Position at) {
  Stmt* stmt = make(StmtKind::kMacro, at);
  stmt->function = &program_.functions.emplace_back();
  stmt->function->name = expect_identifier();
  stmt->name = program_.number_of(stmt->function->name);
  parse_signature(*stmt->function);
  stmt->function->body = parse_function_body(*stmt->function, "endmacro");
  return stmt;
}

Stmt* Parser::parse_call_block(Position at) {
  Stmt* stmt = make(StmtKind::kCall, at);
  stmt->function = &program_.functions.emplace_back();
  stmt->function->name = "caller";
  if (at_operator("(")) parse_signature(*stmt->function);
  stmt->value = parse_expression();
  if (stmt->value->kind != ExprKind::kCall) fail_at(at, "'call' needs a call of a macro");
  stmt->function->body = parse_function_body(*stmt->function, "endcall");
  return stmt;
}

Stmt* Parser::parse_filter_block(Position at) {
  Stmt* stmt = make(StmtKind::kFilter, at);
  stmt->value = parse_filter(make(ExprKind::kCaptured, at), true);
  stmt->body = parse_block({"endfilter"});
  advance();
  return stmt;
}

/// transformers' tag around what the assistant says: marks it, changes nothing, and is a scope of its own.
Stmt* Parser::parse_generation(Position at) {
  Stmt* stmt = make(StmtKind::kScope, at);
  stmt->function = &program_.functions.emplace_back();
  stmt->body = parse_function_body(*stmt->function, "endgeneration");
  return stmt;
}

Stmt* Parser::parse_print(Position at) {
  // {% print a, b %} prints one after the other: a body of prints that is no scope.
  Stmt* stmt = make(StmtKind::kIf, at);
  Body prints;
  while (current().kind != TokenKind::kBlockEnd) {
    if (!prints.empty()) expect_operator(",");
    Stmt* print = make(StmtKind::kPrint, current().at);
    print->value = parse_expression();
    prints.push_back(print);
  }
  stmt->branches.emplace_back(nullptr, std::move(prints));
  return stmt;
}

}  // namespace ocelli::text::jinja
