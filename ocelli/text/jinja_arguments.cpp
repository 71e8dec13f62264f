#include "ocelli/text/jinja_arguments.h"

#include <algorithm>

namespace ocelli::text::jinja {

Bound::Bound(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names,
             size_t required)
    : function_(function), names_(names), values_(names.size(), nullptr) {
  if (arguments.positional.size() > names_.size()) {
    fail("{} takes at most {} arguments, got {}", function, names_.size(), arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end() || name.starts_with('/')) fail("{} takes no keyword argument '{}'", function, name);
    const Value*& slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot != nullptr) fail("{} got its argument '{}' twice", function, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) fail("{} needs its argument '{}'", function, names_[i]);
  }
}

Int Bound::integer(size_t index, Int fallback) const {
  if (!has(index)) return fallback;
  if (!values_[index]->is_integral()) {
    fail("{}: '{}' is a {}, expected an integer", function_, names_[index], type_name(*values_[index]));
  }
  return values_[index]->integer();
}

std::string_view Bound::text(size_t index, std::string_view fallback) const {
  if (!has(index)) return fallback;
  if (!values_[index]->is_string()) {
    fail("{}: '{}' is a {}, expected a string", function_, names_[index], type_name(*values_[index]));
  }
  return values_[index]->text();
}

bool Bound::truth(Runtime& runtime, size_t index, bool fallback) const {
  return has(index) ? jinja::truth(runtime, *values_[index]) : fallback;
}

}  // namespace ocelli::text::jinja
