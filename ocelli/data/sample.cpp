#include "ocelli/data/sample.h"

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::data {
namespace {

constexpr size_t kMostPictures = 64;

const char* name_of(Turn::Role role) {
  return role == Turn::Role::kUser ? "user" : "assistant";
}

}  // namespace

std::shared_ptr<const std::string> Picture::encoded(uint64_t max_bytes) const {
  if (!bytes) return std::make_shared<const std::string>(read_file(path, max_bytes));
  require(bytes->size() <= max_bytes, "{}: {} bytes, more than {}", where, bytes->size(), max_bytes);
  return bytes;
}

image::Image Picture::load(const image::DecodeOptions& options) const {
  if (!bytes) return image::load(path, options);
  return image::decode(std::as_bytes(std::span(*encoded(options.max_file_bytes))), where, options);
}

int64_t Sample::count() const {
  if (!independent) return 1;
  int64_t questions = 0;
  for (const Turn& turn : turns) questions += turn.role == Turn::Role::kUser;
  return questions;
}

int64_t count_marks(std::string_view text) {
  int64_t count = 0;
  for (size_t at = text.find(kPictureMark); at != std::string_view::npos;
       at = text.find(kPictureMark, at + kPictureMark.size())) {
    ++count;
  }
  return count;
}

void finish_sample(Sample& sample, const std::string& where) {
  require(sample.pictures.size() <= kMostPictures, "{}: {} pictures, at most {} are allowed", where, sample.pictures.size(),
          kMostPictures);
  Turn* first_question = nullptr;
  Turn::Role expected = Turn::Role::kUser;
  int64_t marks = 0;
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    Turn& turn = sample.turns[i];
    if (turn.role == Turn::Role::kSystem) {
      require(i == 0, "{}: turn {}: a system turn must come first", where, i);
      continue;
    }
    require(turn.role == expected, "{}: turn {} is the {}'s, but user and assistant turns must alternate, the user's first",
            where, i, name_of(turn.role));
    if (turn.role == Turn::Role::kUser) {
      expected = Turn::Role::kAssistant;
      marks += count_marks(turn.text);
      if (!first_question) first_question = &turn;
    } else {
      expected = Turn::Role::kUser;
      require(turn.text.find_first_not_of(" \t\r\n") != std::string::npos, "{}: turn {}: the answer is empty", where, i);
    }
  }
  require(first_question && expected == Turn::Role::kUser, "{}: it must end with an answer", where);
  if (marks == 0 && !sample.pictures.empty()) {
    std::string front;
    for (size_t i = 0; i < sample.pictures.size(); ++i) front += std::string(kPictureMark) + "\n";
    first_question->text = front + first_question->text;
    return;
  }
  require(marks == static_cast<int64_t>(sample.pictures.size()), "{}: {} <image> marks for {} pictures", where, marks,
          sample.pictures.size());
}

}  // namespace ocelli::data
