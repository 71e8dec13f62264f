#include "ocelli/report/table.h"

#include <gtest/gtest.h>

#include "ocelli/base/error.h"

namespace ocelli::report {
namespace {

Table sample() {
  Table table({"part", "FLOPs", "time"});
  table.add_row({"vision größe", "1.20 G", "12.3 ms"});
  table.add_row({"猫", "-", "4.20 s"});
  table.add_total({"total", "1.20 G", "4.21 s"});
  return table;
}

TEST(Table, AlignsByWidthOnScreen) {
  EXPECT_EQ(sample().text(),
            "part           FLOPs     time\n"
            "────────────  ──────  ───────\n"
            "vision größe  1.20 G  12.3 ms\n"
            "猫                 -   4.20 s\n"
            "────────────  ──────  ───────\n"
            "total         1.20 G   4.21 s\n");
}

TEST(Table, MarkdownEscapesBars) {
  Table table({"a|b", "n"});
  table.add_row({"x\ny", "3"});
  table.add_total({"sum", "3"});
  EXPECT_EQ(table.markdown(),
            "| a\\|b | n |\n"
            "| --- | ---: |\n"
            "| x y | 3 |\n"
            "| **sum** | **3** |\n");
}

TEST(Table, OnlyColumnsOfNumbersGoRight) {
  Table table({"name", "date", "accuracy", "empty", "told"});
  table.add_row({"1 a long sentence with a digit", "x1", "97.3 %", "", "abc"});
  table.add_row({"b", "3", "-0.5", "-", "d"});
  table.set_align(4, Align::kRight);
  EXPECT_EQ(table.align(0), Align::kLeft);
  EXPECT_EQ(table.align(1), Align::kLeft);
  EXPECT_EQ(table.align(2), Align::kRight);
  EXPECT_EQ(table.align(3), Align::kLeft);
  EXPECT_EQ(table.align(4), Align::kRight);
}

TEST(Table, ARowOfAnotherLengthIsAnError) {
  Table table({"a", "b"});
  EXPECT_THROW(table.add_row({"1"}), Error);
  EXPECT_THROW(table.set_align(2, Align::kLeft), Error);
}

}  // namespace
}  // namespace ocelli::report
