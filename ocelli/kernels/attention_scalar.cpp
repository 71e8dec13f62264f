#include "ocelli/kernels/attention_loops.h"

namespace ocelli::kernels {

const AttentionFunctions<float> kAttentionScalar = kAttentionFunctions<float>;
const AttentionFunctions<double> kAttentionScalarDouble = kAttentionFunctions<double>;

}  // namespace ocelli::kernels
