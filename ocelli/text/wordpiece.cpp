#include "ocelli/text/wordpiece.h"

#include <utility>

#include "ocelli/text/utf8.h"

namespace ocelli::text {

WordPiece::WordPiece(const JsonView& model)
    : vocabulary_(model.object("vocab")),
      unk_token_(model.string("unk_token", "[UNK]")),
      max_input_chars_(model.integer_in("max_input_chars_per_word", 0, 4096, 100)) {
  const std::string prefix = model.string("continuing_subword_prefix", "##");
  std::vector<std::pair<std::string_view, int32_t>> first, following;
  for (int64_t id = 0; id < vocabulary_.end(); ++id) {
    const std::string* token = vocabulary_.token_of(id);
    if (token == nullptr) continue;
    first.emplace_back(*token, static_cast<int32_t>(id));
    if (token->starts_with(prefix))
      following.emplace_back(std::string_view(*token).substr(prefix.size()), static_cast<int32_t>(id));
  }
  first_ = ByteTrie(std::move(first));
  following_ = ByteTrie(std::move(following));
}

void WordPiece::encode(std::string_view piece, std::vector<int64_t>& ids) const {
  const size_t before = ids.size();
  int64_t characters = 0;
  for (size_t pos = 0; pos < piece.size() && characters <= max_input_chars_; ++characters) {
    pos += code_point_at(piece, pos).bytes;
  }
  bool known = characters <= max_input_chars_;
  for (size_t pos = 0; known && pos < piece.size();) {
    const ByteTrie::Match match = (pos == 0 ? first_ : following_).longest(piece.substr(pos));
    known = match.length > 0;
    ids.push_back(match.value);
    pos += match.length;
  }
  if (known) return;
  ids.resize(before);
  const auto unknown = vocabulary_.id_of(unk_token_);
  require(unknown.has_value(), "tokenizer: unk_token '{}' isn't in the vocabulary", unk_token_);
  ids.push_back(*unknown);
}

}  // namespace ocelli::text
