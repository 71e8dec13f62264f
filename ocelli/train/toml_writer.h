#pragma once

#include <string>

#include "ocelli/base/json.h"

namespace ocelli::train {

/// A JSON object as TOML: values first, then tables, then arrays of tables as [[…]]; the order of keys is kept, numbers are the
/// shortest that read back equal. Nulls are left out. Tables inside arrays of tables are written inline.
std::string to_toml_text(const OrderedJson& root);

}  // namespace ocelli::train
