#include "ocelli/data/sample_check.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ocelli/base/error.h"
#include "ocelli/report/format.h"

namespace ocelli::data {
namespace {

uint64_t hash_of(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

std::string shortened(std::string_view text) {
  return report::cut_to_width(text, 60);
}

/// The kind of a record's fault, from the message finish_sample() gives.
FindingKind kind_of_fault(std::string_view message) {
  if (message.find("<image> marks for") != std::string_view::npos) return FindingKind::kPlaceholder;
  if (message.find("the answer is empty") != std::string_view::npos) return FindingKind::kEmptyAnswer;
  return FindingKind::kRecord;
}

bool says_ocr(const OrderedJson& extra) {
  if (!extra.is_object()) return false;
  for (const auto& [key, value] : extra.items()) {
    if (key.starts_with("ocr")) return true;
    if (!value.is_string()) continue;
    const std::string words = " " + normalized_question(value.get_ref<const std::string&>()) + " ";
    if (words.find(" ocr ") != std::string::npos) return true;
  }
  return false;
}

/// What is wrong with a region's box in a picture of that size; empty when nothing is.
std::string box_fault(const Region& region, const PictureFacts& picture) {
  const auto [x0, y0, x1, y1] = region.box;
  const std::string box = fmt::format("box [{}, {}, {}, {}] of \"{}\"", x0, y0, x1, y1, shortened(region.text));
  if (!std::all_of(region.box.begin(), region.box.end(), [](double side) { return std::isfinite(side); })) {
    return box + " is not finite";
  }
  if (x1 <= x0 || y1 <= y0) return box + " has no area; expected x0 < x1 and y0 < y1";
  // Published boxes end up to a pixel behind the border, by rounding.
  const auto width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  if (x0 < -1 || y0 < -1 || x1 > width + 1 || y1 > height + 1) {
    return fmt::format("{} leaves its picture of {} x {} pixels", box, picture.width, picture.height);
  }
  return {};
}

}  // namespace

SampleChecker::SampleChecker(SampleCheckOptions options) : options_(std::move(options)) {
  if (!options_.tokenizer) return;
  for (int64_t id = 0; id < options_.tokenizer->vocab_size(); ++id) {
    if (options_.tokenizer->is_special(id)) special_tokens_.push_back(options_.tokenizer->token_of(id));
  }
}

std::shared_ptr<const PictureFacts> SampleChecker::facts_of(const Picture& picture) const {
  if (picture.bytes) return std::make_shared<const PictureFacts>(look_at(picture, options_.decode));
  const std::string& path = picture.path.native();
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = files_.find(path); found != files_.end()) return found->second;
  }
  auto facts = std::make_shared<const PictureFacts>(look_at(picture, options_.decode));
  const std::scoped_lock lock(mutex_);
  return files_.emplace(path, std::move(facts)).first->second;
}

void SampleChecker::check_pictures(const Sample& sample, CheckedSample& out) const {
  const auto found = [&](FindingKind kind, std::string text) { out.findings.push_back({.kind = kind, .text = std::move(text)}); };
  for (const Picture& picture : sample.pictures) {
    const auto facts = facts_of(picture);
    out.pictures.push_back(facts);
    if (facts->state == PictureFacts::State::kMissing) found(FindingKind::kMissingPicture, facts->fault);
    if (facts->state == PictureFacts::State::kBroken) found(FindingKind::kBrokenPicture, facts->fault);
    if (facts->wrong_suffix()) found(FindingKind::kWrongSuffix, fmt::format("{} is {}", facts->name, facts->kind));
    if (facts->state != PictureFacts::State::kGood) continue;
    const std::string size = fmt::format("{}: {} x {} pixels", facts->name, facts->width, facts->height);
    if (std::min(facts->width, facts->height) < options_.min_side) found(FindingKind::kTinyPicture, size);
    if (facts->aspect() > options_.max_aspect) found(FindingKind::kExtremeAspect, size);
  }
  for (const Region& region : sample.regions) {
    const auto at = static_cast<size_t>(region.picture);
    if (region.picture < 0 || at >= out.pictures.size()) {
      found(FindingKind::kBox, fmt::format("a box of picture {}, but there are {}", region.picture, out.pictures.size()));
    } else if (out.pictures[at]->state == PictureFacts::State::kGood) {
      if (std::string fault = box_fault(region, *out.pictures[at]); !fault.empty()) found(FindingKind::kBox, std::move(fault));
    }
  }
}

