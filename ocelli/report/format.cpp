#include "ocelli/report/format.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "ocelli/report/utf8.h"

namespace ocelli::report {
namespace {

/// Three significant digits of a value in [0, 1000), without an exponent.
std::string three_digits(double value) {
  const double size = std::abs(value);
  // The bounds lie where rounding would make a fourth digit: 9.996 is "10.0", not "10.00".
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::string joined(std::string number, std::string_view unit) {
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

struct Range {
  char32_t first, last;
};

constexpr Range kZeroWidth[] = {{0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
                           {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

template <size_t N>
bool within(char32_t code, const Range (&ranges)[N]) {
  for (const Range& range : ranges) {
    if (code >= range.first && code <= range.last) return true;
  }
  return false;
}

int width_of(char32_t code) {
  if (within(code, kZeroWidth)) return 0;
  return within(code, kWide) ? 2 : 1;
}

}  // namespace

std::string si(double value, std::string_view unit) {
  constexpr std::array<std::string_view, 12> kPrefixes = {"n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"};
  constexpr int kNone = 3;
  if (value == 0) return joined("0", unit);
  if (!std::isfinite(value)) return joined(fmt::format("{:.3g}", value), unit);
  int index = kNone;
  double scaled = value;
  for (; std::abs(scaled) >= 999.5 && index < static_cast<int>(kPrefixes.size()); ++index) scaled /= 1000;
  for (; std::abs(scaled) < 0.9995 && index >= 0; --index) scaled *= 1000;
  if (index < 0 || index >= static_cast<int>(kPrefixes.size())) return joined(fmt::format("{:.3g}", value), unit);
  const bool whole = index == kNone && scaled == std::round(scaled);
  return joined(whole ? fmt::format("{:.0f}", scaled) : three_digits(scaled), fmt::format("{}{}", kPrefixes[index], unit));
}

std::string bytes(double count) {
  constexpr std::array<std::string_view, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t index = 0;
  for (; std::abs(count) >= 999.5 && index + 1 < kUnits.size(); ++index) count /= 1024;
  return fmt::format("{} {}", index == 0 ? fmt::format("{:.0f}", count) : three_digits(count), kUnits[index]);
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  if (seconds < 0) return "-" + duration(-seconds);
  if (seconds == 0) return "0 s";
  if (seconds < 59.95) return si(seconds, "s");
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  const int64_t minutes = (whole + 30) / 60;
  if (minutes < 24 * 60) return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  const int64_t hours = (whole + 1800) / 3600;
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string percent(double share, int decimals) {
  return fmt::format("{:.{}f} %", 100 * share, decimals);
}

std::string grouped(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const int64_t first = value < 0 ? 1 : 0;
  for (int64_t at = std::ssize(digits) - 3; at > first; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

int display_width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = next_character(text.substr(at));
    width += width_of(character.code);
    at += character.bytes;
  }
  return width;
}

std::string cut_to_width(std::string_view text, int columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns <= 0) return {};
  int width = 0;
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Character character = next_character(text.substr(at));
    if (width + width_of(character.code) > columns - 1) break;
    width += width_of(character.code);
    at += character.bytes;
  }
  return fmt::format("{}…", text.substr(0, at));
}

}  // namespace ocelli::report
