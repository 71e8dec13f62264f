#include "ocelli/data/encoder.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/image/image.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::data {
namespace {

/// Bytes of rendered and encoded turns that are kept; texts longer than a share of it hardly repeat.
constexpr size_t kMostCached = 64 << 20, kLongestCached = kMostCached / 256;

const char* role_name(Turn::Role role) {
  switch (role) {
    case Turn::Role::kSystem:
      return "system";
    case Turn::Role::kUser:
      return "user";
    case Turn::Role::kAssistant:
      return "assistant";
  }
  return "";
}

/// Content with its marks as parts: what templates of models that see pictures expect.
OrderedJson content_of(const std::string& text, bool with_pictures) {
  if (!with_pictures || text.find(kPictureMark) == std::string::npos) return text;
  OrderedJson parts = OrderedJson::array();
  size_t at = 0;
  while (at <= text.size()) {
    const size_t mark = text.find(kPictureMark, at);
    std::string piece = text.substr(at, mark == std::string::npos ? std::string::npos : mark - at);
    // The line break behind a mark belongs to the mark in LLaVA's format; templates write their own.
    if (at > 0 && !piece.empty() && piece.front() == '\n') piece.erase(0, 1);
    if (!piece.empty()) parts.push_back({{"type", "text"}, {"text", piece}});
    if (mark == std::string::npos) break;
    parts.push_back({{"type", "image"}});
    at = mark + kPictureMark.size();
  }
  return parts;
}

}  // namespace

int64_t EncodedSample::tokens() const {
  int64_t total = static_cast<int64_t>(prefix.size());
  for (const EncodedText& text : continuations) total += static_cast<int64_t>(text.ids.size());
  return total;
}

int64_t EncodedSample::trained_tokens() const {
  int64_t total = 0;
  for (const EncodedText& text : continuations) total += std::count(text.trained.begin(), text.trained.end(), true);
  return total;
}

SampleEncoder::SampleEncoder(std::shared_ptr<const model::Processor> processor,
                             std::function<int64_t(const image::Tiling&)> num_tokens, int64_t max_length)
    : processor_(std::move(processor)), num_tokens_(std::move(num_tokens)), max_length_(max_length) {}

EncodedText SampleEncoder::encode_turns(const std::vector<Turn>& turns) const {
  EncodedText out;
  OrderedJson messages = OrderedJson::array();
  std::string done;  // rendered text already encoded
  const auto append = [&](const std::string& full, bool trained) {
    require(full.starts_with(done),
            "the chat template changes what it wrote before when a turn is added; answers can't be told from prompts");
    const std::string piece = full.substr(done.size());
    const std::vector<int64_t> ids = done.empty() ? processor_->encode(piece) : processor_->tokenizer().encode(piece, false);
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.trained.insert(out.trained.end(), ids.size(), trained);
    done = full;
  };
  for (const Turn& turn : turns) {
    if (turn.role == Turn::Role::kAssistant) append(processor_->render(messages, true), false);
    messages.push_back({{"role", role_name(turn.role)}, {"content", content_of(turn.text, turn.role == Turn::Role::kUser)}});
    if (turn.role == Turn::Role::kAssistant) append(processor_->render(messages, false), true);
  }
  return out;
}

EncodedText SampleEncoder::cached_turns(const std::vector<Turn>& turns) const {
  std::string key;
  for (const Turn& turn : turns) key += std::string(role_name(turn.role)) + '\0' + turn.text + '\0';
  {
    const std::scoped_lock lock(mutex_);
    const auto found = cache_.find(key);
    if (found != cache_.end()) return *found->second;
  }
  auto text = std::make_shared<const EncodedText>(encode_turns(turns));
  // The entry's own numbers, and about what a node of the table and its allocations take beside them.
  const size_t bytes = key.size() + text->ids.size() * sizeof(int64_t) + text->trained.size() / 8 + 256;
  if (bytes > kLongestCached) return *text;
  const std::scoped_lock lock(mutex_);
  if (cached_bytes_ + bytes > kMostCached) {
    cache_.clear();
    cached_bytes_ = 0;
  }
  if (cache_.emplace(std::move(key), text).second) cached_bytes_ += bytes;
  return *text;
}

