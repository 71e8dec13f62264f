#include "ocelli/data/table_rows.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Cells = std::vector<std::vector<std::string>>;

Cells cells_of(std::string_view text, TableForm form = {}) {
  const TemporaryFolder folder;
  spill(folder / "t.tsv", text);
  const TableRows rows(folder / "t.tsv", form);
  Cells out;
  for (int64_t i = 0; i < rows.size(); ++i) {
    const TableRow row = rows.row(i);
    std::vector<std::string>& cells = out.emplace_back();
    for (size_t c = 0; c < row.size(); ++c) cells.emplace_back(row[c]);
  }
  return out;
}

TEST(TableRows, CutsAsPythonsCsvDoes) {
  EXPECT_EQ(cells_of("a\tb\nc\td"), (Cells{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(cells_of("\xEF\xBB\xBF"
                     "a\tb\r\n\r\n\nc\t\"d\"\r\n"),
            (Cells{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(cells_of("\"x\ty\n\"\"z\"\"\"\tb\n\"\"\t\n"), (Cells{{"x\ty\n\"z\"", "b"}, {"", ""}}));
  EXPECT_EQ(cells_of("a \"quoted\" word\t5\"\n"), (Cells{{"a \"quoted\" word", "5\""}}));  // only in front does a quote quote
  EXPECT_EQ(cells_of("a,\"b,c\"\n", {.separator = ','}), (Cells{{"a", "b,c"}}));
  EXPECT_EQ(cells_of("\"a\tb\n", {.quotes = false}), (Cells{{"\"a", "b"}}));
  EXPECT_EQ(cells_of(""), Cells{});
}

TEST(TableRows, WrittenCellsReadBack) {
  for (const std::string text : {"plain", "", "a\tb", "line\nline", "\"", "say \"x\"", "\r"})
    EXPECT_EQ(cells_of(quoted_cell(text) + "\tend\n"), (Cells{{text, "end"}})) << text;
}

TEST(TableRows, NamesTheByteOfAFault) {
  EXPECT_THAT(error_of([] { cells_of("a\tb\nc\t\"d\n"); }),
              AllOf(HasSubstr("t.tsv"), HasSubstr("byte 6"), HasSubstr("not closed")));
  EXPECT_THAT(error_of([] { cells_of("a\n\"b\"c\n"); }),
              AllOf(HasSubstr("row 1 (byte 2)"), HasSubstr("behind the closing quote")));
  EXPECT_THAT(error_of([] { cells_of("a\n\xFF\n"); }), AllOf(HasSubstr("row 1"), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of([] { cells_of(std::string("a\0b\n", 4)); }), HasSubstr("NUL"));
}

TEST(TableRows, ACellBeyondTheLimitIsNamedHoweverItIsWritten) {
  const TemporaryFolder folder;
  for (const char* head : {"a\n\"", "a\nx"}) {  // a quote that is never closed, and no quote
    spill(folder / "t.tsv", head);
    std::filesystem::resize_file(folder / "t.tsv", 2ULL << 30);  // sparse: two GiB of NULs
    EXPECT_THAT(error_of([&] { TableRows(folder / "t.tsv"); }), AllOf(HasSubstr("byte 2"), HasSubstr("67108864")));
  }
}

TEST(NamedTable, NamesColumnsAndRaggedRows) {
  const TemporaryFolder folder;
  spill(folder / "t.tsv", "a\tb\n1\t2\n3\n");
  const NamedTable table(folder / "t.tsv");
  EXPECT_EQ(table.size(), 2);
  EXPECT_EQ(table.row(0)[table.column("b")], "2");
  EXPECT_THAT(error_of([&] { table.row(1); }), AllOf(HasSubstr("row 2 (byte 8)"), HasSubstr("1 cells"), HasSubstr("2 columns")));
  EXPECT_THAT(error_of([&] { table.column("c"); }), AllOf(HasSubstr("\"c\""), HasSubstr("a, b")));
  spill(folder / "t.tsv", "a\ta\n1\t2\n");
  EXPECT_THAT(error_of([&] { NamedTable(folder / "t.tsv"); }), HasSubstr("twice"));
  spill(folder / "t.tsv", "a\tb\n");
  EXPECT_THAT(error_of([&] { NamedTable(folder / "t.tsv"); }), HasSubstr("no row"));
}

}  // namespace
}  // namespace ocelli::data
