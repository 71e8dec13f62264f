#include "ocelli/data/portion.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> passes(const std::vector<std::string>& portions, const std::vector<int64_t>& sizes, double temperature = 1,
                           int64_t epoch = 0) {
  std::vector<Portion> parsed;
  for (const std::string& text : portions) parsed.push_back(Portion::parse(text));
  return passes_of(parsed, sizes, temperature, epoch);
}

TEST(Portion, ReadsWhatItWrites) {
  for (const char* text : {"1", "0.3", "#500", "53.9%", "2.5"}) EXPECT_EQ(Portion::parse(text).text(), text);
  for (const char* wrong : {"", "x", "0", "-1", "#0.5", "#", "%", "nan", "inf", "1e300", "3x"}) {
    EXPECT_THAT(error_of([&] { Portion::parse(wrong); }), HasSubstr("is no portion")) << wrong;
  }
}

TEST(Portion, ShorthandsNameASourceAndItsPortion) {
  const Portion two{Portion::Kind::kPasses, 2};
  EXPECT_EQ(parse_named_portion("vqa", two).portion, two);
  const NamedPortion some = parse_named_portion("vqa#500", two);
  EXPECT_EQ(some.name, "vqa");
  EXPECT_EQ(some.portion, (Portion{Portion::Kind::kSamples, 500}));
  EXPECT_EQ(parse_named_portion("a:b:0.3", two).name, "a:b");
  EXPECT_EQ(parse_named_portion("ocr:32%", two).portion, (Portion{Portion::Kind::kShare, 32}));
}

TEST(Portion, PassesSamplesAndSharesBecomePasses) {
  EXPECT_THAT(passes({"1", "0.5", "#500"}, {100, 100, 1000}), ElementsAre(1, 0.5, 0.5));
  // InternVL 1.5's first mixture over sources of equal size: shares of what they hold together.
  EXPECT_THAT(passes({"53.9%", "5.2%", "32%", "8.9%"}, {250, 250, 250, 250}),
              ElementsAre(DoubleNear(2.156, 1e-12), DoubleNear(0.208, 1e-12), DoubleNear(1.28, 1e-12), DoubleNear(0.356, 1e-12)));
  EXPECT_THAT(passes({"60%", "40%"}, {10, 1000}, 1, 100), ElementsAre(DoubleNear(6, 1e-12), DoubleNear(0.04, 1e-12)));
  EXPECT_THAT(error_of([] { passes({"60%", "1"}, {1, 1}); }), HasSubstr("give all of them one kind"));
}

TEST(Portion, TemperatureFlattensAndKeepsTheLength) {
  const std::vector<double> flat = passes({"1", "1"}, {900, 100}, 2);
  EXPECT_NEAR(flat[0] * 900 + flat[1] * 100, 1000, 1e-9);
  EXPECT_NEAR(flat[0] * 900 / (flat[1] * 100), 3, 1e-12);  // the square root of 9
}

TEST(Portion, WholePartsAddUp) {
  // The tutorial's tables: MiniCPM-V 2's part 1 at 1,000 draws, InternVL 1.5's at 10.
  EXPECT_THAT(whole_parts(std::vector<double>{10.4, 26.6, 1.1, 10.6, 2.5, 2.3, 32.0, 14.5}, 1000),
              ElementsAre(104, 266, 11, 106, 25, 23, 320, 145));
  EXPECT_THAT(whole_parts(std::vector<double>{53.9, 5.2, 32.0, 8.9}, 10), ElementsAre(5, 1, 3, 1));
}

}  // namespace
}  // namespace ocelli::data
