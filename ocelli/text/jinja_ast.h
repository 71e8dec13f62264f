#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ocelli/text/jinja_filters.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {

enum class ExprKind {
  kLiteral,
  kName,
  kAttributeTarget,  ///< `ns.x` on the left of a set
  kTuple,
  kList,
  kDict,
  kAttribute,
  kItem,
  kSlice,
  kCall,
  kFilter,
  kTest,
  kNegate,
  kPlus,
  kNot,
  kBinary,
  kCompare,
  kAnd,
  kOr,
  kConcat,
  kConditional,
  kCaptured,  ///< the text of the block that a filter is applied to
};

enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

/// An expression. Nodes lie in their Program's storage and point at each other.
struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  Position at;
  Value literal;
  int name = -1;            ///< kName, kAttributeTarget: number of the name in Program::names
  std::string_view text;    ///< attribute, filter or test
  Filter filter = nullptr;  ///< kFilter, kTest: null when unknown, which is an error once it is reached
  Test test = nullptr;
  Operator op = Operator::kAdd;
  Expr* left = nullptr;  ///< the operand, object, callee, filtered or tested value, or the condition
  Expr* right = nullptr;
  Expr* third = nullptr;
  std::vector<Expr*> items;  ///< members, arguments, key and value in turn, or the slice's three parts
  std::vector<Comparison> comparisons;
  std::vector<std::pair<std::string_view, Expr*>> keywords;
  Expr* star = nullptr;         ///< `*arguments`
  Expr* double_star = nullptr;  ///< `**keywords`
};

struct Stmt;
using Body = std::vector<Stmt*>;

enum class StmtKind { kText, kPrint, kIf, kFor, kSet, kSetBlock, kMacro, kCall, kFilter, kWith, kScope, kBreak, kContinue };

/// Parameters and body of a macro or call block.
struct Function {
  std::string_view name;
  std::vector<int> parameters;
  std::vector<Expr*> defaults;  ///< of the last parameters
  Body body;
  std::vector<int> hidden;  ///< names that start undefined in its scope: see find_hidden_names()
  bool reads_caller = false;
  bool reads_kwargs = false;
  bool reads_varargs = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  Position at;
  std::string_view text;
  Expr* target = nullptr;
  Expr* value = nullptr;                             ///< printed, assigned, iterated over, called, or the filter of a block
  Expr* test = nullptr;                              ///< the `if` of a for statement
  std::vector<std::pair<Expr*, Body>> branches;      ///< of an if statement; a null condition is else
  std::vector<std::pair<Expr*, Expr*>> assignments;  ///< of a with statement
  Body body;
  std::vector<int> hidden;  ///< names that start undefined in the body's scope
  Body otherwise;
  std::vector<int> hidden_otherwise;
  bool recursive = false;
  Function* function = nullptr;
  int name = -1;  ///< of a macro
};

/// A parsed template, immutable. Owns every node, so that none is freed by recursion.
struct Program {
  Body body;
  std::vector<int> hidden;
  std::vector<std::string_view> names;  ///< variables by number

  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::deque<Function> functions;
  std::deque<std::string> strings;
  Heap heap;  ///< literals
  std::unordered_map<std::string_view, int> numbers;

  std::string_view keep(std::string text) { return strings.emplace_back(std::move(text)); }
  int number_of(std::string_view name);
};

/// Parses what tokenize() cut. Throws Error naming line and column on a syntax error, a construct, filter or test that
/// isn't supported, and nesting over `max_depth`.
void parse(std::vector<Token> tokens, int max_depth, Program& program);

}  // namespace ocelli::text::jinja
