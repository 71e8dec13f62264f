#include "ocelli/report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kPng("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40", 24);

TEST(Base64, MatchesTheVectorsOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST(HtmlPage, EscapesEveryText) {
  const std::string evil = "<script>alert('x')</script>&\"";
  HtmlPage page(evil, evil);
  page.heading(evil);
  page.heading(evil, 3);
  page.paragraph(evil);
  page.note(evil);
  page.key_figures({{evil, evil, evil}});
  Table table({evil});
  table.add_row({evil});
  page.table(table, evil);
  page.code(evil, evil);
  page.folded(evil, evil);
  page.svg("<svg></svg>", evil);
  page.pictures({{.encoded = kPng, .lines = {{evil, evil, Verdict::kWrong}}, .alt = evil}});
  page.runs({{evil, true}, {evil}, {evil, false, true}}, evil);
  page.footer(evil);
  EXPECT_THAT(page.str(), AllOf(Not(HasSubstr("<script")), Not(HasSubstr("alert('")), HasSubstr("&lt;script&gt;")));
}

TEST(HtmlPage, LoadsNothingFromElsewhere) {
  HtmlPage page("t");
  page.pictures({{.encoded = kPng, .lines = {{"answer", "blue", Verdict::kRight}}}});
  const std::string html = page.str();
  EXPECT_THAT(html, AllOf(HasSubstr("default-src 'none'"), HasSubstr("src=\"data:image/png;base64,iVBORw0KGgo"),
                          Not(HasSubstr("http://")), Not(HasSubstr("https://"))));
}

TEST(HtmlPage, ShowsTinyPicturesWithSquarePixelsAndVerdictsWithMarks) {
  HtmlPage page("t");
  page.pictures(
      {{.encoded = kPng, .lines = {{"", "yes", Verdict::kRight}, {"", "no", Verdict::kWrong}, {"", "text", Verdict::kNone}}}});
  EXPECT_THAT(page.str(), AllOf(HasSubstr("<img class=\"tiny\" alt=\"yes\""), HasSubstr("<span class=\"ok\">✓ yes</span>"),
                                HasSubstr("<span class=\"bad\">✗ no</span>"), HasSubstr("<div>text</div>")));
}

TEST(HtmlPage, SetsRunsOfTextApart) {
  HtmlPage page("t");
  page.runs({{"asked ", false}, {"answered", true}, {" 5 more", false, true}});
  EXPECT_THAT(page.str(), HasSubstr("asked <mark>answered</mark><small> 5 more</small></pre>"));
}

TEST(HtmlPage, ListsItsSectionsAndRightAlignsNumbers) {
  HtmlPage page("t");
  for (const char* name : {"One", "Two", "Three"}) page.heading(name);
  Table table({"name", "n"});
  table.add_row({"a", "3"});
  table.add_total({"b", "4"});
  page.table(table);
  EXPECT_THAT(page.str(),
              AllOf(HasSubstr("<a href=\"#s3\">Three</a>"), HasSubstr("<h2 id=\"s3\">Three</h2>"),
                    HasSubstr("<th class=\"r\">n</th>"), HasSubstr("<tr class=\"total\"><td>b</td><td class=\"r\">4</td>")));
}

TEST(HtmlPage, RefusesWhatIsNoPictureOrPlot) {
  HtmlPage page("t");
  EXPECT_THROW(page.pictures({{.encoded = "GIF89a"}}), Error);
  EXPECT_THROW(page.svg("<script>"), Error);
  EXPECT_THROW(page.heading("x", 1), Error);
}

TEST(HtmlPage, SavesWhatStrGives) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "ocelli_html_test";
  std::filesystem::create_directories(folder);
  HtmlPage page("t");
  page.paragraph("größe");
  page.save(folder / "report.html");
  EXPECT_EQ(read_file(folder / "report.html"), page.str());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ocelli::report
