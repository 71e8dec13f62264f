#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/text/chat_template.h"
#include "ocelli/text/jinja_value.h"

namespace ocelli::text::jinja {

/// Owns objects and frees them all at once.
class Heap {
 public:
  template <typename T, typename... Args>
  T* make(Args&&... args) {
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T* raw = object.get();
    objects_.push_back(std::move(object));
    return raw;
  }

 private:
  std::vector<std::unique_ptr<Object>> objects_;
};

/// One rendering: its heap, and what it may still spend. Everything that works on values charges here first, so that
/// no template runs, allocates or recurses without bound.
class Runtime {
 public:
  explicit Runtime(const TemplateLimits& limits) : limits_(limits) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  /// Counts `steps` units of work: one node evaluated, one item visited.
  void charge(int64_t steps = 1) {
    steps_ += steps;
    if (steps_ > limits_.max_steps || steps_ < 0) fail_steps();
  }
  /// Counts a pass over `bytes` of text.
  void charge_scan(size_t bytes) { charge(1 + static_cast<int64_t>(bytes / 64)); }
  /// Throws Error when a string of `bytes` would be longer than the output may be. Call before making it.
  void check_size(Int bytes) const;

  Value string(std::string text, bool markup = false);
  /// A string over text that outlives the rendering: the template's or the variables'.
  Value view(std::string_view text) { return Value(Kind::kString, heap_.make<StringObject>(text, false)); }
  Value list(Values items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(Values items) { return sequence(Kind::kTuple, std::move(items)); }
  Value undefined(std::string message) { return Value(Kind::kUndefined, make<UndefinedObject>(std::move(message))); }

  template <typename T, typename... Args>
  T* make(Args&&... args) {
    charge_memory(sizeof(T) + 16);
    return heap_.make<T>(std::forward<Args>(args)...);
  }
  /// Throws Error when the values made so far take more memory than a rendering may.
  void charge_memory(size_t bytes);

  const TemplateLimits& limits() const { return limits_; }

  /// Held while a recursive function runs; throws Error when they nest too deep for the stack.
  class Nesting {
   public:
    explicit Nesting(Runtime& runtime) : runtime_(runtime) {
      if (++runtime_.nesting_ > kMaxNesting) {
        --runtime_.nesting_;
        runtime_.fail_nesting();
      }
    }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --runtime_.nesting_; }

   private:
    Runtime& runtime_;
  };

 private:
  /// Frames of the evaluator, of repr, comparison and nested generators. A frame takes up to 1.5 KiB (4 under
  /// AddressSanitizer), so this stays far under the 8 MiB of a thread's stack.
  static constexpr int kMaxNesting = 800;

  Value sequence(Kind kind, Values items) {
    charge_memory(items.size() * sizeof(Value));
    return Value(kind, make<ListObject>(std::move(items)));
  }
  [[noreturn]] void fail_steps() const;
  [[noreturn]] void fail_nesting() const;

  TemplateLimits limits_;
  Heap heap_;
  int64_t steps_ = 0;
  size_t memory_ = 0;
  int nesting_ = 0;
};

}  // namespace ocelli::text::jinja
