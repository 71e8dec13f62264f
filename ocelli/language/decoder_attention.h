#pragma once

#include <memory>

#include "ocelli/language/decoder.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/rope.h"

namespace ocelli::language {

/// What every block of one forward pass shares.
struct Pass {
  const DecoderInputs& inputs;
  nn::RopeTable rope;      ///< empty without rotary positions
  at::Tensor query_scale;  ///< [T, 1, 1] of the log-n rule; undefined without
  at::Tensor text_rows;    ///< the rows that are not `inputs.visual_rows`; undefined without a visual expert at work
};

/// Which of the pass's rows a block is asked for.
struct Wanted {
  at::Tensor rows;             ///< undefined: all
  nn::AttentionLayout layout;  ///< of those rows over the keys
  nn::AttentionLayout memory_layout;
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

/// `text(x[text rows])` and `visual(x[visual rows])` put back in order; without a visual expert at work `text(x)`.
template <typename Text, typename Visual>
at::Tensor by_kind(const at::Tensor& x, const at::Tensor& text_rows, const at::Tensor& visual_rows, const Text& text,
                   const Visual& visual) {
  if (!text_rows.defined()) return text(x);
  const at::Tensor of_text = text(x.index_select(0, text_rows));
  const at::Tensor of_visual = visual(x.index_select(0, visual_rows));
  at::Tensor out = of_text.new_empty({x.size(0), of_text.size(1)});
  return out.index_copy(0, text_rows, of_text).index_copy(0, visual_rows, of_visual);
}

}  // namespace ocelli::language
