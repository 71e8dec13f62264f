#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ocelli/base/error.h"

namespace ocelli::detail {

struct PickleLimits {
  uint64_t values = 0;       ///< pushed onto the stack, all in all
  uint64_t memo = 0;         ///< places
  uint64_t line = 0;         ///< bytes of a line
  std::string_view line_is;  ///< what messages call a line
};

/// What every reader of pickles stands on: the bytes, the stack with its marks, and the memo, each checked; a fault is an Error
/// that names `origin` and the byte of the opcode. Readers add what values are and which opcodes are read.
template <typename Value>
class PickleMachine {
 protected:
  using Values = std::vector<Value>;

  PickleMachine(std::string_view text, std::string_view origin, const PickleLimits& limits)
      : text_(text), origin_(origin), limits_(limits) {}

  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: byte {} of the pickle: {}", origin_, opcode_at_, fmt::format(format, std::forward<Args>(args)...));
  }

  // The bytes.

  uint64_t left() const { return text_.size() - at_; }
  uint8_t next_opcode() {
    opcode_at_ = at_;
    return read<uint8_t>();
  }
  std::string_view take(uint64_t size) {
    if (size > left()) fail_here("truncated: {} bytes wanted, {} left", size, left());
    const std::string_view taken = text_.substr(at_, size);
    at_ += size;
    return taken;
  }
  template <typename T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view take_line() {
    const size_t end = text_.substr(at_, limits_.line).find('\n');
    if (end == std::string_view::npos) fail_here("a {} of more than {} bytes or without end", limits_.line_is, limits_.line);
    return take(end + 1).substr(0, end);
  }
  /// An integer of `size` bytes, little-endian in two's complement; empty beyond 64 bits.
  std::optional<int64_t> read_large_integer(uint64_t size) {
    const std::string_view bytes = take(size);
    if (size > sizeof(int64_t)) return std::nullopt;
    uint64_t value = 0;
    std::memcpy(&value, bytes.data(), size);
    const bool is_negative = size > 0 && (static_cast<uint8_t>(bytes.back()) & 0x80U) != 0;
    if (is_negative && size < sizeof(int64_t)) value |= ~uint64_t{0} << (8 * size);
    return static_cast<int64_t>(value);
  }

  // The stack.

  void count_value() {
    if (++num_values_ > limits_.values) fail_here("more than {} values", limits_.values);
  }
  void push(const Value& value) {
    count_value();
    stack_.push_back(value);
  }
  void push_mark() {
    count_value();
    marks_.push_back(stack_.size());
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value& top() {
    if (stack_.size() <= floor()) fail_here("an operand is missing");
    return stack_.back();
  }
  Value pop() {
    const Value value = top();
    stack_.pop_back();
    return value;
  }
  Values pop_last(size_t count) {
    if (stack_.size() - floor() < count) fail_here("an operand is missing");
    Values values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  Values pop_to_mark() {
    if (marks_.empty()) fail_here("a mark is missing");
    Values values = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return values;
  }
  /// The value a pickle ends with.
  Value only_value() const {
    if (stack_.size() != 1 || !marks_.empty()) fail_here("ends with {} values, expected one", stack_.size());
    return stack_[0];
  }

  // The memo.

  void remember(uint64_t place) {
    // Picklers number without gaps; a place far out is a lie about the memory it takes.
    if (place >= limits_.memo) fail_here("memo place {}, the limit is {}", place, limits_.memo);
    const Value value = top();
    if (place >= memo_.size()) memo_.resize(place + 1);
    if (!memo_[place]) ++num_memoized_;
    memo_[place] = value;
  }
  void recall(uint64_t place) {
    if (place >= memo_.size() || !memo_[place]) fail_here("memo place {} is empty", place);
    push(*memo_[place]);
  }

  std::string_view text_;
  std::string_view origin_;
  Values stack_;
  std::vector<size_t> marks_;
  uint64_t num_memoized_ = 0;  ///< places filled

 private:
  PickleLimits limits_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  uint64_t num_values_ = 0;
  std::vector<std::optional<Value>> memo_;
};

}  // namespace ocelli::detail
