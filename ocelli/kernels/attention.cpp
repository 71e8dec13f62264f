#include "ocelli/kernels/attention.h"

#include <type_traits>

#include "ocelli/base/error.h"
#include "ocelli/kernels/dispatch.h"
#include "ocelli/kernels/functions.h"

namespace ocelli::kernels {
namespace {

template <typename T>
const AttentionFunctions<T>& chosen() {
  if constexpr (std::is_same_v<T, double>) {
    return kAttentionScalarDouble;
  } else {
#if defined(__x86_64__)
    if (running_isa() == Isa::kAvx512) return kAttentionAvx512;
    if (running_isa() == Isa::kAvx2) return kAttentionAvx2;
#endif
    return kAttentionScalar;
  }
}

template <typename T>
void check(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t head_begin, int64_t head_end,
           int64_t heads) {
  require(problem.kv_heads > 0 && problem.query_heads > 0 && problem.query_heads % problem.kv_heads == 0,
          "attention: {} query heads are no multiple of {} key-value heads", problem.query_heads, problem.kv_heads);
  require(problem.head_width > 0, "attention: head width {} is not positive", problem.head_width);
  require(0 <= head_begin && head_begin <= head_end && head_end <= heads, "attention: heads [{}, {}) do not lie in [0, {})",
          head_begin, head_end, heads);
  for (const QueryBlock& block : blocks) {
    require(0 <= block.query_begin && block.query_begin <= block.query_end, "attention: query rows [{}, {}) are no range",
            block.query_begin, block.query_end);
    for (const KeyRange& range : block.ranges) {
      require(0 <= range.key_begin && range.key_begin <= range.key_end, "attention: keys [{}, {}) are no range", range.key_begin,
              range.key_end);
    }
  }
}

}  // namespace

template <typename T>
void attention_forward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t head_begin,
                       int64_t head_end, HeadArray<T> output, T* lse, int64_t lse_stride) {
  check(problem, blocks, head_begin, head_end, problem.query_heads);
  chosen<T>().forward(problem, blocks, head_begin, head_end, output, lse, lse_stride);
}

template <typename T>
void attention_backward(const AttentionProblem<T>& problem, std::span<const QueryBlock> blocks, int64_t kv_head_begin,
                        int64_t kv_head_end, HeadArray<const T> grad_output, const T* lse, const T* delta, int64_t lse_stride,
                        HeadArray<T> grad_query, HeadArray<T> grad_key, HeadArray<T> grad_value) {
  check(problem, blocks, kv_head_begin, kv_head_end, problem.kv_heads);
  chosen<T>().backward(problem, blocks, kv_head_begin, kv_head_end, grad_output, lse, delta, lse_stride, grad_query, grad_key,
                       grad_value);
}

#define OCELLI_INSTANTIATE(T)                                                                                                 \
  template void attention_forward<T>(const AttentionProblem<T>&, std::span<const QueryBlock>, int64_t, int64_t, HeadArray<T>, \
                                     T*, int64_t);                                                                            \
  template void attention_backward<T>(const AttentionProblem<T>&, std::span<const QueryBlock>, int64_t, int64_t,              \
                                      HeadArray<const T>, const T*, const T*, int64_t, HeadArray<T>, HeadArray<T>,            \
                                      HeadArray<T>);
OCELLI_INSTANTIATE(float)
OCELLI_INSTANTIATE(double)
#undef OCELLI_INSTANTIATE

}  // namespace ocelli::kernels
