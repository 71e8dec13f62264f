#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "ocelli/base/json.h"

namespace ocelli::detail {

/// What nlohmann's SAX handlers of this room share: where the parser stands and how errors read. nlohmann's callbacks carry
/// no position, so the text goes in through an iterator that notes how far it was read.
class SaxHandler {
 public:
  SaxHandler(std::string_view text, std::string_view origin) : text_(text), origin_(origin), position_(text.data()) {}

  /// Throws Error `origin: byte N: message`.
  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: byte {}: {}", origin_, position_ - text_.data(), fmt::format(format, std::forward<Args>(args)...));
  }

  /// Called by nlohmann on bad syntax.
  template <typename Exception>
  bool parse_error(size_t position, const std::string& /*last_token*/, const Exception& error) {
    fail("{}: byte {}: {}", origin_, std::min(position, text_.size()), reason(error.what()));
  }

  std::string_view text() const { return text_; }
  std::string_view origin() const { return origin_; }
  const char** position() { return &position_; }

 private:
  /// nlohmann's message without its prefix and without what was read, which may be long or no text at all.
  static std::string reason(std::string_view what) {
    if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
    if (what.starts_with("parse error")) {
      if (const size_t end = what.find(": "); end != what.npos) what.remove_prefix(end + 2);
    }
    std::string text(what.substr(0, what.find("; last read: '")));
    if (text.size() < what.size()) {
      if (const size_t tail = what.rfind("'; expected "); tail != what.npos) text += what.substr(tail + 1);
    }
    if (text.size() > 200) text.resize(200);
    return text;
  }

  std::string_view text_;
  std::string_view origin_;
  const char* position_;
};

/// Iterates over characters and notes in `seen` how far it came.
class NotingIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  NotingIterator() = default;
  NotingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  NotingIterator& operator++() {
    *seen_ = ++at_;
    return *this;
  }
  NotingIterator operator++(int) {
    NotingIterator old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const NotingIterator& a, const NotingIterator& b) { return a.at_ == b.at_; }

 private:
  const char* at_ = nullptr;
  const char** seen_ = nullptr;
};

/// Runs `handler` (a SaxHandler with nlohmann's callbacks) over its text.
template <typename Handler>
void sax_parse(Handler& handler) {
  const std::string_view text = handler.text();
  // nlohmann takes a NUL for the end of the text and would accept what stands before it.
  if (const size_t nul = text.find('\0'); nul != text.npos) {
    fail("{}: byte {}: a NUL character, which JSON doesn't allow", handler.origin(), nul);
  }
  const NotingIterator first(text.data(), handler.position());
  const NotingIterator last(text.data() + text.size(), handler.position());
  Json::sax_parse(first, last, &handler);
}

}  // namespace ocelli::detail
