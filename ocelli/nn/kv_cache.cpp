#include "ocelli/nn/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "ocelli/base/error.h"

namespace ocelli::nn {

int64_t KvCacheConfig::bytes() const {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  int64_t total = 2;
  for (const int64_t factor : {layers, kv_heads, head_width, block_size, blocks, static_cast<int64_t>(c10::elementSize(dtype))}) {
    if (factor > 0 && total > kMost / factor) return kMost;
    total *= factor;
  }
  return total;
}

KvCache::KvCache(const KvCacheConfig& config) : config_(config) {
  for (const auto& [name, value] : {std::pair{"layers", config.layers},
                                    {"kv_heads", config.kv_heads},
                                    {"head_width", config.head_width},
                                    {"block_size", config.block_size},
                                    {"blocks", config.blocks}}) {
    require(value > 0, "KV cache: {} is {}, expected a positive number", name, value);
  }
  require(config.bytes() < (int64_t{1} << 46), "KV cache: {} bytes asked for", config.bytes());
  const auto options = at::TensorOptions().dtype(config.dtype);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    keys_.push_back(at::empty({config.blocks * config.block_size, config.kv_heads, config.head_width}, options));
    values_.push_back(at::empty({config.blocks * config.block_size, config.kv_heads, config.head_width}, options));
  }
  references_.assign(static_cast<size_t>(config.blocks), 0);
  for (int64_t block = config.blocks; block-- > 0;) free_.push_back(block);
}

KvCache::Sequence& KvCache::at(int64_t sequence) {
  const auto found = sequences_.find(sequence);
  require(found != sequences_.end(), "KV cache: sequence {} does not exist", sequence);
  return found->second;
}
const KvCache::Sequence& KvCache::at(int64_t sequence) const {
  return const_cast<KvCache*>(this)->at(sequence);
}

