#include "ocelli/report/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ocelli::report {
namespace {

TEST(Format, SiKeepsThreeDigitsAndCarriesIntoTheNextPrefix) {
  EXPECT_EQ(si(1.2e9), "1.20 G");
  EXPECT_EQ(si(1.2e9, "FLOP"), "1.20 GFLOP");
  EXPECT_EQ(si(0), "0");
  EXPECT_EQ(si(12), "12");
  EXPECT_EQ(si(12.34), "12.3");
  EXPECT_EQ(si(-4321), "-4.32 k");
  EXPECT_EQ(si(999.4), "999");
  EXPECT_EQ(si(999.6), "1.00 k");
  EXPECT_EQ(si(999'999), "1.00 M");
  EXPECT_EQ(si(9.996), "10.0");
  EXPECT_EQ(si(0.5, "V"), "500 mV");
  EXPECT_EQ(si(7e-6, "s"), "7.00 µs");
  EXPECT_EQ(si(1e-15), "1e-15");
  EXPECT_EQ(si(1e30), "1e+30");
  EXPECT_EQ(si(std::numeric_limits<double>::infinity()), "inf");
}

TEST(Format, BytesUsePowersOf1024) {
  EXPECT_EQ(bytes(0), "0 B");
  EXPECT_EQ(bytes(512), "512 B");
  EXPECT_EQ(bytes(1024), "1.00 KiB");
  EXPECT_EQ(bytes(12.3 * (1 << 20)), "12.3 MiB");
  EXPECT_EQ(bytes(1.5 * (1 << 30)), "1.50 GiB");
}

TEST(Format, DurationsNameTheirTwoLargestUnits) {
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(850e-6), "850 µs");
  EXPECT_EQ(duration(0.0123), "12.3 ms");
  EXPECT_EQ(duration(4.2), "4.20 s");
  EXPECT_EQ(duration(59.96), "1 min 00 s");
  EXPECT_EQ(duration(83), "1 min 23 s");
  EXPECT_EQ(duration(2 * 3600 + 5 * 60), "2 h 05 min");
  EXPECT_EQ(duration(24 * 3600 - 1), "1 d 0 h");
  EXPECT_EQ(duration(76 * 3600), "3 d 4 h");
  EXPECT_EQ(duration(std::nan("")), "unknown");
}

TEST(Format, PercentAndGroups) {
  EXPECT_EQ(percent(0.9731), "97.3 %");
  EXPECT_EQ(percent(1, 0), "100 %");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(48248), "48,248");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(Format, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("größe"), 5);
  EXPECT_EQ(display_width("e\u0301"), 1);  // e and a combining accent
  EXPECT_EQ(display_width("猫"), 2);
  EXPECT_EQ(display_width("😀"), 2);
  EXPECT_EQ(display_width("\xFF\xC3"), 2);  // no UTF-8: a column a byte
}

TEST(Format, CuttingKeepsWholeCharacters) {
  EXPECT_EQ(cut_to_width("short", 5), "short");
  EXPECT_EQ(cut_to_width("longer", 5), "long…");
  EXPECT_EQ(cut_to_width("猫猫猫", 4), "猫…");
  EXPECT_EQ(cut_to_width("abc", 0), "");
}

}  // namespace
}  // namespace ocelli::report
