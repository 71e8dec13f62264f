#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ocelli {

/// The bytes of base64 text: RFC 4648, section 4, with padding and nothing else, no line breaks. Throws Error starting with
/// `where` that names the offset of the first wrong character, or says that there would be more than `max_bytes` (checked before
/// anything is allocated).
std::string decode_base64(std::string_view text, std::string_view where, uint64_t max_bytes);

/// The text of bytes, padded, on one line.
std::string encode_base64(std::string_view bytes);

/// Whether text is a URL that holds its content itself: `data:…`.
bool is_data_url(std::string_view text);

/// The bytes of `data:image/png;base64,…`, RFC 2397. Throws Error as decode_base64() does, and for a URL that isn't base64.
std::string decode_data_url(std::string_view url, std::string_view where, uint64_t max_bytes);

}  // namespace ocelli
