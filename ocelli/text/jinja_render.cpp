#include "ocelli/text/jinja_render.h"

#include <algorithm>

#include "ocelli/text/jinja_arguments.h"
#include "ocelli/text/jinja_interpreter.h"

namespace ocelli::text::jinja {
namespace {

class Macro final : public CallableObject {
 public:
  Macro(Interpreter& interpreter, const Function& function, Scope& scope)
      : interpreter_(interpreter), function_(function), scope_(scope) {}
  Value call(Runtime&, const Arguments& arguments) override { return interpreter_.invoke(function_, scope_, arguments); }
  std::string_view name() const override { return function_.name; }

 private:
  Interpreter& interpreter_;
  const Function& function_;
  Scope& scope_;
};

/// What passes an iterable's items that the loop's `if` lets through. The condition sees the target, not the loop.
class FilteredItems final : public IteratorObject {
 public:
  FilteredItems(Interpreter& interpreter, const Stmt& stmt, Scope& outer, IteratorObject& items)
      : interpreter_(interpreter), stmt_(stmt), scope_(*interpreter.make<Scope>(&outer)), items_(items) {}
  bool next(Runtime& runtime, Value& value) override {
    while (items_.next(runtime, value)) {
      scope_.clear();
      interpreter_.assign(*stmt_.target, value, scope_);
      if (interpreter_.holds(*stmt_.test, scope_)) return true;
    }
    return false;
  }

 private:
  Interpreter& interpreter_;
  const Stmt& stmt_;
  Scope& scope_;
  IteratorObject& items_;
};

/// loop.cycle(), loop.changed(): functions of a loop.
class LoopFunction final : public CallableObject {
 public:
  using Body = Value (*)(Runtime&, LoopObject&, const Arguments&);
  LoopFunction(std::string_view name, LoopObject& loop, Body body) : name_(name), loop_(loop), body_(body) {}
  Value call(Runtime& runtime, const Arguments& arguments) override { return body_(runtime, loop_, arguments); }
  std::string_view name() const override { return name_; }

 private:
  std::string_view name_;
  LoopObject& loop_;
  Body body_;
};

/// jinja2.runtime.LoopContext: reads one item ahead only when asked about the end.
class Loop final : public LoopObject {
 public:
  Loop(Interpreter& interpreter, const Stmt& stmt, Scope& outer, Runtime& runtime, const Value& iterable, int depth)
      : interpreter_(interpreter), stmt_(stmt), outer_(outer), items_(&iterate(runtime, iterable)), depth_(depth) {
    if (stmt.test != nullptr) {
      items_ = runtime.make<FilteredItems>(interpreter, stmt, outer, *items_);
    } else if (has_length(iterable)) {
      length_ = jinja::length(runtime, iterable);
    }
  }

  bool advance(Runtime& runtime) override {
    Value item;
    if (peeked_) {
      peeked_ = false;
      if (!has_next_) return false;
      item = ahead_;
    } else if (!items_->next(runtime, item)) {
      return false;
    }
    ++index_;
    before_ = current_;
    current_ = item;
    return true;
  }

  Value current() const override { return current_; }

  Int length(Runtime& runtime) override {
    if (!length_) {
      // No length of its own: read the rest now.
      Values rest;
      for (Value item; items_->next(runtime, item);) rest.push_back(item);
      length_ = static_cast<Int>(rest.size()) + index_ + 1 + (peeked_ && has_next_ ? 1 : 0);
      items_ = &iterate(runtime, runtime.list(std::move(rest)));
    }
    return *length_;
  }