void SampleChecker::check_turns(const Sample& sample, CheckedSample& out) const {
  const auto found = [&](FindingKind kind, size_t turn, const std::string& text) {
    out.findings.push_back({.kind = kind, .text = fmt::format("turn {}: {}", turn, text)});
  };
  std::string pictures;
  for (const auto& picture : out.pictures) {
    // A picture that can't be read is told apart by its name.
    const uint64_t hash = picture->bytes_hash != 0 ? picture->bytes_hash : hash_of(picture->name);
    pictures += std::to_string(hash) + ' ';
  }
  std::string options;
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    const Turn& turn = sample.turns[i];
    out.scripts += count_scripts(turn.text);
    out.words += count_words(turn.text);
    if (options_.tokenizer) out.tokens += static_cast<int64_t>(options_.tokenizer->encode(turn.text, false).size());
    if (turn.text.find('\0') != std::string::npos) found(FindingKind::kNul, i, "holds a NUL character");
    if (const auto place = find_mojibake(turn.text); !place.empty()) {
      found(FindingKind::kMojibake, i, fmt::format("holds \"{}\"", place));
    }
    if (const auto token = find_template_token(turn.text, special_tokens_); !token.empty()) {
      found(FindingKind::kTemplateToken, i, fmt::format("holds {}", token));
    }
    if (turn.role == Turn::Role::kUser) {
      const std::string question = normalized_question(turn.text);
      if (question.empty()) found(FindingKind::kEmptyQuestion, i, "the question has no words");
      out.questions.push_back({.text = hash_of(question), .pair = hash_of(pictures + question), .words = shortened(question)});
      out.questions.back().sample = out.questions.back().pair;
      options = option_letters(turn.text);
      if (asks_to_read(turn.text)) out.asks_to_read = true;
    } else if (turn.role == Turn::Role::kAssistant && !out.questions.empty()) {
      CheckedSample::Question& question = out.questions.back();
      question.sample = hash_of(std::to_string(question.pair) + ' ' + turn.text);
      question.choice = choice_of(turn.text);
      if (count_marks(turn.text) > 0) found(FindingKind::kMarkInAnswer, i, "the answer holds <image>");
      if (question.choice.kind == ShortAnswer::kLetter && !options.empty() &&
          options.find(question.choice.letter) == std::string::npos) {
        found(FindingKind::kAnswerLetter, i,
              fmt::format("the answer is {}, the options are {}", question.choice.letter, options));
      }
    }
  }
}

CheckedSample SampleChecker::look(const Sample& sample) const {
  CheckedSample out;
  out.readable = true;
  out.id = sample.id;
  out.turns = static_cast<int64_t>(sample.turns.size());
  check_pictures(sample, out);
  check_turns(sample, out);
  if (says_ocr(sample.extra)) out.asks_to_read = true;
  return out;
}

CheckedSample SampleChecker::check(const Dataset& data, int64_t index) const {
  CheckedSample out;
  std::optional<Sample> sample;
  try {
    sample = data.get(index);
  } catch (const Error& error) {
    out.findings.push_back({.kind = kind_of_fault(error.what()), .text = error.what()});
  }
  if (sample) out = look(*sample);
  for (Finding& finding : out.findings) {
    finding.source = data.name();
    finding.index = index;
    finding.id = out.id;
  }
  return out;
}

}  // namespace ocelli::data
