#include "ocelli/report/markup.h"

#include <gtest/gtest.h>

#include "ocelli/report/utf8.h"

namespace ocelli::report {
namespace {

TEST(Markup, EscapesWhatMarkupMeans) {
  EXPECT_EQ(escape_markup("<a href=\"x\" id='y'>&amp;"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(escape_markup("größe 猫 😀\n\t"), "größe 猫 😀\n\t");
}

TEST(Markup, ReplacesWhatIsNoTextAtAll) {
  EXPECT_EQ(escape_markup(std::string_view("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(escape_markup("\x1b[31m"), "\uFFFD[31m");
  EXPECT_EQ(escape_markup("\xC3"), "\uFFFD");
  EXPECT_EQ(escape_markup("x\xFF<"), "x\uFFFD&lt;");
}

TEST(Utf8, OverlongSurrogateAndTooLargeAreBroken) {
  for (const std::string_view bytes :
       {"\xC0\xAF", "\xE0\x80\xAF", "\xF0\x80\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE7\x8C"}) {
    EXPECT_FALSE(next_character(bytes).valid);
    EXPECT_EQ(next_character(bytes).bytes, 1U);
  }
  EXPECT_EQ(next_character("\xF4\x8F\xBF\xBF").code, 0x10FFFFU);
  EXPECT_EQ(next_character("").bytes, 0U);
}

}  // namespace
}  // namespace ocelli::report
