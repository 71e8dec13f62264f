#include "ocelli/text/bpe.h"

#include <algorithm>
#include <bit>

#include "ocelli/base/error.h"
#include "ocelli/text/utf8.h"

namespace ocelli::text {

namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

size_t count_merges(const JsonView& model) {
  const auto merges = model.value().find("merges");
  require(merges != model.value().end() && merges->is_array(), "{}: `merges` must be an array", model.path());
  return merges->size();
}

/// The two halves of a merge, written "a b" or ["a", "b"].
std::pair<std::string, std::string> read_merge(const Json& merge, const std::string& path, size_t index) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail("{}.merges[{}] is neither \"a b\" nor [\"a\", \"b\"]", path, index);
}

JsonView vocab_of(const JsonView& model) {
  const std::string type = model.string("type", "BPE");
  require(type == "BPE", "{}: model type '{}' isn't supported (BPE is)", model.path(), type);
  return model.object("vocab");
}

}  // namespace

MergeTable::MergeTable(size_t count) {
  const size_t slots = std::bit_ceil(std::max<size_t>(16, 2 * count));
  slots_.resize(slots);
  shift_ = 64 - std::countr_zero(slots);
}

size_t MergeTable::slot_of(uint64_t pair) const {
  // Fibonacci hashing: the high bits of the product depend on all bits of the pair.
  size_t slot = static_cast<size_t>((pair * 0x9E3779B97F4A7C15ULL) >> shift_);
  while (slots_[slot].pair != pair && slots_[slot].pair != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void MergeTable::set(int32_t left, int32_t right, uint32_t rank, int32_t id) {
  const uint64_t pair = pair_key(left, right);
  slots_[slot_of(pair)] = {pair, rank, id};
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  const Merge& merge = slots_[slot_of(pair_key(left, right))];
  return merge.pair == kEmpty ? nullptr : &merge;
}

/// A piece as a linked list of symbols, and the merges that could come next. A queue entry is stale once its
/// symbol has gone or forms another pair; it is then passed over.
struct Bpe::Scratch {
  struct Symbol {
    int32_t id;
    int32_t previous;
    int32_t next;  ///< -1 at the end
    bool gone;
  };
  struct Candidate {
    uint64_t order;  ///< rank, then position: the least is merged first
    int32_t id;      ///< of the merged token
    int32_t position() const { return static_cast<int32_t>(order & 0xFFFFFFFF); }
    bool operator<(const Candidate& other) const { return order > other.order; }  // std::push_heap keeps the largest on top
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;

  void add(int32_t id) {
    const auto index = static_cast<int32_t>(symbols.size());
    if (index > 0) symbols.back().next = index;
    symbols.push_back({id, index - 1, -1, false});
  }

  /// One per thread, so that no piece allocates; a long piece's memory isn't kept.
  static Scratch& of_thread() {
    thread_local Scratch scratch;
    constexpr size_t kKept = 1 << 16;
    if (scratch.symbols.capacity() > kKept || scratch.queue.capacity() > kKept) scratch = Scratch();
    scratch.symbols.clear();
    scratch.queue.clear();
    return scratch;
  }
};

Bpe::Bpe(const JsonView& model)
    : vocabulary_(vocab_of(model)),
      merges_(count_merges(model)),
      unk_token_(model.string("unk_token", "")),
      prefix_(model.string("continuing_subword_prefix", "")),
      suffix_(model.string("end_of_word_suffix", "")),
      has_unk_(model.has("unk_token")),
      fuse_unk_(model.boolean("fuse_unk", false)),
      byte_fallback_(model.boolean("byte_fallback", false)),
      ignore_merges_(model.boolean("ignore_merges", false)) {
  require(model.number("dropout", 0.0) == 0.0, "{}: dropout {} isn't supported (null is: ids must not depend on chance)",
          model.path(), model.number("dropout", 0.0));
  load_merges(model);
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte)
    byte_ids_[byte] = vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  for (size_t c = 0; c < kDirect; ++c) {
    std::string token;
    append_utf8(token, static_cast<char32_t>(c));
    direct_ids_[c] = vocabulary_.id_of(token).value_or(-1);
  }
}

void Bpe::load_merges(const JsonView& model) {
  const Json& merges = model.value().at("merges");
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right] = read_merge(merges[rank], model.path(), rank);
    const auto id_of = [&](const std::string& token) {
      const auto id = vocabulary_.id_of(token);
      require(id.has_value(), "{}.merges[{}]: token '{}' isn't in the vocabulary", model.path(), rank, token);
      return *id;
    };
    require(right.size() >= prefix_.size(), "{}.merges[{}]: '{}' is shorter than continuing_subword_prefix '{}'", model.path(),
            rank, right, prefix_);
    const int32_t left_id = id_of(left), right_id = id_of(right);
    merges_.set(left_id, right_id, static_cast<uint32_t>(rank), id_of(left + right.substr(prefix_.size())));
  }
}