  Value attribute(Runtime& runtime, std::string_view name) override {
    if (name == "index") return Value(index_ + 1);
    if (name == "index0") return Value(index_);
    if (name == "first") return Value(index_ == 0);
    if (name == "last") return Value(!peek(runtime));
    if (name == "length") return Value(length(runtime));
    if (name == "revindex") return Value(length(runtime) - index_);
    if (name == "revindex0") return Value(length(runtime) - index_ - 1);
    if (name == "depth") return Value(static_cast<Int>(depth_ + 1));
    if (name == "depth0") return Value(static_cast<Int>(depth_));
    if (name == "previtem") return index_ == 0 ? runtime.undefined("there is no previous item") : before_;
    if (name == "nextitem") return peek(runtime) ? ahead_ : runtime.undefined("there is no next item");
    if (name == "cycle") return function(runtime, "cycle", cycle);
    if (name == "changed") return function(runtime, "changed", changed);
    return runtime.undefined(fmt::format("'loop' has no attribute '{}'", name));
  }

  /// `loop(items)` in a recursive loop.
  Value call(Runtime& runtime, const Arguments& arguments) override {
    const Bound bound("loop()", arguments, {"iterable"}, 1);
    if (!stmt_.recursive) fail("only a loop marked 'recursive' can be called");
    return runtime.string(interpreter_.capture_loop(stmt_, outer_, *bound[0], depth_ + 1));
  }
  std::string_view name() const override { return "loop"; }

 private:
  Value function(Runtime& runtime, std::string_view name, LoopFunction::Body body) {
    return Value(Kind::kCallable, runtime.make<LoopFunction>(name, *this, body));
  }

  static Value cycle(Runtime&, LoopObject& loop, const Arguments& arguments) {
    if (arguments.positional.empty() || !arguments.keywords.empty()) fail("loop.cycle() needs at least one item, and no names");
    const Int index = static_cast<Loop&>(loop).index_;
    return arguments.positional[static_cast<size_t>(index) % arguments.positional.size()];
  }

  static Value changed(Runtime& runtime, LoopObject& loop, const Arguments& arguments) {
    if (!arguments.keywords.empty()) fail("loop.changed() takes no keyword arguments");
    auto& self = static_cast<Loop&>(loop);
    const Value now = runtime.tuple(arguments.positional);
    if (self.seen_ && equal(runtime, *self.seen_, now)) return Value(false);
    self.seen_ = now;
    return Value(true);
  }

  bool peek(Runtime& runtime) {
    if (!peeked_) {
      has_next_ = items_->next(runtime, ahead_);
      peeked_ = true;
    }
    return has_next_;
  }

