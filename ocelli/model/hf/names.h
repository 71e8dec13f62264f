#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ocelli::model::hf {

/// Our name of a published weight: the prefixes of transformers' generations (before 4.52, 4.52 to 4.x, 5) become one. Empty for weights
/// the model has no use for (rotary tables, text towers, pooling heads).
std::optional<std::string> our_name(std::string_view published);

}  // namespace ocelli::model::hf
