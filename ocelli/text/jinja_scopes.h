#pragma once

#include "ocelli/text/jinja_ast.h"

namespace ocelli::text::jinja {

/// Fills the `hidden` lists of a parsed program. jinja2 decides before rendering to which scope a name belongs: one that
/// a scope assigns, and neither reads before nor inherits, starts out undefined there, even where a variable of that
/// name was given. So in `{% for i in [1] %}{{ x }}{% endfor %}{% set x = 2 %}` the loop never sees a given `x`.
/// Source: jinja2/idtracking.py.
void find_hidden_names(Program& program);

}  // namespace ocelli::text::jinja