int64_t KvCache::take_block() {
  const int64_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

void KvCache::release_block(int64_t block) {
  if (--references_[static_cast<size_t>(block)] > 0) return;
  // Kept in descending order so that the next sequence gets a rising run of blocks: fewer spans.
  free_.insert(std::upper_bound(free_.begin(), free_.end(), block, std::greater<>()), block);
}

int64_t KvCache::add_sequence() {
  Sequence sequence;
  sequence.lengths.assign(static_cast<size_t>(config_.layers), 0);
  sequences_.emplace(next_sequence_, std::move(sequence));
  return next_sequence_++;
}

int64_t KvCache::fork(int64_t sequence) {
  Sequence copy = at(sequence);
  // Room that was reserved and holds no row yet stays with the original: both would write there.
  const int64_t used = *std::max_element(copy.lengths.begin(), copy.lengths.end());
  copy.table.resize(static_cast<size_t>((used + config_.block_size - 1) / config_.block_size));
  for (const int64_t block : copy.table) ++references_[static_cast<size_t>(block)];
  sequences_.emplace(next_sequence_, std::move(copy));
  return next_sequence_++;
}

void KvCache::remove(int64_t sequence) {
  for (const int64_t block : at(sequence).table) release_block(block);
  sequences_.erase(sequence);
}

int64_t KvCache::length(int64_t sequence, int64_t layer) const {
  return at(sequence).lengths[static_cast<size_t>(layer)];
}

void KvCache::reserve(int64_t sequence, int64_t rows) {
  Sequence& entry = at(sequence);
  const int64_t used = *std::max_element(entry.lengths.begin(), entry.lengths.end());
  const int64_t needed = (used + rows + config_.block_size - 1) / config_.block_size;
  const int64_t more = std::max<int64_t>(0, needed - static_cast<int64_t>(entry.table.size()));
  const bool last_is_shared = rows > 0 && used % config_.block_size != 0 &&
                              references_[static_cast<size_t>(entry.table[static_cast<size_t>(used / config_.block_size)])] > 1;
  const int64_t wanted = more + (last_is_shared ? 1 : 0);
  require(wanted <= free_blocks(),
          "KV cache: {} more blocks of {} rows are needed and {} are free; ask for a smaller context (-c)", wanted,
          config_.block_size, free_blocks());
  if (last_is_shared) {
    int64_t& last = entry.table[static_cast<size_t>(used / config_.block_size)];
    const int64_t own = take_block();
    for (auto* pool : {&keys_, &values_}) {
      for (at::Tensor& rows_of_layer : *pool) {
        rows_of_layer.narrow(0, own * config_.block_size, config_.block_size)
            .copy_(rows_of_layer.narrow(0, last * config_.block_size, config_.block_size));
      }
    }
    release_block(last);
    last = own;
  }
  for (int64_t i = 0; i < more; ++i) entry.table.push_back(take_block());
}

void KvCache::append(int64_t sequence, int64_t layer, const at::Tensor& key, const at::Tensor& value) {
  Sequence& entry = at(sequence);
  int64_t& length = entry.lengths[static_cast<size_t>(layer)];
  const int64_t rows = key.size(0);
  require(length + rows <= static_cast<int64_t>(entry.table.size()) * config_.block_size,
          "KV cache: no room reserved for {} rows after {} in sequence {}", rows, length, sequence);
  for (int64_t done = 0; done < rows;) {
    const int64_t position = length + done;
    const int64_t block = entry.table[static_cast<size_t>(position / config_.block_size)];
    const int64_t within = position % config_.block_size;
    const int64_t count = std::min(rows - done, config_.block_size - within);
    const int64_t row = block * config_.block_size + within;
    keys_[static_cast<size_t>(layer)].narrow(0, row, count).copy_(key.narrow(0, done, count));
    values_[static_cast<size_t>(layer)].narrow(0, row, count).copy_(value.narrow(0, done, count));
    done += count;
  }
  length += rows;
}

void KvCache::truncate(int64_t sequence, int64_t length) {
  Sequence& entry = at(sequence);
  require(length >= 0, "KV cache: length {} is negative", length);
  for (int64_t& of_layer : entry.lengths) of_layer = std::min(of_layer, length);
  const int64_t kept = (length + config_.block_size - 1) / config_.block_size;
  while (static_cast<int64_t>(entry.table.size()) > kept) {
    release_block(entry.table.back());
    entry.table.pop_back();
  }
}

at::Tensor KvCache::keys(int64_t layer) const {
  return keys_[static_cast<size_t>(layer)];
}
at::Tensor KvCache::values(int64_t layer) const {
  return values_[static_cast<size_t>(layer)];
}

void KvCache::add_spans(int64_t sequence, int64_t query_begin, int64_t query_end, AttentionLayout& layout, bool causal) const {
  const Sequence& entry = at(sequence);
  const int64_t rows = query_end - query_begin;
  const int64_t total = *std::max_element(entry.lengths.begin(), entry.lengths.end()) + rows;
  const int64_t before = total - rows;

  // Runs of neighbouring blocks are one range of pool rows.
  struct Run {
    int64_t position, pool_row, count;
  };
  std::vector<Run> runs;
  for (int64_t position = 0; position < total; position += config_.block_size) {
    const int64_t row = entry.table[static_cast<size_t>(position / config_.block_size)] * config_.block_size;
    const int64_t count = std::min(config_.block_size, total - position);
    if (!runs.empty() && runs.back().pool_row + runs.back().count == row) {
      runs.back().count += count;
    } else {
      runs.push_back({position, row, count});
    }
  }
  // New rows that lie in one run are one group of queries: it sees earlier runs whole and its own causally,
  // or all of them whole.
  for (size_t i = 0; i < runs.size(); ++i) {
    const int64_t first = std::max(before, runs[i].position);
    const int64_t last = runs[i].position + runs[i].count;
    if (first >= last) continue;
    const int64_t query = query_begin + first - before;
    for (size_t earlier = 0; earlier < (causal ? i : runs.size()); ++earlier) {
      layout.add({query, query + last - first, runs[earlier].pool_row, runs[earlier].pool_row + runs[earlier].count, false, 0});
    }
    if (causal) layout.add({query, query + last - first, runs[i].pool_row, runs[i].pool_row + runs[i].count, true, 0});
  }
}

void KvCache::set_memory(int64_t sequence, int64_t layer, at::Tensor key, at::Tensor value) {
  at(sequence).memory[layer] = {std::move(key), std::move(value)};
}

std::pair<at::Tensor, at::Tensor> KvCache::memory(int64_t sequence, int64_t layer) const {
  const Sequence& entry = at(sequence);
  const auto found = entry.memory.find(layer);
  return found == entry.memory.end() ? std::pair<at::Tensor, at::Tensor>{} : found->second;
}

}  // namespace ocelli::nn
