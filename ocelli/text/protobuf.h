#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ocelli::text {

/// Walks the fields of one protobuf message (the wire format of protobuf.dev/programming-guides/encoding), without copying.
/// Field types are the caller's knowledge; fields it doesn't ask for are skipped. Every method throws Error naming `origin` and
/// the byte when the bytes end early or a field has another wire type.
class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, std::string origin) : bytes_(bytes), origin_(std::move(origin)) {}

  /// The next field's number; nothing at the end. A field whose value was not taken is passed over.
  std::optional<uint32_t> next();

  uint64_t varint();
  /// An int32 or enum: the low 32 bits, as protobuf reads it.
  int32_t int32() { return static_cast<int32_t>(static_cast<uint32_t>(varint())); }
  bool boolean() { return varint() != 0; }
  float fixed_float();
  /// A string, bytes or a message: a view into the given bytes.
  std::string_view bytes();

 private:
  enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5, kTaken = 255 };
  uint64_t read_varint();
  std::string_view take(uint64_t count);
  void expect(Wire wire);
  void skip();

  std::string_view bytes_;
  std::string origin_;
  size_t position_ = 0;
  uint32_t field_ = 0;
  Wire wire_ = Wire::kTaken;
};

}  // namespace ocelli::text
