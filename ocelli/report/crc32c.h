#pragma once

#include <cstdint>
#include <string_view>

namespace ocelli::report {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as RFC 3720 section B.4 gives it.
uint32_t crc32c(std::string_view bytes);

/// The rotated and offset form that TFRecord files store, so that a checksum of data holding checksums stays strong.
/// Source: tensorflow/core/lib/hash/crc32c.h.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace ocelli::report
