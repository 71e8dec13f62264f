#include "ocelli/base/base64.h"

#include <array>

#include "ocelli/base/error.h"

namespace ocelli {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kNone = 0xFF;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  values.fill(static_cast<uint8_t>(kNone));
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

uint32_t value_of(char c) {
  return kValues[static_cast<uint8_t>(c)];
}

[[noreturn]] void refuse(std::string_view text, std::string_view where) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (value_of(text[at]) == kNone) {
      fail("{}: byte {} of its base64 text is {:#04x}, expected a letter, a digit, \"+\" or \"/\"", where, at,
           static_cast<uint8_t>(text[at]));
    }
  }
  fail("{}: base64 text whose last character holds bits beyond the last byte; it was cut or altered", where);
}

}  // namespace

std::string decode_base64(std::string_view text, std::string_view where, uint64_t max_bytes) {
  require(text.size() % 4 == 0, "{}: {} characters of base64 text, which must be a multiple of 4; it was cut, or lacks its \"=\"",
          where, text.size());
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  const uint64_t size = text.size() / 4 * 3 - padding;
  require(size <= max_bytes, "{}: {} bytes in base64, the limit is {}", where, size, max_bytes);
  const std::string_view digits = text.substr(0, text.size() - padding);
  std::string out(size, '\0');
  char* to = out.data();
  size_t at = 0;
  for (; at + 4 <= digits.size(); at += 4) {
    const uint32_t a = value_of(digits[at]), b = value_of(digits[at + 1]), c = value_of(digits[at + 2]),
                   d = value_of(digits[at + 3]);
    if ((a | b | c | d) > 63) refuse(digits, where);
    const uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8);
    *to++ = static_cast<char>(bits);
  }
  if (at < digits.size()) {  // two characters hold a byte and 4 bits of nothing, three hold two bytes and 2 bits
    const uint32_t a = value_of(digits[at]), b = value_of(digits[at + 1]);
    const uint32_t c = at + 2 < digits.size() ? value_of(digits[at + 2]) : 0;
    if ((a | b | c) > 63) refuse(digits, where);
    const uint32_t bits = a << 18 | b << 12 | c << 6;
    if ((bits & (padding == 2 ? 0xFFFFU : 0xFFU)) != 0) refuse(digits, where);
    *to++ = static_cast<char>(bits >> 16);
    if (padding == 1) *to++ = static_cast<char>(bits >> 8);
  }
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0U; };
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const uint32_t bits = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
    for (uint32_t shift : {18U, 12U, 6U, 0U}) out += kAlphabet[bits >> shift & 63U];
  }
  for (size_t i = 0; i < (3 - bytes.size() % 3) % 3; ++i) out[out.size() - 1 - i] = '=';
  return out;
}

bool is_data_url(std::string_view text) {
  return text.starts_with("data:");
}

std::string decode_data_url(std::string_view url, std::string_view where, uint64_t max_bytes) {
  const size_t comma = url.find(',');
  constexpr std::string_view kBase64 = ";base64";
  require(is_data_url(url) && comma != std::string_view::npos && url.substr(0, comma).ends_with(kBase64),
          "{}: a URL of the form data:image/png;base64,… was expected", where);
  return decode_base64(url.substr(comma + 1), where, max_bytes);
}

}  // namespace ocelli
