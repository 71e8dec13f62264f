#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/json.h"

namespace ocelli {

/// A Python pickle of plain things: lists, tuples, dicts, strings, numbers, bools and None, of protocol 0 to 5. Every global,
/// every object and every opcode besides is refused by name, wherever it stands: nothing is ever called. Source: CPython's
/// Lib/pickle.py and Lib/pickletools.py.
class PlainPickle {
 public:
  /// `bytes` must outlive it. Throws Error naming `origin` and the byte; also for more than 16 million values or when the
  /// pickle isn't a list or tuple.
  PlainPickle(std::string_view bytes, std::string origin);

  /// Items of the list it is.
  int64_t size() const;
  /// The item as JSON, tuples as lists. Throws Error naming the item when it is nested deeper than 64 levels (or holds itself),
  /// has more than a million values, a key that is no string, or a number JSON can't hold.
  Json item(int64_t index) const;

 private:
  enum class Kind : uint8_t { kNone, kBool, kInteger, kReal, kText, kList, kDict };
  struct Value {
    Kind kind = Kind::kNone;
    uint32_t index = 0;  ///< of kText, kList and kDict: among their own
    union {
      int64_t integer = 0;
      double real;
    };
  };
  friend class PlainUnpickler;
  Json to_json(const Value& value, int depth, int64_t& budget, const std::string& where) const;

  std::string origin_;
  Value root_;
  std::vector<std::string_view> texts_;
  std::deque<std::string> owned_;              ///< texts that stood there with escapes
  std::vector<std::vector<Value>> sequences_;  ///< of kDict: key, value, key, value, …
};

}  // namespace ocelli
