#if defined(__x86_64__)

#include "ocelli/kernels/attention_loops.h"

namespace ocelli::kernels {

const AttentionFunctions<float> kAttentionAvx512 = kAttentionFunctions<float>;

}  // namespace ocelli::kernels

#endif
