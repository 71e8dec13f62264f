// What samples in one pass give is what each gives alone: the loss, and the gradient of every weight.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <numeric>

#include "ocelli/data/batch.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/cross_entropy.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::data {
namespace {

using SamplePointer = std::shared_ptr<const EncodedSample>;
constexpr int64_t kPlaceholder = 5;

/// Ids with the picture's rows at `picture_at` (-1: none); the last `trained` ids are trained on.
EncodedText text_of(int64_t length, int64_t picture_at, int64_t visual, int64_t trained, uint64_t seed) {
  EncodedText out;
  for (int64_t i = 0; i < length; ++i) {
    if (i == picture_at) out.ids.insert(out.ids.end(), static_cast<size_t>(visual), model::visual_id(kPlaceholder));
    out.ids.push_back(6 + static_cast<int64_t>((seed * 31 + static_cast<uint64_t>(i) * 7) % 50));
  }
  if (picture_at == length) out.ids.insert(out.ids.end(), static_cast<size_t>(visual), model::visual_id(kPlaceholder));
  out.trained.assign(out.ids.size(), false);
  for (size_t i = out.ids.size(), left = static_cast<size_t>(trained); left > 0 && i-- > 1;) {
    if (model::is_visual(out.ids[i])) continue;
    out.trained[i] = true;
    --left;
  }
  return out;
}

/// Pictures at the start, in the middle, at the end, none, and questions that share one.
std::vector<SamplePointer> samples_of(const model::Model& model) {
  const model::PixelTiles picture = test::random_picture(9);
  const int64_t visual = model.num_tokens(picture.tiling);
  std::vector<SamplePointer> out;
  for (const int64_t at : {0, 4, 9, -1}) {
    auto sample = std::make_shared<EncodedSample>();
    sample->id = std::to_string(at);
    sample->continuations = {text_of(9, at, visual, 3, static_cast<uint64_t>(at + 2))};
    if (at >= 0) sample->pictures = {test::random_picture(static_cast<uint64_t>(at + 1))};
    out.push_back(sample);
  }
  auto shared = std::make_shared<EncodedSample>();
  shared->id = "shared";
  shared->prefix = text_of(2, 2, visual, 0, 17).ids;
  shared->pictures = {picture};
  for (uint64_t i = 0; i < 3; ++i) shared->continuations.push_back(text_of(4 + static_cast<int64_t>(i), -1, 0, 2, 20 + i));
  out.push_back(shared);
  return out;
}

struct Result {
  double loss = 0;
  std::map<std::string, at::Tensor> gradients;
};

/// Loss and gradients of all samples, in the passes given.
Result run(model::Model& model, const std::vector<SamplePointer>& samples, const std::vector<std::vector<size_t>>& passes,
           at::ScalarType dtype) {
  const auto processor = test::tiny_processor();
  int64_t trained = 0;
  for (const SamplePointer& sample : samples) trained += sample->trained_tokens();
  Result out;
  nn::for_each_parameter(model, [](const std::string&, const nn::Parameter& one) {
    if (one.buffer) return;
    one.tensor.set_requires_grad(true);
    one.tensor.mutable_grad() = at::Tensor();
  });
  for (const std::vector<size_t>& pass : passes) {
    std::vector<SamplePointer> part;
    for (const size_t i : pass) part.push_back(samples[i]);
    Batch batch =
        make_batch(part, *processor, [&](std::span<const model::PixelTiles> tiles) { return model.token_grids(tiles); });
    batch.inputs.pixels = batch.inputs.pixels.to(dtype);
    nn::RunContext context;
    context.training = true;
    const at::Tensor hidden = model.forward(batch.inputs, context);
    const at::Tensor scale = at::full({batch.labels.numel()}, 1.0 / static_cast<double>(trained), dtype);
    const at::Tensor loss = nn::linear_cross_entropy(hidden, model.decoder().head_weight(), batch.labels, scale);
    torch::autograd::backward({loss}, {});
    out.loss += loss.item<double>();
  }
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& one) {
    if (!one.buffer && one.tensor.grad().defined()) out.gradients[name] = one.tensor.grad().clone();
  });
  return out;
}

void expect_equal(at::ScalarType dtype, double tolerance) {
  model::Model model(test::config_from(test::tiny_config("llava")));
  test::randomize(model, 5, dtype);
  const std::vector<SamplePointer> samples = samples_of(model);
  const Result alone = run(model, samples, {{0}, {1}, {2}, {3}, {4}}, dtype);
  ASSERT_GT(alone.gradients.size(), 20U);
  for (const std::vector<std::vector<size_t>>& passes :
       std::vector<std::vector<std::vector<size_t>>>{{{0, 1, 2, 3, 4}}, {{3, 4}, {2, 1, 0}}, {{4, 3, 2, 1, 0}}}) {
    const Result packed = run(model, samples, passes, dtype);
    EXPECT_NEAR(packed.loss, alone.loss, tolerance * std::abs(alone.loss));
    ASSERT_EQ(packed.gradients.size(), alone.gradients.size());
    for (const auto& [name, gradient] : alone.gradients) {
      // The gradient of a key's bias is zero but for rounding, so the scale has a floor.
      const double largest = gradient.abs().max().item<double>();
      EXPECT_LE((packed.gradients.at(name) - gradient).abs().max().item<double>(), tolerance * std::max(largest, 1e-2)) << name;
    }
  }
}

TEST(PackedBatch, LossAndGradientsAreThoseOfEachSampleAlone) {
  expect_equal(at::kDouble, 1e-10);
  expect_equal(at::kFloat, 1e-5);
}

/// Nothing of one sample reaches another: other ids in the first leave the rows of the rest as they were, bit for bit.
TEST(PackedBatch, ASampleDoesNotSeeItsNeighbours) {
  model::Model model(test::config_from(test::tiny_config("llava")));
  test::randomize(model, 5, at::kFloat);
  const auto processor = test::tiny_processor();
  std::vector<SamplePointer> samples = samples_of(model);
  const auto rows = [&] {
    const at::NoGradGuard no_grad;
    Batch batch =
        make_batch(samples, *processor, [&](std::span<const model::PixelTiles> tiles) { return model.token_grids(tiles); });
    nn::RunContext context;
    return model.forward(batch.inputs, context);
  };
  const at::Tensor before = rows();
  auto changed = std::make_shared<EncodedSample>(*samples[0]);
  for (int64_t& id : changed->continuations[0].ids) id = model::is_visual(id) ? id : 6 + (id + 11) % 50;
  samples[0] = changed;
  const at::Tensor after = rows();
  EXPECT_FALSE(at::equal(before.slice(0, 0, 3), after.slice(0, 0, 3)));
  EXPECT_TRUE(at::equal(before.slice(0, 3), after.slice(0, 3)));
}

}  // namespace
}  // namespace ocelli::data