EncodedSample SampleEncoder::encode(const Sample& sample) const {
  EncodedSample out;
  out.id = sample.id;
  for (const Picture& picture : sample.pictures) {
    const model::ImageProcessor& images = processor_->images().of_prompt(sample.pictures.size());
    out.pictures.push_back(images.process(picture.load(images.decode)));
  }
  std::vector<int64_t> counts;
  std::vector<image::Tiling> tilings;
  int64_t visual = 0;
  for (const model::PixelTiles& picture : out.pictures) {
    counts.push_back(num_tokens_(picture.tiling));
    tilings.push_back(picture.tiling);
    visual += counts.back();
  }
  // Expands placeholders and keeps the marks of trained ids beside them: visual rows are never trained on.
  const auto expanded = [&](const EncodedText& text) {
    model::PlacedIds placed = processor_->place(text.ids, counts, {}, tilings);
    EncodedText wide;
    wide.trained.reserve(placed.ids.size());
    for (size_t i = 0; i < placed.ids.size(); ++i) {
      wide.trained.push_back(!model::is_visual(placed.ids[i]) && text.trained[static_cast<size_t>(placed.source[i])]);
    }
    wide.ids = std::move(placed.ids);
    return wide;
  };
  const auto checked = [&](EncodedText text, int64_t prefix) {
    const int64_t room = max_length_ - prefix;
    if (static_cast<int64_t>(text.ids.size()) > room) {
      require(room > 0 && std::none_of(text.ids.begin() + room, text.ids.end(), model::is_visual),
              "sample {}: {} tokens, and cutting at max_length {} would cut its pictures", sample.id,
              prefix + static_cast<int64_t>(text.ids.size()), max_length_);
      text.ids.resize(static_cast<size_t>(room));
      text.trained.resize(static_cast<size_t>(room));
    }
    require(std::find(text.trained.begin(), text.trained.end(), true) != text.trained.end(),
            "sample {}: no token to learn from within max_length {}", sample.id, max_length_);
    return text;
  };

  if (!sample.independent) {
    out.continuations.push_back(checked(expanded(cached_turns(sample.turns)), 0));
    return out;
  }
  std::string marks;
  for (size_t i = 0; i < sample.pictures.size(); ++i) marks += std::string(kPictureMark) + "\n";
  std::vector<Turn> system;
  if (sample.turns[0].role == Turn::Role::kSystem) system.push_back(sample.turns[0]);
  bool first = true;
  for (size_t i = system.size(); i + 1 < sample.turns.size(); i += 2) {
    std::vector<Turn> turns = system;
    turns.push_back(sample.turns[i]);
    if (!first) turns.back().text = marks + turns.back().text;
    turns.push_back(sample.turns[i + 1]);
    EncodedText text = expanded(cached_turns(turns));
    // What all questions share: up to the last visual row.
    size_t shared = text.ids.size();
    while (shared > 0 && !model::is_visual(text.ids[shared - 1])) --shared;
    if (first) out.prefix.assign(text.ids.begin(), text.ids.begin() + static_cast<std::ptrdiff_t>(shared));
    require(shared == out.prefix.size() && std::equal(out.prefix.begin(), out.prefix.end(), text.ids.begin()),
            "sample {}: its questions do not start with the same pictures, so they can't share them", sample.id);
    text.ids.erase(text.ids.begin(), text.ids.begin() + static_cast<std::ptrdiff_t>(shared));
    text.trained.erase(text.trained.begin(), text.trained.begin() + static_cast<std::ptrdiff_t>(shared));
    out.continuations.push_back(checked(std::move(text), static_cast<int64_t>(shared)));
    first = false;
  }
  require(visual <= static_cast<int64_t>(out.prefix.size()), "sample {}: {} visual tokens in a prefix of {}", sample.id, visual,
          out.prefix.size());
  return out;
}

}  // namespace ocelli::data
