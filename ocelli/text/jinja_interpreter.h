#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ocelli/text/jinja_ast.h"

namespace ocelli::text::jinja {

/// Variables of a loop's body, a macro, a with block …; the outermost holds those given, the next the template's own.
/// In the heap: a macro keeps the scope it was defined in.
class Scope final : public Object {
 public:
  explicit Scope(Scope* parent) : parent_(parent) {}

  const Value* find(int name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_) {
      const size_t index = scope->index_of(name);
      if (index != scope->variables_.size()) return &scope->variables_[index].second;
    }
    return nullptr;
  }
  void set(int name, const Value& value) {
    const size_t index = index_of(name);
    if (index != variables_.size()) {
      variables_[index].second = value;
      return;
    }
    variables_.emplace_back(name, value);
    if (variables_.size() == kIndexedFrom) {
      for (size_t i = 0; i < variables_.size(); ++i) index_[variables_[i].first] = i;
    } else if (variables_.size() > kIndexedFrom) {
      index_[name] = index;
    }
  }
  void clear() {
    variables_.clear();
    index_.clear();
  }

 private:
  static constexpr size_t kIndexedFrom = 32;  // below, a scan is faster; above, a template may have any number

  /// variables_.size() when the name isn't here.
  size_t index_of(int name) const {
    if (variables_.size() >= kIndexedFrom) {
      const auto found = index_.find(name);
      return found == index_.end() ? variables_.size() : found->second;
    }
    size_t i = 0;
    while (i < variables_.size() && variables_[i].first != name) ++i;
    return i;
  }

  Scope* parent_;
  std::vector<std::pair<int, Value>> variables_;
  std::unordered_map<int, size_t> index_;
};

/// Walks the tree. Expressions are in jinja_evaluate.cpp, statements in jinja_render.cpp.
class Interpreter final : public Runtime {
 public:
  Interpreter(const Program& program, const TemplateLimits& limits)
      : Runtime(limits), program_(program), undefined_names_(program.names.size()) {}

  std::string run(const OrderedJson& variables);

  enum class Flow { kNext, kBreak, kContinue };

  /// A scope inside `outer` in which `hidden` names start undefined.
  Scope& enter(Scope& outer, const std::vector<int>& hidden);
  void hide(Scope& scope, const std::vector<int>& hidden);
  Value evaluate(const Expr& expr, Scope& scope);
  bool holds(const Expr& expr, Scope& scope) { return truth(*this, evaluate(expr, scope)); }
  Flow execute(const Body& body, Scope& scope);
  /// Gives `value` to a target: a name, a namespace's attribute, or a tuple of them.
  void assign(const Expr& target, const Value& value, Scope& scope);
  /// The text of a body rendered apart; `flow` is how it ended.
  std::string capture(const Body& body, Scope& scope, Flow& flow);
  /// A macro's or call block's call.
  Value invoke(const Function& function, Scope& outer, const Arguments& arguments);
  /// A for statement over `items`; `depth` counts calls of a recursive loop.
  Flow run_loop(const Stmt& stmt, Scope& outer, const Value& items, int depth);
  std::string capture_loop(const Stmt& stmt, Scope& outer, const Value& items, int depth);

 private:
  Flow execute(const Stmt& stmt, Scope& scope);
  Flow execute_if(const Stmt& stmt, Scope& scope);
  Flow execute_captured(const Stmt& stmt, Scope& scope);
  void execute_call(const Stmt& stmt, Scope& scope);
  void print(const Value& value);

  Value undefined_name(int name);
  Value evaluate_name(const Expr& expr, Scope& scope);
  Value evaluate_chain(const Expr& expr, Scope& scope);
  Value evaluate_link(const Expr& expr, const Value& left, Scope& scope);
  Value evaluate_item(const Expr& expr, const Value& object, Scope& scope);
  Value evaluate_compare(const Expr& expr, Scope& scope);
  Value evaluate_logic(const Expr& expr, Scope& scope);
  Value evaluate_concat(const Expr& expr, Scope& scope);
  Value evaluate_conditional(const Expr& expr, Scope& scope);
  Value evaluate_dict(const Expr& expr, Scope& scope);
  Values evaluate_all(const std::vector<Expr*>& exprs, Scope& scope);
  Arguments arguments_of(const Expr& expr, Scope& scope);

  const Program& program_;
  std::vector<Value> undefined_names_;  ///< by number, none until asked for
  std::string out_;
  Value captured_;  ///< what kCaptured stands for
  Position at_;     ///< of what is being worked on: where an error is reported
  int calls_ = 0;   ///< macros running inside each other
};

}  // namespace ocelli::text::jinja
