#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ocelli::report {

/// Three digits and a decimal prefix: si(1.2e9) is "1.20 G", si(1.2e9, "FLOP") "1.20 GFLOP", si(12) "12", si(0.5, "V") "500 mV".
/// Prefixes n to Y; beyond them, and for what isn't finite, as printf's %.3g.
std::string si(double value, std::string_view unit = "");

/// Powers of 1024, three digits: "512 B", "12.3 MiB", "1.50 GiB".
std::string bytes(double count);

/// "850 µs", "12.3 ms", "4.20 s", "1 min 23 s", "2 h 05 min", "3 d 4 h".
std::string duration(double seconds);

/// A share of one as percent: percent(0.9731) is "97.3 %".
std::string percent(double share, int decimals = 1);

/// Thousands apart: grouped(48248) is "48,248".
std::string grouped(int64_t value);

/// Columns a terminal needs for UTF-8 text: combining marks take none, East Asian wide characters and emoji two,
/// a byte that is no UTF-8 one.
int display_width(std::string_view text);

/// The longest beginning that fits in `columns`, whole characters only; what was cut shows as "…".
std::string cut_to_width(std::string_view text, int columns);

}  // namespace ocelli::report
