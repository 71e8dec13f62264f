#include "ocelli/nn/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/ranges.h>

#include "ocelli/base/error.h"
#include "ocelli/kernels/attention.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::nn {
namespace {

using kernels::HeadArray;
using kernels::KeyRange;
using kernels::QueryBlock;

/// ATen's batched flash kernel wins from about this many rows; below, its per-call cost and tiling lose to ours.
constexpr int64_t kLeastFlashRows = 48;

/// The layout as the kernel takes it: one block per query range, and components: runs of blocks that share no key row with
/// blocks outside, so that different threads may add to their key gradients.
struct Plan {
  std::vector<KeyRange> ranges;
  std::vector<QueryBlock> blocks;
  std::vector<std::pair<int64_t, int64_t>> components;  ///< ranges of `blocks`
  std::vector<int64_t> component_pairs;                 ///< work in each
};

Plan make_plan(const AttentionLayout& layout) {
  std::vector<Span> spans = layout.spans();
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.query_begin < b.query_begin; });
  Plan plan;
  plan.ranges.reserve(spans.size());
  struct Extent {
    size_t first_range, range_count;
    int64_t key_low, key_high, pairs;
  };
  std::vector<Extent> extents;
  for (const Span& span : spans) {
    if (span.query_begin == span.query_end) continue;  // between two spans of one block it would part them
    const bool same_block = !plan.blocks.empty() && plan.blocks.back().query_begin == span.query_begin &&
                            plan.blocks.back().query_end == span.query_end;
    if (!same_block) {
      plan.blocks.push_back({span.query_begin, span.query_end, {}});
      extents.push_back({plan.ranges.size(), 0, span.key_begin, span.key_end, 0});
    }
    Extent& extent = extents.back();
    ++extent.range_count;
    extent.key_low = std::min(extent.key_low, span.key_begin);
    extent.key_high = std::max(extent.key_high, span.key_end);
    extent.pairs += (span.query_end - span.query_begin) * (span.key_end - span.key_begin);
    plan.ranges.push_back({span.key_begin, span.key_end, span.causal, span.window});
  }
  for (size_t i = 0; i < plan.blocks.size(); ++i) {
    plan.blocks[i].ranges = std::span(plan.ranges).subspan(extents[i].first_range, extents[i].range_count);
  }
  // Blocks in query order: a new component starts where all later key extents lie behind all earlier ones.
  std::vector<int64_t> lowest_after(extents.size() + 1, std::numeric_limits<int64_t>::max());
  for (size_t i = extents.size(); i-- > 0;) lowest_after[i] = std::min(lowest_after[i + 1], extents[i].key_low);
  int64_t highest = std::numeric_limits<int64_t>::min();
  for (size_t i = 0; i < extents.size(); ++i) {
    if (i == 0 || lowest_after[i] >= highest) {
      plan.components.emplace_back(static_cast<int64_t>(i), static_cast<int64_t>(i));
      plan.component_pairs.push_back(0);
    }
    highest = std::max(highest, extents[i].key_high);
    plan.components.back().second = static_cast<int64_t>(i) + 1;
    plan.component_pairs.back() += extents[i].pairs;
  }
  return plan;
}

/// Runs `work(blocks, head)` for every component and head, in tasks of about equal work per thread.
template <typename Work>
void over_tasks(const Plan& plan, int64_t heads, const Work& work) {
  const int64_t components = static_cast<int64_t>(plan.components.size());
  const auto blocks_of = [&](int64_t first, int64_t last) {
    const int64_t begin = plan.components[static_cast<size_t>(first)].first;
    const int64_t end = plan.components[static_cast<size_t>(last - 1)].second;
    return std::span(plan.blocks).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  };
  const int64_t threads = at::get_num_threads();
  if (components >= 4 * threads) {
    // Many small samples: cut the list of components by work, every head of a piece on one thread.
    const int64_t total = std::accumulate(plan.component_pairs.begin(), plan.component_pairs.end(), int64_t{0});
    std::vector<int64_t> cuts = {0};
    int64_t seen = 0;
    for (int64_t i = 0; i < components; ++i) {
      seen += plan.component_pairs[static_cast<size_t>(i)];
      if (seen * threads >= total * static_cast<int64_t>(cuts.size()) && static_cast<int64_t>(cuts.size()) < threads)
        cuts.push_back(i + 1);
    }
    cuts.push_back(components);
    at::parallel_for(0, static_cast<int64_t>(cuts.size()) - 1, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (cuts[static_cast<size_t>(i)] < cuts[static_cast<size_t>(i) + 1]) {
          work(blocks_of(cuts[static_cast<size_t>(i)], cuts[static_cast<size_t>(i) + 1]), int64_t{0}, heads);
        }
      }
    });
    return;
  }
  at::parallel_for(0, components * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t component = task / heads, head = task % heads;
      work(blocks_of(component, component + 1), head, head + 1);
    }
  });
}

