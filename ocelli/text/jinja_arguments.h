#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "ocelli/text/jinja_value.h"

namespace ocelli::text::jinja {

/// Arguments matched to parameters, as Python's call does; those not given are null.
class Bound {
 public:
  /// `required`: how many of the first `names` must be given. A name that starts with '/' is positional only.
  /// Throws Error naming `function` on a missing, unknown or repeated argument, or too many.
  Bound(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names,
        size_t required = 0);

  const Value* operator[](size_t index) const { return values_[index]; }
  bool has(size_t index) const { return values_[index] != nullptr; }
  /// Given, and not none.
  bool is_set(size_t index) const { return has(index) && !values_[index]->is_none(); }

  /// Throws Error unless the argument is absent (then `fallback`) or an integer.
  Int integer(size_t index, Int fallback) const;
  std::string_view text(size_t index, std::string_view fallback) const;
  bool truth(Runtime& runtime, size_t index, bool fallback) const;

 private:
  std::string_view function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace ocelli::text::jinja
