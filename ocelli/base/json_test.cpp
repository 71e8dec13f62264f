#include "ocelli/base/json.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  const std::string message = error_of([&] { parse_json(text, "in.json", limits); });
  EXPECT_EQ(error_of([&] { parse_ordered_json(text, "in.json", limits); }), message);
  return message;
}

TEST(ParseJson, BuildsWhatNlohmannBuilds) {
  const std::string text =
      R"( {"b": [1, -2, 3.5, true, null, "\u00e4\n", {}], "a": {"x": [[], [0]]}, "": 18446744073709551615} )";
  EXPECT_EQ(parse_json(text, "in.json"), Json::parse(text));
  EXPECT_EQ(parse_ordered_json(text, "in.json").dump(), OrderedJson::parse(text).dump());
}

TEST(ParseJson, OrderedKeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_ordered_json(R"({"z":1,"a":{"y":2,"b":3},"m":[]})", "in.json").dump(), R"({"z":1,"a":{"y":2,"b":3},"m":[]})");
}

TEST(ParseJson, AcceptsABareValue) {
  EXPECT_EQ(parse_json("42", "in.json"), Json(42));
}

TEST(ParseJson, NamesOriginAndOffsetOfBadSyntax) {
  EXPECT_THAT(refusal(R"({"a": tru})"), StartsWith("in.json: byte 10: syntax error"));
  EXPECT_THAT(refusal(""), StartsWith("in.json: byte 0: syntax error"));
  EXPECT_THAT(refusal("[1,]"), StartsWith("in.json: byte 4: syntax error"));
  EXPECT_THAT(refusal("[1] 2"), StartsWith("in.json: byte 5: syntax error"));
  EXPECT_THAT(refusal("[NaN]"), StartsWith("in.json: byte 2: syntax error"));
}

TEST(ParseJson, RefusesADuplicateKey) {
  EXPECT_THAT(refusal(R"({"a":1,"b":{"a":1},"a":2})"), StartsWith("in.json: byte 22: key \"a\" is given twice"));
}

TEST(ParseJson, TakesTheLastOfDuplicatesWhereAllowed) {
  const JsonLimits limits{.reject_duplicate_keys = false};
  EXPECT_EQ(parse_json(R"({"a":1,"b":2,"a":[3]})", "in.json", limits).dump(), R"({"a":[3],"b":2})");
  EXPECT_EQ(parse_ordered_json(R"({"a":1,"b":2,"a":[3]})", "in.json", limits).dump(), R"({"a":[3],"b":2})");
}

TEST(ParseJson, RefusesDeepNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "in.json"));
  EXPECT_THAT(refusal(nested(65)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(refusal(nested(100000)), HasSubstr("nested deeper than 64 levels"));
}

TEST(ParseJson, RefusesTooManyBytes) {
  EXPECT_THAT(refusal("[1, 2, 3]", {.max_bytes = 8}), HasSubstr("9 bytes of JSON, the limit is 8"));
}

TEST(ParseJson, RefusesWhatIsNoUtf8) {
  EXPECT_THAT(refusal("[\"a\xff\"]"), StartsWith("in.json: byte 4: syntax error"));
  EXPECT_THAT(refusal("[\"\xc0\x80\"]"), HasSubstr("UTF-8"));            // overlong
  EXPECT_THAT(refusal("[\"\xed\xa0\x80\"]"), HasSubstr("UTF-8"));        // a surrogate
  EXPECT_THAT(refusal("{\"\xf5\x80\x80\x80\":1}"), HasSubstr("UTF-8"));  // beyond U+10FFFF
  EXPECT_THAT(refusal(R"(["\ud800"])"), HasSubstr("surrogate"));
}

TEST(ParseJson, RefusesWhatFollowsANul) {
  EXPECT_THAT(refusal(std::string_view("{}\0{}", 5)), HasSubstr("byte 2: a NUL character"));
}

TEST(ParseJson, RefusesNumbersNoDoubleHolds) {
  EXPECT_THAT(refusal("[1e400]"), HasSubstr("number overflow"));
  EXPECT_EQ(parse_json("9007199254740993", "in.json").get<int64_t>(), 9007199254740993);
}

TEST(ParseJson, DoesntRepeatWhatItRead) {
  const std::string message = refusal("[\"" + std::string(1000, 'x') + "\x01\"]");
  EXPECT_LT(message.size(), 300U);
  EXPECT_THAT(message, testing::Not(HasSubstr("xxx")));
}

TEST(ParseJson, ManyKeysTakeLinearTime) {
  std::string text = "{";
  constexpr int kKeys = 200000;  // quadratic would take minutes
  for (int i = 0; i < kKeys; ++i) text += fmt::format("{}\"{}\":0", i == 0 ? "" : ",", i);
  text += "}";
  EXPECT_EQ(parse_ordered_json(text, "in.json").size(), static_cast<size_t>(kKeys));
}

TEST(ReadJson, NamesTheFile) {
  const test::TemporaryFolder folder;
  test::spill(folder / "a.json", "[1");
  EXPECT_THAT(error_of([&] { read_json(folder / "a.json"); }), StartsWith((folder / "a.json").string() + ": byte 2: "));
}

class JsonViewTest : public testing::Test {
 protected:
  const Json value_ =
      Json::parse(R"({"i": 7, "big": 18446744073709551615, "f": 1.5, "whole": 2.0, "b": true, "s": "text", "null": null,
    "list": [1, 2.5], "names": ["a", "b"], "mixed": ["a", 1], "sub": {"deep": {"x": "no"}}})");
  const JsonView view_{value_, "config.json"};
};