void Bpe::encode(std::string_view piece, std::vector<int64_t>& ids) const {
  if (cache_.find(piece, ids)) return;
  const size_t before = ids.size();
  encode_uncached(piece, ids);
  cache_.insert(piece, ids.data() + before, ids.size() - before);
}

void Bpe::encode_uncached(std::string_view piece, std::vector<int64_t>& ids) const {
  if (ignore_merges_) {
    if (const auto id = vocabulary_.id_of(piece)) {
      ids.push_back(*id);
      return;
    }
  }
  Scratch& scratch = Scratch::of_thread();
  spell(piece, scratch);
  merge(scratch);
  for (const auto& symbol : scratch.symbols) {
    if (!symbol.gone) ids.push_back(symbol.id);
  }
}

int32_t Bpe::unknown_id() const {
  const auto id = vocabulary_.id_of(unk_token_);
  require(id.has_value(), "tokenizer: unk_token '{}' isn't in the vocabulary", unk_token_);
  return *id;
}

void Bpe::spell(std::string_view piece, Scratch& scratch) const {
  const bool decorated = !prefix_.empty() || !suffix_.empty();
  std::string decoration;
  bool unknown = false;  // an unknown token that is still to be added
  for (size_t pos = 0; pos < piece.size();) {
    const CodePoint point = code_point_at(piece, pos);
    std::string_view token = piece.substr(pos, point.bytes);
    const size_t end = pos + point.bytes;
    int32_t id = -1;
    if (decorated) {
      decoration = pos > 0 ? prefix_ : "";
      decoration += token;
      if (end == piece.size()) decoration += suffix_;
      token = decoration;
      id = vocabulary_.id_of(token).value_or(-1);
    } else if (point.value < kDirect) {
      id = direct_ids_[point.value];
    } else {
      id = vocabulary_.id_of(token).value_or(-1);
    }
    pos = end;
    if (id >= 0) {
      if (unknown) scratch.add(unknown_id());
      unknown = false;
      scratch.add(id);
      continue;
    }
    const auto byte_id = [this](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
    if (byte_fallback_ && std::all_of(token.begin(), token.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
      // A waiting unknown token comes after the bytes: `tokenizers` adds it late, so its ids do the same.
      for (const char byte : token) scratch.add(byte_id(byte));
      continue;
    }
    if (!has_unk_) continue;
    if (unknown && !fuse_unk_) scratch.add(unknown_id());
    unknown = true;
  }
  if (unknown) scratch.add(unknown_id());
}

void Bpe::merge(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto consider = [&](int32_t position, bool push) {
    const auto& symbol = symbols[static_cast<size_t>(position)];
    if (symbol.next < 0) return;
    const MergeTable::Merge* merge = merges_.find(symbol.id, symbols[static_cast<size_t>(symbol.next)].id);
    if (merge == nullptr) return;
    queue.push_back({(static_cast<uint64_t>(merge->rank) << 32) | static_cast<uint32_t>(position), merge->id});
    if (push) std::push_heap(queue.begin(), queue.end());
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) consider(static_cast<int32_t>(i), false);
  std::make_heap(queue.begin(), queue.end());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end());
    const Scratch::Candidate best = queue.back();
    queue.pop_back();
    auto& left = symbols[static_cast<size_t>(best.position())];
    if (left.gone || left.next < 0) continue;
    auto& right = symbols[static_cast<size_t>(left.next)];
    const MergeTable::Merge* current = merges_.find(left.id, right.id);
    if (current == nullptr || current->id != best.id) continue;
    left.id = best.id;
    left.next = right.next;
    right.gone = true;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position();
    if (left.previous >= 0) consider(left.previous, true);
    consider(best.position(), true);
  }
}

}  // namespace ocelli::text
