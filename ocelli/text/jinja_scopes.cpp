#include "ocelli/text/jinja_scopes.h"

#include <map>
#include <set>

namespace ocelli::text::jinja {
namespace {

/// What a name's value is when its scope is entered.
enum class Start { kParameter, kInherited, kUndefined };

/// jinja2.idtracking.Symbols: the names one scope knows. Inside an if, a branch holds what it adds to `before`, so that
/// a long chain of ifs isn't copied along with every name.
struct Symbols {
  const Symbols* parent = nullptr;
  const Symbols* before = nullptr;
  std::map<int, Start> names;
  std::set<int> stores;

  bool owns(int name) const { return names.count(name) != 0 || (before != nullptr && before->owns(name)); }
  bool stored(int name) const { return stores.count(name) != 0 || (before != nullptr && before->stored(name)); }
  bool knows(int name) const {
    for (const Symbols* scope = this; scope != nullptr; scope = scope->parent) {
      if (scope->owns(name)) return true;
    }
    return false;
  }
  void load(int name) {
    if (!knows(name)) names[name] = Start::kInherited;
  }
  void store(int name) {
    stores.insert(name);
    if (owns(name)) return;
    const bool outside = parent != nullptr && parent->knows(name);
    names[name] = outside ? Start::kInherited : Start::kUndefined;
  }
  void declare(int name) {
    stores.insert(name);
    names[name] = Start::kParameter;
  }
  /// After an if: what only branches assign keeps the value from before it.
  void merge(const std::vector<Symbols>& branches) {
    for (const Symbols& branch : branches) names.insert(branch.names.begin(), branch.names.end());
    for (const Symbols& branch : branches) {
      for (const int name : branch.stores) {
        if (!stored(name)) names[name] = Start::kInherited;
      }
    }
  }
  std::vector<int> hidden() const {
    std::vector<int> found;
    for (const auto& [name, start] : names) {
      if (start == Start::kUndefined) found.push_back(name);
    }
    return found;
  }
};

void load_names(const Expr* root, Symbols& symbols) {
  // A stack of its own: chains of operators are as deep as they are long.
  std::vector<const Expr*> open = {root};
  while (!open.empty()) {
    const Expr* expr = open.back();
    open.pop_back();
    if (expr == nullptr) continue;
    if (expr->kind == ExprKind::kName || expr->kind == ExprKind::kAttributeTarget) symbols.load(expr->name);
    for (const Expr* part : {expr->left, expr->right, expr->third, expr->star, expr->double_star}) open.push_back(part);
    open.insert(open.end(), expr->items.begin(), expr->items.end());
    for (const auto& [name, value] : expr->keywords) open.push_back(value);
  }
}

void store_target(const Expr& target, Symbols& symbols, bool as_parameter) {
  if (target.kind == ExprKind::kTuple) {
    for (const Expr* item : target.items) store_target(*item, symbols, as_parameter);
  } else if (target.kind == ExprKind::kAttributeTarget) {
    symbols.load(target.name);
  } else if (as_parameter) {
    symbols.declare(target.name);
  } else {
    symbols.store(target.name);
  }
}

void visit(const Body& body, Symbols& symbols);

/// What a statement says about the scope it stands in; scopes inside it come later.
void visit(const Stmt& stmt, Symbols& symbols) {
  switch (stmt.kind) {
    case StmtKind::kIf: {
      std::vector<Symbols> branches;
      for (const auto& [condition, body] : stmt.branches) {
        load_names(condition, symbols);
        Symbols branch{symbols.parent, &symbols, {}, {}};
        visit(body, branch);
        branches.push_back(std::move(branch));
      }
      symbols.merge(branches);
      break;
    }
    case StmtKind::kSet:
      load_names(stmt.value, symbols);
      store_target(*stmt.target, symbols, false);
      break;
    case StmtKind::kSetBlock:
      store_target(*stmt.target, symbols, false);
      break;
    case StmtKind::kMacro:
      symbols.store(stmt.name);
      break;
    case StmtKind::kWith:
      for (const auto& [target, value] : stmt.assignments) load_names(value, symbols);
      break;
    default:
      load_names(stmt.value, symbols);
  }
}

void visit(const Body& body, Symbols& symbols) {
  for (const Stmt* stmt : body) visit(*stmt, symbols);
}

void enter(const Body& body, const Symbols& symbols);

/// A scope of its own around `body`; `symbols` holds its parameters.
std::vector<int> analyze(const Body& body, Symbols symbols) {
  visit(body, symbols);
  enter(body, symbols);
  return symbols.hidden();
}

void analyze(Function& function, const Symbols& outer) {
  Symbols symbols{&outer, nullptr, {}, {}};
  for (const int parameter : function.parameters) symbols.declare(parameter);
  for (const Expr* value : function.defaults) load_names(value, symbols);
  function.hidden = analyze(function.body, std::move(symbols));
}

/// Scopes inside a statement that stands in `symbols`, which is complete.
void enter(Stmt& stmt, const Symbols& symbols) {
  Symbols inner{&symbols, nullptr, {}, {}};
  switch (stmt.kind) {
    case StmtKind::kIf:
      for (const auto& [condition, body] : stmt.branches) enter(body, symbols);
      break;
    case StmtKind::kFor:
      stmt.hidden_otherwise = analyze(stmt.otherwise, inner);
      store_target(*stmt.target, inner, true);
      stmt.hidden = analyze(stmt.body, std::move(inner));
      break;
    case StmtKind::kMacro:
    case StmtKind::kCall:
      analyze(*stmt.function, symbols);
      break;
    case StmtKind::kWith:
      for (const auto& [target, value] : stmt.assignments) store_target(*target, inner, true);
      [[fallthrough]];
    case StmtKind::kSetBlock:
    case StmtKind::kFilter:
    case StmtKind::kScope:
      stmt.hidden = analyze(stmt.body, std::move(inner));
      break;
    default:
      break;
  }
}

void enter(const Body& body, const Symbols& symbols) {
  for (Stmt* stmt : body) enter(*stmt, symbols);
}

}  // namespace

void find_hidden_names(Program& program) {
  program.hidden = analyze(program.body, Symbols{});
}

}  // namespace ocelli::text::jinja
