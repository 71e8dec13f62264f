#include "ocelli/data/quality_check.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "ocelli/data/in_order.h"
#include "ocelli/data/picture_index.h"

namespace ocelli::data {
namespace {

/// What is remembered of a set that others are compared with.
struct OtherSet {
  PictureIndex pictures;
  std::unordered_set<uint64_t> questions, pairs;
};

OtherSet remember(const Dataset& data, const SampleChecker& checker, const CheckOptions& options,
                  const std::function<void()>& advance) {
  OtherSet out{PictureIndex(options.near_distance), {}, {}};
  for_each_in_order(
      data.size(), options.threads, [&](int64_t i) { return checker.check(data, i); },
      [&](int64_t, const CheckedSample& sample) {
        for (const auto& picture : sample.pictures) out.pictures.add(*picture);
        for (const CheckedSample::Question& question : sample.questions) {
          out.questions.insert(question.text);
          out.pairs.insert(question.pair);
        }
        advance();
      });
  return out;
}

class Checking {
 public:
  Checking(CheckReport& report, const CheckOptions& options) : report_(report), options_(options), seen_(options.near_distance) {}

  void add_other(OtherSet other, std::string name, int64_t samples) {
    report_.overlaps.push_back({.name = std::move(name), .samples = samples});
    others_.push_back(std::move(other));
  }

  void take(const Dataset& data, int64_t index, const CheckedSample& sample) {
    const auto found = [&](FindingKind kind, std::string text) {
      note({.kind = kind, .source = data.name(), .index = index, .id = sample.id, .text = std::move(text)});
    };
    ++report_.samples;
    for (const Finding& finding : sample.findings) note(finding);
    if (!sample.readable) return;
    if (const auto [first, fresh] = ids_.emplace(sample.id, index); !fresh) {
      found(FindingKind::kDuplicateId, fmt::format("its id is also that of sample {}", first->second));
    }
    for (size_t i = 0; i < others_.size(); ++i) compare_with_other(sample, others_[i], report_.overlaps[i], found);
    for (const auto& picture : sample.pictures) compare_picture(*picture, found);
    for (const CheckedSample::Question& question : sample.questions) {
      const auto [first, fresh] = samples_.emplace(question.sample, index);
      if (fresh) continue;
      found(FindingKind::kDuplicateSample,
            fmt::format("\"{}\" has the same answer and pictures in sample {}", question.words, first->second));
    }
    count(sample);
  }

  void finish() { report_.distinct_pictures = seen_.size(); }

 private:
  void note(const Finding& finding) {
    ++report_.counts[finding.kind];
    std::vector<Finding>& examples = report_.examples[finding.kind];
    if (examples.size() < CheckReport::kExamples) examples.push_back(finding);
    if (options_.on_finding) options_.on_finding(finding);
  }

  template <typename Found>
  void compare_picture(const PictureFacts& picture, const Found& found) {
    if (picture.state != PictureFacts::State::kGood) return;
    const auto match = seen_.find(picture);
    seen_.add(picture);
    if (!match || (match->exact && match->name == picture.name)) return;  // a file that samples share
    if (match->exact) {
      // A file that equals another is told once, however many samples share it.
      if (copies_.insert(picture.name).second) {
        found(FindingKind::kDuplicatePicture, fmt::format("{} has the bytes of {}", picture.name, match->name));
      }
    } else {
      found(FindingKind::kNearDuplicatePicture,
            fmt::format("{} looks like {} ({} of 64 bits differ)", picture.name, match->name, match->distance));
    }
  }

  template <typename Found>
  void compare_with_other(const CheckedSample& sample, const OtherSet& other, CheckReport::Overlap& overlap, const Found& found) {
    bool exact = false, near = false, pair = false, asked = false;
    for (const auto& picture : sample.pictures) {
      const auto match = other.pictures.find(*picture);
      if (!match) continue;
      (match->exact ? exact : near) = true;
      found(match->exact ? FindingKind::kLeakedPicture : FindingKind::kLeakedNearPicture,
            match->exact ? fmt::format("{} is {} of {}", picture->name, match->name, overlap.name)
                         : fmt::format("{} looks like {} of {} ({} of 64 bits differ)", picture->name, match->name, overlap.name,
                                       match->distance));
    }
    for (const CheckedSample::Question& question : sample.questions) {
      if (other.pairs.contains(question.pair)) {
        pair = true;
        found(FindingKind::kLeakedPair,
              fmt::format("\"{}\" is asked about the same pictures in {}", question.words, overlap.name));
      }
      if (other.questions.contains(question.text)) {
        asked = true;
        if (leaked_questions_.insert(question.text).second) {
          found(FindingKind::kLeakedQuestion, fmt::format("\"{}\" is asked in {} too", question.words, overlap.name));
        }
      }
    }
    overlap.pictures += exact ? 1 : 0;
    overlap.near_pictures += near ? 1 : 0;
    overlap.pairs += pair ? 1 : 0;
    overlap.questions += asked ? 1 : 0;
  }

