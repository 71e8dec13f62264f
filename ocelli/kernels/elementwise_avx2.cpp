#if defined(__x86_64__)

#include "ocelli/kernels/elementwise_loops.h"

namespace ocelli::kernels {

const ElementwiseFunctions<float> kElementwiseAvx2 = kElementwiseFunctions<float>;

}  // namespace ocelli::kernels

#endif
