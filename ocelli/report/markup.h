#pragma once

#include <string>
#include <string_view>

namespace ocelli::report {

/// Text made safe inside HTML and SVG, between tags and in quoted attributes: & < > " ' are escaped, bytes that are no UTF-8 and
/// characters XML forbids become U+FFFD. What a model wrote may hold anything.
std::string escape_markup(std::string_view text);

}  // namespace ocelli::report
