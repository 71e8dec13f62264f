#pragma once

#include <string>
#include <string_view>

namespace ocelli::text {

/// The bytes of standard base64 with padding (RFC 4648, section 4). Throws Error naming `origin` for anything else.
std::string decode_base64(std::string_view text, const std::string& origin);

}  // namespace ocelli::text
