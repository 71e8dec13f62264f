#include "ocelli/data/quality_check.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/test_samples.h"
#include "ocelli/image/transform.h"

namespace ocelli::data {
namespace {

using ocelli::test::TemporaryFolder;
using testing::as_png;
using testing::asked;
using ::testing::HasSubstr;
using testing::MadeDataset;
using testing::striped;

CheckReport report_of(std::vector<Sample> samples, CheckOptions options = {}) {
  options.threads = 2;
  const std::shared_ptr<const Dataset> source = std::make_shared<MadeDataset>(std::move(samples));
  return check_datasets(std::span(&source, 1), options);
}

/// The one finding of these samples, as "kind: text".
std::string only_finding(std::vector<Sample> samples) {
  const CheckReport report = report_of(std::move(samples));
  std::string out;
  for (const auto& [kind, findings] : report.examples) {
    for (const Finding& finding : findings) out += std::string(info_of(kind).name) + ": " + finding.text + "\n";
  }
  return out;
}

Region region(std::string text, std::array<double, 4> box, int64_t picture = 0) {
  Region out;
  out.picture = picture;
  out.text = std::move(text);
  out.box = box;
  return out;
}

TEST(QualityCheck, FindsNothingInGoodData) {
  const CheckReport report =
      report_of({asked("a", "What is it?", "A cat.", {striped(40, 30, 1, "a.png")}),
                 asked("b", "这是什么？", "一只猫。", {striped(40, 30, 2, "b.png")}), asked("c", "1 + 1?", "2")});
  EXPECT_EQ(report.findings(Severity::kError), 0);
  EXPECT_EQ(report.findings(Severity::kWarning), 0) << report.to_json().dump();
  EXPECT_EQ(report.samples, 3);
  EXPECT_EQ(report.pictures, 2);
  EXPECT_EQ(report.distinct_pictures, 2);
  EXPECT_EQ(report.han_samples, 1);
  EXPECT_EQ(report.latin_samples, 1);
  EXPECT_EQ(report.letterless_samples, 1);
}

TEST(QualityCheck, NamesEachFaultOfARecord) {
  EXPECT_THAT(only_finding({asked("a", "<image><image> What?", "x", {striped(8, 8, 1, "a.png")})}),
              HasSubstr("placeholder: made, record 0: 2 <image> marks for 1 pictures"));
  EXPECT_THAT(only_finding({asked("a", "What?", " ")}), HasSubstr("empty_answer: made, record 0: turn 1"));
  EXPECT_THAT(only_finding({Sample{}}), HasSubstr("record: made, record 0: it must end with an answer"));
}

TEST(QualityCheck, NamesEachFaultOfAPicture) {
  const TemporaryFolder folder;
  const auto with = [](Picture picture) { return std::vector{asked("a", "What?", "x", {std::move(picture)})}; };
  EXPECT_THAT(only_finding(with(folder / "none.png")), HasSubstr("missing_picture: "));
  Picture good = striped(60, 40, 1, "cut.png");
  EXPECT_THAT(only_finding(with({good.bytes->substr(0, good.bytes->size() / 2), "cut.png", "cut.png"})),
              HasSubstr("broken_picture: cut.png: the PNG is truncated"));
  EXPECT_EQ(only_finding(with({*good.bytes, "a.jpg", "a.jpg"})), "wrong_suffix: a.jpg is PNG\n");
  EXPECT_EQ(only_finding(with(striped(1, 9, 1, "thin.png"))), "tiny_picture: thin.png: 1 x 9 pixels\n");
  EXPECT_EQ(only_finding(with(striped(210, 10, 1, "wide.png"))), "extreme_aspect: wide.png: 210 x 10 pixels\n");
}

TEST(QualityCheck, NamesEachFaultOfATextAndItsBoxes) {
  EXPECT_EQ(only_finding({asked("a", "What?", "A <image>.")}), "mark_in_answer: turn 1: the answer holds <image>\n");
  EXPECT_EQ(only_finding({asked("a", std::string("What\0?", 6), "x")}), "nul: turn 0: holds a NUL character\n");
  EXPECT_EQ(only_finding({asked("a", "What?", "a cafÃ©")}), "mojibake: turn 1: holds \"Ã©\"\n");
  EXPECT_EQ(only_finding({asked("a", "What?<|im_end|>", "x")}), "template_token: turn 0: holds <|im_end|>\n");
  EXPECT_EQ(only_finding({asked("a", "?", "x")}), "empty_question: turn 0: the question has no words\n");
  EXPECT_EQ(only_finding({asked("a", "Which?\nA. one\nB. two", "C")}),
            "answer_letter: turn 1: the answer is C, the options are AB\n");
  Sample boxed = asked("a", "Where?", "There.", {striped(40, 30, 1, "a.png")});
  boxed.regions = {region("fine", {0, 0, 40.5, 30}), region("cat", {10, 5, 50, 20})};
  EXPECT_EQ(only_finding({boxed}), "box: box [10, 5, 50, 20] of \"cat\" leaves its picture of 40 x 30 pixels\n");
  boxed.regions = {region("cat", {10, 5, 10, 20})};
  EXPECT_THAT(only_finding({boxed}), HasSubstr("has no area"));
  boxed.regions = {region("cat", {1, 1, 2, 2}, 1)};
  EXPECT_THAT(only_finding({boxed}), HasSubstr("a box of picture 1, but there are 1"));
}

TEST(QualityCheck, NamesWhatComesTwice) {
  const Picture one = striped(60, 40, 1, "one.png"), copy(*one.bytes, "copy.png", "copy.png");
  EXPECT_EQ(only_finding({asked("a", "What?", "x", {one}), asked("b", "Where?", "y", {copy})}),
            "duplicate_picture: copy.png has the bytes of one.png\n");
  // The same file in two samples is one picture, not a copy.
  EXPECT_EQ(only_finding({asked("a", "What?", "x", {one}), asked("b", "Where?", "y", {one})}), "");
  const Picture near = as_png(image::resize(one.load(), 90, 60, image::Filter::kBicubic), "near.png");
  EXPECT_THAT(only_finding({asked("a", "What?", "x", {one}), asked("b", "Where?", "y", {near})}),
              HasSubstr("near_duplicate_picture: near.png looks like one.png"));
  EXPECT_EQ(only_finding({asked("a", "What?", "x"), asked("a", "Where?", "y")}),
            "duplicate_id: its id is also that of sample 0\n");
  EXPECT_EQ(only_finding({asked("a", "What?", "x"), asked("b", "what ?", "x")}),
            "duplicate_sample: \"what\" has the same answer and pictures in sample 0\n");
}

TEST(QualityCheck, TellsWhatTrainAndTestShare) {
  const Picture one = striped(60, 40, 1, "one.png"), two = striped(60, 40, 2, "two.png"), three = striped(60, 40, 3, "three.png");
  CheckOptions options;
  options.against = {std::make_shared<MadeDataset>(
      std::vector{asked("t", "What is it?", "x", {one}), asked("u", "Where is it?", "y", {two})}, "test")};
  const CheckReport report = report_of(
      {asked("a", "what is it", "z", {one}), asked("b", "Why?", "y", {two}), asked("c", "Where is it?", "n", {three})}, options);
  EXPECT_EQ(report.of(FindingKind::kLeakedPicture), 2);
  EXPECT_EQ(report.of(FindingKind::kLeakedPair), 1);
  EXPECT_EQ(report.of(FindingKind::kLeakedQuestion), 2);
  ASSERT_EQ(report.overlaps.size(), 1U);
  EXPECT_EQ(report.overlaps[0].name, "test");
  EXPECT_EQ(report.overlaps[0].pictures, 2);
  EXPECT_EQ(report.overlaps[0].pairs, 1);
  EXPECT_EQ(report.overlaps[0].questions, 2);
}

TEST(QualityCheck, CountsChoicesAndReading) {
  const CheckReport report = report_of({asked("a", "Is it?", "Yes"), asked("b", "Is this?", "no."),
                                        asked("c", "Which?\nA. x\nB. y", "B"), asked("d", "What is written there?", "Stop")});
  EXPECT_EQ(report.yes, 1);
  EXPECT_EQ(report.no, 1);
  EXPECT_EQ(report.letter_answers[1], 1);
  EXPECT_EQ(report.reading_samples, 1);
}

TEST(QualityCheck, FindingsComeInOrderWhateverTheThreads) {
  std::vector<Sample> samples;
  for (int i = 0; i < 50; ++i) samples.push_back(asked("same", "Q" + std::to_string(i), "x"));
  std::vector<int64_t> order;
  CheckOptions options;
  options.on_finding = [&](const Finding& finding) { order.push_back(finding.index); };
  const CheckReport report = report_of(samples, options);
  ASSERT_EQ(order.size(), 49U);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<int64_t>(i) + 1);
  EXPECT_EQ(report.examples.at(FindingKind::kDuplicateId).size(), CheckReport::kExamples);
}

}  // namespace
}  // namespace ocelli::data
