#pragma once

#include <memory>

#include "ocelli/language/decoder.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/rope.h"

namespace ocelli::language {

/// How projections that open and close a branch start.
nn::Init opening(const DecoderConfig& config);
nn::Init closing(const DecoderConfig& config);

/// Rows by who projects them; undefined without a visual expert at work.
struct Kinds {
  at::Tensor text, visual;  ///< int64, rising: together every row

  /// `visual_rows` of `rows` rows, and the others.
  static Kinds of(const at::Tensor& visual_rows, int64_t rows);
  /// The same of some of the rows ([R] int64, rising), counted among them.
  Kinds restricted_to(const at::Tensor& rows) const;
};

/// What every block of one forward pass shares.
struct Pass {
  const DecoderInputs& inputs;
  nn::RopeTable rope;      ///< empty without rotary positions
  at::Tensor query_scale;  ///< [T, 1, 1] of the log-n rule; undefined without
  Kinds kinds;             ///< of all rows
};

/// Which of the pass's rows a block is asked for.
struct Wanted {
  at::Tensor rows;             ///< undefined: all
  nn::AttentionLayout layout;  ///< of those rows over the keys
  nn::AttentionLayout memory_layout;
  Kinds kinds;  ///< of those rows
};

/// q, k, v and output projections of one kind of row.
class Projections final : public nn::Module {
 public:
  explicit Projections(const DecoderConfig& config);
  std::shared_ptr<nn::Linear> q_proj, k_proj, v_proj, o_proj;
  Cost cost(int64_t rows, const Workload& work) const;
};

/// Causal attention of the rows to themselves and to the cache: grouped key-value heads, rotary positions. With a visual expert
/// two sets of projections share one attention (CogVLM, arXiv:2311.03079, section 2.2).
class SelfAttention final : public nn::Module {
 public:
  explicit SelfAttention(const DecoderConfig& config);
  /// x: [T, D], every row. Returns the wanted rows.
  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t layer, const Wanted& wanted) const;
  Cost cost(int64_t rows, int64_t pairs, const Workload& work) const;

 private:
  int64_t heads_, kv_heads_, head_width_;
  std::vector<bool> rotary_layers_;  ///< see DecoderConfig
  double scale_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, o_proj_;
  std::shared_ptr<Projections> visual_;           ///< null without a visual expert
  std::shared_ptr<nn::RmsNorm> q_norm_, k_norm_;  ///< null without
};

/// Attention of every row to the whole memory, without positions or mask. Keys and values of a cached sequence are kept.
/// Source: CogAgent, arXiv:2312.08914, section 2.2.
class CrossAttention final : public nn::Module {
 public:
  explicit CrossAttention(const DecoderConfig& config);
  /// x: [R, D], the wanted rows.
  at::Tensor forward(const at::Tensor& x, const Pass& pass, int64_t layer, const Wanted& wanted) const;
  Cost cost(int64_t rows, int64_t memory_rows, const Workload& work) const;

 private:
  int64_t heads_, head_width_;
  std::shared_ptr<nn::Linear> q_proj_, k_proj_, v_proj_, o_proj_;
};

/// `text` of the rows of text and `visual` of the visual ones, put back in order; without a visual expert at work `text(x)`.
template <typename Text, typename Visual>
at::Tensor by_kind(const at::Tensor& x, const Kinds& kinds, const Text& text, const Visual& visual) {
  if (!kinds.visual.defined()) return text(x);
  const at::Tensor of_text = text(x.index_select(0, kinds.text));
  const at::Tensor of_visual = visual(x.index_select(0, kinds.visual));
  at::Tensor out = of_text.new_empty({x.size(0), of_text.size(1)});
  return out.index_copy(0, kinds.text, of_text).index_copy(0, kinds.visual, of_visual);
}

}  // namespace ocelli::language
