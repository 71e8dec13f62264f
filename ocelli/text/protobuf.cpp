#include "ocelli/text/protobuf.h"

#include <bit>
#include <utility>

#include "ocelli/base/error.h"

namespace ocelli::text {

uint64_t ProtoReader::read_varint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    require(position_ < bytes_.size(), "{}: the file ends inside a number at byte {}", origin_, position_);
    const auto byte = static_cast<uint8_t>(bytes_[position_++]);
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("{}: a number before byte {} has more than ten bytes", origin_, position_);
}

std::string_view ProtoReader::take(uint64_t count) {
  require(count <= bytes_.size() - position_, "{}: field {} at byte {} says {} bytes, {} are left", origin_, field_, position_,
          count, bytes_.size() - position_);
  const std::string_view taken = bytes_.substr(position_, static_cast<size_t>(count));
  position_ += static_cast<size_t>(count);
  return taken;
}

std::optional<uint32_t> ProtoReader::next() {
  if (wire_ != Wire::kTaken) skip();
  if (position_ == bytes_.size()) return std::nullopt;
  const size_t start = position_;
  const uint64_t key = read_varint();
  const uint64_t wire = key & 7;
  field_ = static_cast<uint32_t>(key >> 3);
  require(key >> 3 >= 1 && key >> 3 < (1U << 29), "{}: field number {} at byte {} is outside 1 to 2^29 - 1", origin_, key >> 3,
          start);
  require(wire == 0 || wire == 1 || wire == 2 || wire == 5,
          "{}: field {} at byte {} has wire type {}, expected 0, 1, 2 or 5 (no protobuf file?)", origin_, field_, start, wire);
  wire_ = static_cast<Wire>(wire);
  return field_;
}

void ProtoReader::expect(Wire wire) {
  require(wire_ == wire, "{}: field {} at byte {} has wire type {}, expected {}", origin_, field_, position_,
          static_cast<int>(wire_), static_cast<int>(wire));
  wire_ = Wire::kTaken;
}

void ProtoReader::skip() {
  switch (std::exchange(wire_, Wire::kTaken)) {
    case Wire::kVarint:
      read_varint();
      break;
    case Wire::kFixed64:
      take(8);
      break;
    case Wire::kBytes:
      take(read_varint());
      break;
    case Wire::kFixed32:
      take(4);
      break;
    case Wire::kTaken:
      break;
  }
}

uint64_t ProtoReader::varint() {
  expect(Wire::kVarint);
  return read_varint();
}

float ProtoReader::fixed_float() {
  expect(Wire::kFixed32);
  uint32_t bits = 0;
  unsigned shift = 0;
  for (const char byte : take(4)) {
    bits |= static_cast<uint32_t>(static_cast<uint8_t>(byte)) << shift;
    shift += 8;
  }
  return std::bit_cast<float>(bits);
}

std::string_view ProtoReader::bytes() {
  expect(Wire::kBytes);
  return take(read_varint());
}

}  // namespace ocelli::text