TEST_F(JsonViewTest, GivesTypedValues) {
  EXPECT_EQ(view_.integer("i"), 7);
  EXPECT_EQ(view_.number("f"), 1.5);
  EXPECT_EQ(view_.number("i"), 7.0);
  EXPECT_TRUE(view_.boolean("b"));
  EXPECT_EQ(view_.string("s"), "text");
  EXPECT_EQ(view_.numbers("list"), (std::vector<double>{1, 2.5}));
  EXPECT_THAT(error_of([&] { view_.integers("list"); }), HasSubstr("list[1] is 2.5, expected an integer"));
  const Json integers = {{"ids", {3, int64_t{1} << 53 | 1}}, {"one", 1}};
  EXPECT_EQ(JsonView(integers, "c").integers("ids"), (std::vector<int64_t>{3, int64_t{1} << 53 | 1}));
  EXPECT_THAT(error_of([&] { JsonView(integers, "c").integers("one"); }), HasSubstr("expected a list of integers"));
  EXPECT_EQ(view_.strings("names"), (std::vector<std::string>{"a", "b"}));
}

TEST_F(JsonViewTest, NotesTheKeysThatAreAskedFor) {
  std::set<std::string> asked;
  const JsonView noting = view_.noting(asked);
  noting.integer("i");
  noting.string("absent", "x");
  EXPECT_FALSE(noting.has("nothing"));
  EXPECT_THROW(noting.object("sub").object("deep").integer("x"), Error);
  view_.integer("i");  // asks without being noted
  EXPECT_EQ(asked, (std::set<std::string>{"absent", "i", "nothing", "sub", "sub.deep", "sub.deep.x"}));
}

TEST_F(JsonViewTest, DefaultStandsForAbsentAndNullOnly) {
  EXPECT_EQ(view_.integer("absent", 3), 3);
  EXPECT_EQ(view_.number("null", 0.5), 0.5);
  EXPECT_FALSE(view_.boolean("absent", false));
  EXPECT_EQ(view_.string("null", "d"), "d");
  EXPECT_EQ(view_.integer("i", 3), 7);
  EXPECT_THAT(error_of([&] { view_.integer("s", 3); }), HasSubstr("expected an integer"));
  EXPECT_FALSE(view_.has("null"));
  EXPECT_TRUE(view_.has("i"));
}

TEST_F(JsonViewTest, NamesTheWholePathAndTheValue) {
  EXPECT_EQ(error_of([&] { view_.object("sub").object("deep").integer("x"); }),
            "config.json: sub.deep.x is \"no\", expected an integer");
  EXPECT_EQ(error_of([&] { view_.integer("absent"); }), "config.json: absent is missing");
  EXPECT_EQ(error_of([&] { view_.integer("null"); }), "config.json: null is null, expected an integer");
  EXPECT_EQ(error_of([&] { view_.object("i"); }), "config.json: i is 7, expected an object");
  EXPECT_EQ(error_of([&] { view_.strings("mixed"); }), "config.json: mixed[1] is 1, expected a string");
  EXPECT_EQ(error_of([&] { JsonView(Json::array({1, 2}), "config.json"); }), "config.json is a list of 2, expected an object");
}

TEST_F(JsonViewTest, AnIntegerIsNoFloatAndFitsInto64Bits) {
  EXPECT_EQ(error_of([&] { view_.integer("f"); }), "config.json: f is 1.5, expected an integer");
  EXPECT_EQ(error_of([&] { view_.integer("whole"); }), "config.json: whole is 2.0, expected an integer");
  EXPECT_THAT(error_of([&] { view_.integer("big"); }), HasSubstr("at most 9223372036854775807"));
}

TEST_F(JsonViewTest, ChecksRanges) {
  EXPECT_EQ(view_.integer_in("i", 7, 7), 7);
  EXPECT_EQ(error_of([&] { view_.integer_in("i", 1, 6); }), "config.json: i is 7, expected 1 to 6");
  EXPECT_EQ(error_of([&] { view_.integer_in("i", 8, 9); }), "config.json: i is 7, expected 8 to 9");
  EXPECT_EQ(view_.integer_in("absent", 1, 6, 0), 0);
  EXPECT_THAT(error_of([&] { view_.integer_in("i", 1, 6, 2); }), HasSubstr("expected 1 to 6"));
}

TEST(JsonView, ShortensLongValuesBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "ä";
  const Json value{{"s", text}};
  const std::string message = error_of([&] { JsonView(value, "c").integer("s"); });
  EXPECT_LT(message.size(), 120U);
  EXPECT_NO_THROW(Json(message).dump());  // still UTF-8
}

}  // namespace
}  // namespace ocelli