  Interpreter& interpreter_;
  const Stmt& stmt_;
  Scope& outer_;
  IteratorObject* items_;
  int depth_;
  Int index_ = -1;
  std::optional<Int> length_;
  Value before_, current_, ahead_;
  bool peeked_ = false;
  bool has_next_ = false;
  std::optional<Value> seen_;
};

}  // namespace

std::string Interpreter::run(const OrderedJson& variables) {
  auto& given = *make<Scope>(nullptr);
  for (auto entry = variables.begin(); entry != variables.end(); ++entry) {
    // A variable the template never names needs no value.
    const auto number = program_.numbers.find(entry.key());
    if (number != program_.numbers.end()) given.set(number->second, from_json(*this, entry.value()));
  }
  try {
    execute(program_.body, enter(given, program_.hidden));
  } catch (const Error& error) {
    fail_at(at_, "{}", error.what());
  }
  return std::move(out_);
}

Scope& Interpreter::enter(Scope& outer, const std::vector<int>& hidden) {
  auto& scope = *make<Scope>(&outer);
  hide(scope, hidden);
  return scope;
}

void Interpreter::hide(Scope& scope, const std::vector<int>& hidden) {
  for (const int name : hidden) scope.set(name, undefined_name(name));
}

Interpreter::Flow Interpreter::execute(const Body& body, Scope& scope) {
  const Nesting nesting(*this);
  for (const Stmt* stmt : body) {
    const Flow flow = execute(*stmt, scope);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Stmt& stmt, Scope& scope) {
  charge();
  at_ = stmt.at;
  switch (stmt.kind) {
    case StmtKind::kText:
      charge_scan(stmt.text.size());
      check_size(static_cast<Int>(out_.size() + stmt.text.size()));
      out_ += stmt.text;
      break;
    case StmtKind::kPrint:
      print(evaluate(*stmt.value, scope));
      break;
    case StmtKind::kIf:
      return execute_if(stmt, scope);
    case StmtKind::kFor: {
      const Value items = evaluate(*stmt.value, scope);
      at_ = stmt.at;
      return run_loop(stmt, scope, items, 0);
    }
    case StmtKind::kSet:
      assign(*stmt.target, evaluate(*stmt.value, scope), scope);
      break;
    case StmtKind::kSetBlock:
    case StmtKind::kFilter:
      return execute_captured(stmt, scope);
    case StmtKind::kMacro:
      scope.set(stmt.name, Value(Kind::kCallable, make<Macro>(*this, *stmt.function, scope)));
      break;
    case StmtKind::kCall:
      execute_call(stmt, scope);
      break;
    case StmtKind::kWith: {
      auto& inner = enter(scope, stmt.hidden);
      for (const auto& [target, value] : stmt.assignments) assign(*target, evaluate(*value, scope), inner);
      return execute(stmt.body, inner);
    }
    case StmtKind::kScope:
      return execute(stmt.body, enter(scope, stmt.hidden));
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& stmt, Scope& scope) {
  for (const auto& [condition, body] : stmt.branches) {
    if (condition == nullptr || holds(*condition, scope)) return execute(body, scope);
  }
  return Flow::kNext;
}

/// {% set x %}…{% endset %} and {% filter f %}…{% endfilter %}. A break or continue inside drops the text.
Interpreter::Flow Interpreter::execute_captured(const Stmt& stmt, Scope& scope) {
  Flow flow = Flow::kNext;
  const std::string text = capture(stmt.body, enter(scope, stmt.hidden), flow);
  if (flow != Flow::kNext) return flow;
  captured_ = string(text);
  const Value value = evaluate(*stmt.value, scope);
  if (stmt.kind == StmtKind::kSetBlock) {
    assign(*stmt.target, value, scope);
  } else {
    print(value);
  }
  return Flow::kNext;
}

void Interpreter::execute_call(const Stmt& stmt, Scope& scope) {
  const Value callee = evaluate(*stmt.value->left, scope);
  Arguments arguments = arguments_of(*stmt.value, scope);
  arguments.keywords.emplace_back("caller", Value(Kind::kCallable, make<Macro>(*this, *stmt.function, scope)));
  at_ = stmt.at;
  print(call(*this, callee, arguments));
}

void Interpreter::print(const Value& value) {
  append_text(*this, value, out_);
}

std::string Interpreter::capture(const Body& body, Scope& scope, Flow& flow) {
  // On an error the outer text is lost with the rendering, so there is nothing to put back.
  std::string outer = std::exchange(out_, {});
  flow = execute(body, scope);
  return std::exchange(out_, std::move(outer));
}

void Interpreter::assign(const Expr& target, const Value& value, Scope& scope) {
  if (target.kind == ExprKind::kName) {
    scope.set(target.name, value);
  } else if (target.kind == ExprKind::kAttributeTarget) {
    const Value* object = scope.find(target.name);
    at_ = target.at;
    const std::string_view name = program_.names[static_cast<size_t>(target.name)];
    if (object == nullptr || !object->is(Kind::kNamespace)) fail("'{}' is no namespace: its attributes can't be set", name);
    if (target.text.starts_with('_')) fail("a namespace's attribute can't start with an underscore, as '{}' does", target.text);
    object->as<NamespaceObject>().attributes.set(*this, view(target.text), value);
  } else {
    const Values items = collect(*this, value);
    at_ = target.at;
    if (items.size() != target.items.size()) fail("{} values can't be assigned to {} names", items.size(), target.items.size());
    for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i], scope);
  }
}

Value Interpreter::invoke(const Function& function, Scope& outer, const Arguments& arguments) {
  if (calls_ >= limits().max_depth) fail("macros call each other deeper than {} levels (max_depth)", limits().max_depth);
  auto& scope = enter(outer, function.hidden);
  const size_t count = function.parameters.size();
  std::vector<std::pair<std::string_view, Value>> rest = arguments.keywords;
  const auto take = [&](std::string_view name) -> std::optional<Value> {
    const auto found = std::find_if(rest.begin(), rest.end(), [&](const auto& keyword) { return keyword.first == name; });
    if (found == rest.end()) return std::nullopt;
    const Value value = found->second;
    rest.erase(found);
    return value;
  };
  // Defaults come after all that was given: they may name any parameter, and one without a value yet is undefined.
  bool found_caller = false;
  std::vector<bool> given(count);
  for (size_t i = 0; i < count; ++i) {
    const std::string_view name = program_.names[static_cast<size_t>(function.parameters[i])];
    found_caller = found_caller || name == "caller";
    const std::optional<Value> value = i < arguments.positional.size() ? std::optional(arguments.positional[i]) : take(name);
    given[i] = value.has_value();
    scope.set(function.parameters[i], value ? *value : undefined(fmt::format("parameter '{}' was not provided", name)));
  }
  const size_t without_default = count - function.defaults.size();
  for (size_t i = without_default; i < count; ++i) {
    if (!given[i]) scope.set(function.parameters[i], evaluate(*function.defaults[i - without_default], scope));
  }
  const auto set = [&](std::string_view name, const Value& value) { scope.set(program_.numbers.at(name), value); };
  if (function.reads_caller && !found_caller) {
    const std::optional<Value> caller = take("caller");
    set("caller", caller ? *caller : undefined("no caller defined"));
  }
  if (function.reads_kwargs) {
    auto* keywords = make<DictObject>();
    for (const auto& [name, value] : rest) keywords->set(*this, string(std::string(name)), value);
    set("kwargs", Value(Kind::kDict, keywords));
  } else if (!rest.empty()) {
    fail("macro '{}' takes no keyword argument '{}'", function.name, rest.front().first);
  }
  const size_t extra = std::min(count, arguments.positional.size());
  if (function.reads_varargs) {
    set("varargs", tuple(Values(arguments.positional.begin() + static_cast<std::ptrdiff_t>(extra), arguments.positional.end())));
  } else if (arguments.positional.size() > count) {
    fail("macro '{}' takes not more than {} argument(s)", function.name, count);
  }
  ++calls_;
  Flow flow = Flow::kNext;
  std::string text = capture(function.body, scope, flow);
  --calls_;
  return string(std::move(text));
}

Interpreter::Flow Interpreter::run_loop(const Stmt& stmt, Scope& outer, const Value& items, int depth) {
  static constexpr std::string_view kLoop = "loop";
  const auto loop_name = program_.numbers.find(kLoop);
  auto* loop = make<Loop>(*this, stmt, outer, *this, items, depth);
  auto& scope = *make<Scope>(&outer);
  bool finished_one = false;
  while (loop->advance(*this)) {
    scope.clear();
    hide(scope, stmt.hidden);
    if (loop_name != program_.numbers.end()) scope.set(loop_name->second, Value(Kind::kLoop, loop));
    assign(*stmt.target, loop->current(), scope);
    const Flow flow = execute(stmt.body, scope);
    if (flow == Flow::kBreak) break;
    // jinja2 marks the loop as having run at the end of its body, which `continue` skips.
    if (flow == Flow::kNext) finished_one = true;
  }
  if (finished_one || stmt.otherwise.empty()) return Flow::kNext;
  return execute(stmt.otherwise, enter(outer, stmt.hidden_otherwise));
}

std::string Interpreter::capture_loop(const Stmt& stmt, Scope& outer, const Value& items, int depth) {
  if (depth >= limits().max_depth) fail("a recursive loop calls itself deeper than {} levels (max_depth)", limits().max_depth);
  std::string text = std::exchange(out_, {});
  run_loop(stmt, outer, items, depth);
  return std::exchange(out_, std::move(text));
}

std::string render(const Program& program, const OrderedJson& variables, const TemplateLimits& limits) {
  return Interpreter(program, limits).run(variables);
}

}  // namespace ocelli::text::jinja
