#include "ocelli/base/plain_pickle.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::string_view_literals;

std::string all_of(std::string_view bytes) {
  const PlainPickle pickle(bytes, "x.p");
  Json out = Json::array();
  for (int64_t i = 0; i < pickle.size(); ++i) out.push_back(pickle.item(i));
  return out.dump();
}

TEST(PlainPickle, ReadsProtocolZeroAsPython2Writes) {
  // pickle.dumps([{'a': 1, 'b': [True, None, 1.5, u'\u20ac', "it's"]}, 5L])
  EXPECT_EQ(all_of("(lp0\n(dp1\nS'a'\np2\nI1\nsS'b'\np3\n(lp4\nI01\naNaF1.5\naV\\u20ac\np5\naS\"it's\"\np6\nasaL5L\na."),
            R"([{"a":1,"b":[true,null,1.5,"€","it's"]},5])");
}

TEST(PlainPickle, ReadsBinaryProtocols) {
  EXPECT_EQ(
      all_of(
          "\x80\x02]q\x00(K\x01M\x02\x01J\xFF\xFF\xFF\xFFG\x3F\xF8\0\0\0\0\0\0X\x02\0\0\0hiq\x01h\x01K\x01\x85}q\x02(U\x01kNue."sv),
      R"([1,258,-1,1.5,"hi","hi",[1],{"k":null}])");
  EXPECT_EQ(all_of("\x80\x04\x95\x0F\0\0\0\0\0\0\0]\x94(\x8C\x02hi\x94h\x01\x88\x8A\x02\x00\x80"
                   "e."sv),
            R"(["hi","hi",true,-32768])");
}

TEST(PlainPickle, RefusesEveryGlobalByName) {
  EXPECT_THAT(error_of([] { all_of("(cos\nsystem\nS'ls'\ntR."); }), AllOf(HasSubstr("x.p: byte 1"), HasSubstr("os.system")));
  EXPECT_THAT(error_of([] { all_of("(ios\nsystem\n."); }), HasSubstr("os.system"));
  EXPECT_THAT(error_of([] { all_of("\x80\x04\x8C\x05posix\x94\x8C\x06system\x94\x93)R."sv); }), HasSubstr("posix.system"));
  EXPECT_THAT(error_of([] { all_of("\x80\x02]K\x01\x82\x01."sv); }), HasSubstr("0x82"));
  EXPECT_THAT(error_of([] { all_of("]NR."); }), HasSubstr("REDUCE"));
}

TEST(PlainPickle, NamesTheByteOfAFault) {
  const std::pair<std::string_view, const char*> cases[] = {
      {"", "truncated"},
      {"\x80\x02X\xFF\xFF\xFF\x7Fhi", "2147483647 bytes wanted"},
      {"\x80\x09.", "protocol 9"},
      {"I1\n.", "no list"},
      {"]]a]", "truncated"},
      {"(lp0\np999999\n.", "memo place 999999"},
      {"]g5\n.", "memo place 5 is empty"},
      {"]K", "truncated"},
      {"]Ix\na.", "no number"},
      {"]S'x\na.", "quotes"},
      {"]S'\\q'\na.", "escape"},
      {"]V\\u12\na.", "4 digits"},
      {"]V\\ud800\na.", "no character"},
      {"a.", "operand is missing"},
      {"e.", "mark is missing"},
      {"}Na.", "no list"},
      {"}(NNNu.", "key without value"},
  };
  for (const auto& [bytes, what] : cases)
    EXPECT_THAT(error_of([&] { all_of(bytes); }), AllOf(HasSubstr("x.p"), HasSubstr(what))) << bytes;
}

TEST(PlainPickle, ThingsThatHoldThemselvesHaveAnEnd) {
  EXPECT_THAT(error_of([] { all_of("]q\0h\0a."sv); }), HasSubstr("64 levels"));
  std::string laughs = "](]q";  // each list holds the one before ten times
  laughs += '\0';
  for (int level = 1; level < 12; ++level) {
    laughs += "](";
    for (int i = 0; i < 10; ++i) laughs += std::string("h") + static_cast<char>(level - 1);
    laughs += std::string("eq") + static_cast<char>(level);
  }
  EXPECT_THAT(error_of([&] { all_of(laughs + "e."); }), HasSubstr("million values"));
  EXPECT_THAT(error_of([] { all_of("]}K\x01Nsa."); }), HasSubstr("no string"));
  const std::string deep = "](" + std::string(10'000, ']') + std::string(9'999, 'a') + "e.";
  EXPECT_THAT(error_of([&] { all_of(deep); }), HasSubstr("64 levels"));
}

}  // namespace
}  // namespace ocelli