template <typename T>
HeadArray<const T> view_of(const at::Tensor& x) {
  return {x.const_data_ptr<T>(), x.stride(0), x.stride(1)};
}
template <typename T>
HeadArray<T> mutable_view_of(at::Tensor& x) {
  return {x.data_ptr<T>(), x.stride(0), x.stride(1)};
}

/// The last dimension contiguous, which the kernel needs; rows and heads may be strided.
at::Tensor with_contiguous_heads(const at::Tensor& x) {
  return x.stride(2) == 1 ? x : x.contiguous();
}

template <typename T>
kernels::AttentionProblem<T> problem_of(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double scale) {
  return {view_of<T>(query), view_of<T>(key), view_of<T>(value),    query.size(1),
          key.size(1),       query.size(2),   static_cast<T>(scale)};
}

struct SpanAttention : torch::autograd::Function<SpanAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& query_in, const at::Tensor& key_in,
                            const at::Tensor& value_in, const std::shared_ptr<const Plan>& plan, double scale) {
    const at::Tensor query = with_contiguous_heads(query_in);
    const at::Tensor key = with_contiguous_heads(key_in);
    const at::Tensor value = with_contiguous_heads(value_in);
    const int64_t rows = query.size(0), heads = query.size(1);
    // Rows no span covers stay as defined: zeros.
    at::Tensor output = at::zeros(query.sizes(), query.options());
    at::Tensor lse = at::zeros({heads, rows}, query.options());
    AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "attention", [&] {
      const auto problem = problem_of<scalar_t>(query, key, value, scale);
      const auto out = mutable_view_of<scalar_t>(output);
      scalar_t* lse_data = lse.data_ptr<scalar_t>();
      over_tasks(*plan, heads, [&](std::span<const QueryBlock> blocks, int64_t begin, int64_t end) {
        kernels::attention_forward<scalar_t>(problem, blocks, begin, end, out, lse_data, rows);
      });
    });
    context->save_for_backward({query, key, value, output, lse});
    context->saved_data["plan"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(plan));
    context->saved_data["scale"] = scale;
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &query = saved[0], &key = saved[1], &value = saved[2], &output = saved[3], &lse = saved[4];
    const Plan& plan = *c10::static_intrusive_pointer_cast<Holder>(context->saved_data["plan"].toCapsule())->plan;
    const double scale = context->saved_data["scale"].toDouble();
    const at::Tensor grad_output = with_contiguous_heads(gradients[0]);
    const int64_t rows = query.size(0);
    const at::Tensor delta = (output * grad_output).sum(-1).t().contiguous();
    at::Tensor grad_query = at::zeros(query.sizes(), query.options());
    at::Tensor grad_key = at::zeros(key.sizes(), key.options());
    at::Tensor grad_value = at::zeros(value.sizes(), value.options());
    AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "attention_backward", [&] {
      const auto problem = problem_of<scalar_t>(query, key, value, scale);
      const auto gq = mutable_view_of<scalar_t>(grad_query);
      const auto gk = mutable_view_of<scalar_t>(grad_key);
      const auto gv = mutable_view_of<scalar_t>(grad_value);
      over_tasks(plan, key.size(1), [&](std::span<const QueryBlock> blocks, int64_t begin, int64_t end) {
        kernels::attention_backward<scalar_t>(problem, blocks, begin, end, view_of<scalar_t>(grad_output),
                                              lse.const_data_ptr<scalar_t>(), delta.const_data_ptr<scalar_t>(), rows, gq, gk, gv);
      });
    });
    return {grad_query, grad_key, grad_value, at::Tensor(), at::Tensor()};
  }

  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<const Plan> held) : plan(std::move(held)) {}
    std::shared_ptr<const Plan> plan;
  };
};

