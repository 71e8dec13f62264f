#pragma once

#include <string>

#include "ocelli/text/jinja_ast.h"

namespace ocelli::text::jinja {

/// Renders `program` with `variables`, an object. Throws Error naming line and column.
std::string render(const Program& program, const OrderedJson& variables, const TemplateLimits& limits);

}  // namespace ocelli::text::jinja
