#include "ocelli/kernels/elementwise_loops.h"

namespace ocelli::kernels {

const ElementwiseFunctions<float> kElementwiseScalar = kElementwiseFunctions<float>;
const ElementwiseFunctions<double> kElementwiseScalarDouble = kElementwiseFunctions<double>;

}  // namespace ocelli::kernels