/// Every sequence alike: one batched call of ATen's flash kernel, which has its own backward.
at::Tensor uniform_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t length, bool causal,
                             double scale) {
  const int64_t count = query.size(0) / length;
  const auto batched = [&](const at::Tensor& x) { return x.reshape({count, length, x.size(1), x.size(2)}).transpose(1, 2); };
  const auto [output, lse] = at::_scaled_dot_product_flash_attention_for_cpu(batched(query), batched(key), batched(value), 0.0,
                                                                             causal, std::nullopt, scale);
  return output.transpose(1, 2).reshape(query.sizes());
}

/// What the rows of one block see of the keys of its ranges, laid end to end: [rows, keys].
at::Tensor mask_of(const QueryBlock& block) {
  const int64_t rows = block.query_end - block.query_begin;
  int64_t keys = 0;
  for (const KeyRange& range : block.ranges) keys += range.key_end - range.key_begin;
  at::Tensor mask = at::zeros({rows, keys}, at::kBool);
  auto seen = mask.accessor<bool, 2>();
  int64_t offset = 0;
  for (const KeyRange& range : block.ranges) {
    const int64_t count = range.key_end - range.key_begin;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t end = range.causal ? std::clamp<int64_t>(count - rows + 1 + row, 0, count) : count;
      const int64_t begin = range.window > 0 ? std::max<int64_t>(0, end - range.window) : 0;
      for (int64_t key = begin; key < end; ++key) seen[row][offset + key] = true;
    }
    offset += count;
  }
  return mask;
}

}  // namespace

at::Tensor attention_reference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const AttentionLayout& layout, double scale) {
  const at::ScalarType wide = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t group = query.size(1) / key.size(1);
  const Plan plan = make_plan(layout);
  std::vector<at::Tensor> pieces;
  int64_t row = 0;
  const auto zeros_up_to = [&](int64_t end) {
    if (end > row) pieces.push_back(at::zeros({end - row, query.size(1), query.size(2)}, query.options()));
  };
  for (const QueryBlock& block : plan.blocks) {
    zeros_up_to(block.query_begin);
    const auto gathered = [&](const at::Tensor& x) {  // [H, keys of the block, E]
      std::vector<at::Tensor> parts;
      for (const KeyRange& range : block.ranges) parts.push_back(x.slice(0, range.key_begin, range.key_end));
      return at::cat(parts).transpose(0, 1).to(wide).repeat_interleave(group, 0);
    };
    const at::Tensor mask = mask_of(block).to(query.device());
    const at::Tensor q = query.slice(0, block.query_begin, block.query_end).transpose(0, 1).to(wide);  // [H, rows, E]
    const at::Tensor scores = at::matmul(q, gathered(key).transpose(1, 2)) * scale;
    // A row without keys would be NaN: a finite fill, then zero weights.
    const at::Tensor weights = at::softmax(scores.masked_fill(~mask, -1e30), -1).masked_fill(~mask, 0);
    pieces.push_back(at::matmul(weights, gathered(value)).transpose(0, 1).to(query.scalar_type()));
    row = block.query_end;
  }
  zeros_up_to(query.size(0));
  return at::cat(pieces);
}

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const AttentionLayout& layout,
                     double scale) {
  require(query.dim() == 3 && key.dim() == 3 && value.sizes() == key.sizes() && query.size(2) == key.size(2) &&
              query.size(1) % std::max<int64_t>(key.size(1), 1) == 0,
          "attention: query {} does not go with key {} and value {}", fmt::join(query.sizes(), "x"), fmt::join(key.sizes(), "x"),
          fmt::join(value.sizes(), "x"));
  if (!query.is_cpu()) return attention_reference(query, key, value, layout, scale);
  const int64_t length = key.size(0) == query.size(0) ? layout.uniform_length(query.size(0)) : 0;
  if (length >= kLeastFlashRows) return uniform_attention(query, key, value, length, layout.spans()[0].causal, scale);
  const auto plan = std::make_shared<const Plan>(make_plan(layout));
  if (query.scalar_type() == at::kFloat || query.scalar_type() == at::kDouble) {
    return SpanAttention::apply(query, key, value, plan, scale);
  }
  return SpanAttention::apply(query.to(at::kFloat), key.to(at::kFloat), value.to(at::kFloat), plan, scale)
      .to(query.scalar_type());
}

Cost attention_cost(int64_t pairs, int64_t rows, int64_t heads, int64_t head_width, const Workload& work) {
  Cost cost;
  cost.flops = static_cast<double>(pairs * heads * head_width) * 4;
  cost.activation_bytes = static_cast<double>(rows * heads * head_width * work.activation_bytes) * 4;
  return cost;
}

}  // namespace ocelli::nn
