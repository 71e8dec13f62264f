#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ocelli::model::hf {

/// What lies between a published tensor and ours. Each can be undone.
enum class Transform {
  kSame,         ///< ours is the published one
  kInitial,      ///< in no file: ours start as their initialisers say (MiniGPT-v2's ln_vision); `published` is empty
  kIgnore,       ///< not used here: ours is empty
  kSplit,        ///< cut along dimension 0 into equal parts, one for each of ours
  kSplitQkv,     ///< cut along dimension 0: queries, then keys and values of `argument` rows each (Phi-3)
  kSplitHeads,   ///< rows are [heads, parts, width]: the parts of each head lie together (bigG's qkv). argument: heads
  kSplitGroups,  ///< rows are [groups, queries + 2, width]: a group's query heads, its key, its value (InternLM2). argument:
                 ///< group_argument()
  kTranspose,    ///< two dimensions swapped
  kSqueeze,      ///< the published one has leading dimensions of size 1; argument: how many
  kDropTail,     ///< the published one ends with `argument` dimensions of size 1: a 1 x 1 convolution that is a Linear here
};

constexpr int64_t group_argument(int64_t queries_per_group, int64_t head_width) {
  return queries_per_group << 16 | head_width;
}

/// One published name and ours. In names `*` stands for a number, `**` at the end for any rest; they are carried over in order.
struct Row {
  std::string published;
  std::vector<std::string> ours;
  Transform transform = Transform::kSame;
  int64_t argument = 0;
  bool read_only = false;  ///< an older name: read, never written
};

/// The names of one layout: rows asked in order, the first that fits counts.
class NameMap {
 public:
  NameMap() = default;
  explicit NameMap(std::vector<Row> rows) : rows_(std::move(rows)) {}

  void add(Row row) { rows_.push_back(std::move(row)); }
  /// Other rows with prefixes put in front of both names.
  void add(const NameMap& other, std::string_view published_prefix, std::string_view our_prefix);

  struct Match {
    const Row* row;
    std::vector<std::string> ours;
  };
  /// nullopt for a name no row knows.
  std::optional<Match> match(std::string_view published) const;
  /// Whether a kInitial row has that name of ours.
  bool is_initial(std::string_view ours) const;

  /// For writing: the published name whose parts include `ours`, with the names of all its parts in order.
  struct Written {
    const Row* row;
    std::string published;
    std::vector<std::string> ours;
  };
  std::optional<Written> written(std::string_view ours) const;

 private:
  std::vector<Row> rows_;
};

/// Our tensors of a published one: views where the bytes allow it. Works on tensors without storage (device meta) too.
/// Throws Error when the shape does not fit the transform.
std::vector<at::Tensor> apply(const Row& row, const at::Tensor& published);
/// The way back.
at::Tensor undo(const Row& row, const std::vector<at::Tensor>& ours);

}  // namespace ocelli::model::hf
