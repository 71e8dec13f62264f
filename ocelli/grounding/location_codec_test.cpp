#include "ocelli/grounding/location_codec.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::grounding {
namespace {

TEST(LocationCodec, IsTwoProjectionsWithAReluEachWay) {
  LocationCodec codec(6, 5);
  test::randomize(codec, 3, at::kDouble);
  const auto named = codec.named_parameters();
  const auto mlp = [&](const std::string& part, const at::Tensor& x) {
    return at::linear(at::relu(at::linear(x, named[part + ".0.weight"], named[part + ".0.bias"])), named[part + ".2.weight"],
                      named[part + ".2.bias"]);
  };
  const at::Tensor boxes = test::normal({3, 4}, at::kDouble, 1), hidden = test::normal({2, 6}, at::kDouble, 2);
  EXPECT_TRUE(test::agree(codec.encode(boxes), mlp("encoder", boxes), 1e-12));
  EXPECT_TRUE(test::agree(codec.decode(hidden), mlp("decoder", hidden), 1e-12));
  EXPECT_EQ(test::error_of([&] { codec.encode(hidden); }), "location codec: boxes of shape [2, 6], expected B x 4");
}

}  // namespace
}  // namespace ocelli::grounding