  void count(const CheckedSample& sample) {
    ++report_.readable;
    report_.turns += sample.turns;
    report_.pictures += static_cast<int64_t>(sample.pictures.size());
    report_.pictures_each.add(static_cast<int64_t>(sample.pictures.size()));
    report_.words.add(sample.words);
    if (options_.sample.tokenizer) report_.tokens.add(sample.tokens);
    for (const auto& picture : sample.pictures) {
      if (picture->state != PictureFacts::State::kGood) continue;
      report_.longer_side.add(std::max(picture->width, picture->height));
      report_.aspect_percent.add((100 * picture->width + picture->height / 2) / picture->height);
    }
    const ScriptCounts& letters = sample.scripts;
    report_.letters += letters;
    ++(letters.total() == 0                 ? report_.letterless_samples
       : 5 * letters.han >= letters.total() ? report_.han_samples
       : letters.latin >= letters.other     ? report_.latin_samples
                                            : report_.other_samples);
    report_.reading_samples += sample.asks_to_read ? 1 : 0;
    for (const CheckedSample::Question& question : sample.questions) {
      report_.yes += question.choice.kind == ShortAnswer::kYes ? 1 : 0;
      report_.no += question.choice.kind == ShortAnswer::kNo ? 1 : 0;
      if (question.choice.kind == ShortAnswer::kLetter)
        ++report_.letter_answers[static_cast<size_t>(question.choice.letter - 'A')];
    }
  }

  CheckReport& report_;
  const CheckOptions& options_;
  std::vector<OtherSet> others_;
  PictureIndex seen_;
  std::unordered_set<std::string> copies_;
  std::unordered_set<uint64_t> leaked_questions_;
  std::unordered_map<std::string, int64_t> ids_;
  std::unordered_map<uint64_t, int64_t> samples_;
};

constexpr auto kLengthEdges =
    std::to_array<int64_t>({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768});
constexpr auto kSideEdges = std::to_array<int64_t>({2, 32, 64, 128, 224, 336, 448, 672, 896, 1344, 2048, 4096, 8192});
constexpr auto kAspectEdges = std::to_array<int64_t>({5, 20, 33, 50, 67, 80, 95, 105, 125, 150, 200, 300, 500, 2000});

}  // namespace

std::span<const int64_t> length_edges() {
  return kLengthEdges;
}
std::span<const int64_t> side_edges() {
  return kSideEdges;
}
std::span<const int64_t> aspect_edges() {
  return kAspectEdges;
}

int64_t CheckReport::of(FindingKind kind) const {
  const auto found = counts.find(kind);
  return found == counts.end() ? 0 : found->second;
}

int64_t CheckReport::findings(Severity severity) const {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0}, [&](int64_t sum, const auto& count) {
    return sum + (info_of(count.first).severity == severity ? count.second : 0);
  });
}

OrderedJson CheckReport::to_json() const {
  OrderedJson found = OrderedJson::object();
  for (const auto& [kind, count] : counts) found[std::string(info_of(kind).name)] = count;
  OrderedJson letters_answered = OrderedJson::object();
  for (size_t i = 0; i < letter_answers.size(); ++i) {
    if (letter_answers[i] > 0) letters_answered[std::string(1, static_cast<char>('A' + i))] = letter_answers[i];
  }
  OrderedJson shared = OrderedJson::array();
  for (const Overlap& overlap : overlaps) {
    shared.push_back({{"against", overlap.name},
                      {"samples", overlap.samples},
                      {"with_their_picture", overlap.pictures},
                      {"with_nearly_their_picture", overlap.near_pictures},
                      {"with_their_question_and_picture", overlap.pairs},
                      {"with_their_question", overlap.questions}});
  }
  return {
      {"samples", samples},
      {"readable", readable},
      {"errors", findings(Severity::kError)},
      {"warnings", findings(Severity::kWarning)},
      {"findings", found},
      {"turns", turns},
      {"pictures", pictures},
      {"distinct_pictures", distinct_pictures},
      {"scripts", {{"han", han_samples}, {"latin", latin_samples}, {"other", other_samples}, {"no_letters", letterless_samples}}},
      {"letters", {{"han", letters.han}, {"latin", letters.latin}, {"other", letters.other}}},
      {"ocr_samples", reading_samples},
      {"answers", {{"yes", yes}, {"no", no}, {"letters", letters_answered}}},
      {"words", words.to_json(kLengthEdges)},
      {"tokens", tokens.to_json(kLengthEdges)},
      {"pictures_per_sample", pictures_each.to_json(kLengthEdges)},
      {"longer_side", longer_side.to_json(kSideEdges)},
      {"aspect_percent", aspect_percent.to_json(kAspectEdges)},
      {"overlaps", shared}};
}

CheckReport check_datasets(std::span<const std::shared_ptr<const Dataset>> sources, const CheckOptions& options) {
  CheckReport report;
  const SampleChecker checker(options.sample);
  Checking checking(report, options);
  int64_t done = 0;
  const auto advance = [&] {
    ++done;
    if (options.on_progress) options.on_progress(done);
  };
  for (const auto& other : options.against) {
    checking.add_other(remember(*other, checker, options, advance), other->name(), other->size());
  }
  for (const auto& source : sources) {
    for_each_in_order(
        source->size(), options.threads, [&](int64_t i) { return checker.check(*source, i); },
        [&](int64_t i, const CheckedSample& sample) {
          checking.take(*source, i, sample);
          advance();
        });
  }
  checking.finish();
  return report;
}

}  // namespace ocelli::data
