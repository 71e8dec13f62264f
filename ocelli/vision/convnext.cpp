#include "ocelli/vision/convnext.h"

#include <ATen/ATen.h>

#include <numeric>

#include "ocelli/base/error.h"
#include "ocelli/nn/mlp.h"

namespace ocelli::vision {
ConvNextConfig ConvNextConfig::from_json(const JsonView& config) {
  ConvNextConfig out;
  const auto list = [&](std::string_view key, std::vector<int64_t>& target, int64_t high) {
    if (!config.has(key)) return;
    target = config.integers(key);
    for (const int64_t value : target) {
      require(value >= 1 && value <= high, "{}: {} holds {}, expected integers from 1 to {}", config.path(), key, value, high);
    }
  };
  list("hidden_sizes", out.hidden_sizes, 1 << 14);
  list("depths", out.depths, 256);
  require(!out.depths.empty() && out.depths.size() <= 8 && out.depths.size() == out.hidden_sizes.size(),
          "{}: {} depths and {} hidden_sizes, expected one of each a stage, for 1 to 8 stages", config.path(), out.depths.size(),
          out.hidden_sizes.size());
  out.patch_size = config.integer_in("patch_size", 1, 64, out.patch_size);
  out.layer_norm_eps = config.number("layer_norm_eps", out.layer_norm_eps);
  out.image_size = config.integer_in("image_size", 1, 1 << 14, out.image_size);
  return out;
}

Json ConvNextConfig::to_json() const {
  return {{"model_type", "convnext_tower"}, {"hidden_sizes", hidden_sizes},     {"depths", depths},
          {"patch_size", patch_size},       {"layer_norm_eps", layer_norm_eps}, {"image_size", image_size}};
}

int64_t ConvNextConfig::feature_width() const {
  return std::accumulate(hidden_sizes.begin(), hidden_sizes.end(), int64_t{0});
}

/// Over maps [N, rows, columns, C]. gamma starts at 1e-6: each block starts near the identity.
class ConvNextTower::Block final : public nn::Module {
 public:
  Block(int64_t width, double eps) : width_(width) {
    const ConvConfig depthwise{.in = width, .out = width, .kernel = 7, .padding = 3, .groups = width};
    conv_dw_ = register_module("conv_dw", std::make_shared<Conv>(depthwise));
    norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(width, eps));
    mlp_ = register_module("mlp", std::make_shared<nn::Mlp>(width, 4 * width, nn::Activation::kGelu, nn::Init::normal(0.02)));
    gamma_ = declare("gamma", {width}, nn::Init::uniform(1e-6));
  }

  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor mixed = channels_last(conv_dw_->forward(channels_first(x)));
    return x + mlp_->forward(norm_->forward(mixed)) * gamma_;
  }

  Cost cost(int64_t tiles, image::Grid grid, const Workload& work) const {
    const int64_t rows = tiles * grid.count();
    Cost total = conv_dw_->cost(tiles, grid, work) + norm_->cost(rows, work) + mlp_->cost(rows, work);
    total.parameters += width_;
    total.flops += 2.0 * static_cast<double>(rows * width_);
    return total;
  }

 private:
  int64_t width_;
  std::shared_ptr<Conv> conv_dw_;
  std::shared_ptr<nn::LayerNorm> norm_;
  std::shared_ptr<nn::Mlp> mlp_;
  at::Tensor gamma_;  ///< [C]
};

ConvNextTower::ConvNextTower(const ConvNextConfig& config) : config_(config) {
  auto stem = register_module("stem", std::make_shared<nn::Holder>());
  auto stages = register_module("stages", std::make_shared<nn::Holder>());
  int64_t in = 3;
  for (size_t i = 0; i < config.depths.size(); ++i) {
    const int64_t out = config.hidden_sizes[i], stride = i == 0 ? config.patch_size : 2;
    auto folder = stages->register_module(std::to_string(i), std::make_shared<nn::Holder>());
    auto entry = i == 0 ? stem : folder->register_module("downsample", std::make_shared<nn::Holder>());
    Stage stage;
    stage.norm = entry->register_module("norm", std::make_shared<nn::LayerNorm>(i == 0 ? out : in, config.layer_norm_eps));
    stage.conv = entry->register_module(
        "conv", std::make_shared<Conv>(ConvConfig{.in = in, .out = out, .kernel = stride, .stride = stride}));
    auto blocks = folder->register_module("blocks", std::make_shared<nn::Holder>());
    for (int64_t j = 0; j < config.depths[i]; ++j) {
      stage.blocks.push_back(blocks->register_module(std::to_string(j), std::make_shared<Block>(out, config.layer_norm_eps)));
    }
    stages_.push_back(std::move(stage));
    in = out;
  }
}

image::Grid ConvNextTower::grid(int64_t height, int64_t width) const {
  const int64_t least = config_.patch_size << (stages_.size() - 1);
  require(height >= least && width >= least, "ConvNeXt tower: a tile of {} x {} pixels, expected at least {} a side", width,
          height, least);
  return {stages_[0].conv->size(height), stages_[0].conv->size(width)};
}

nn::VisualFeatures ConvNextTower::forward(const at::Tensor& pixels, nn::RunContext& context) {
  require(pixels.dim() == 4 && pixels.size(1) == 3, "ConvNeXt tower: pixels of shape {}, expected N x 3 x height x width",
          c10::str(pixels.sizes()));
  const image::Grid out = grid(pixels.size(2), pixels.size(3));
  at::Tensor x = channels_last(pixels.contiguous(at::MemoryFormat::ChannelsLast));
  // Stages are written where they end up: side by side they are the largest tensor here by far.
  at::Tensor all = at::empty({pixels.size(0), out.rows, out.columns, feature_width()}, pixels.options());
  int64_t column = 0;
  for (size_t i = 0; i < stages_.size(); ++i) {
    const Stage& stage = stages_[i];
    if (i > 0) x = stage.norm->forward(x);
    x = channels_last(stage.conv->forward(channels_first(x)));
    if (i == 0) x = stage.norm->forward(x);
    for (size_t j = 0; j < stage.blocks.size(); ++j) {
      const auto& block = stage.blocks[j];
      x = nn::run_block(
          "convnext_tower.stages." + std::to_string(i) + ".blocks." + std::to_string(j),
          [block](const at::Tensor& hidden) { return block->forward(hidden); }, x, context,
          !context.gradient_checkpointing || nn::trains(*block));
    }
    const at::Tensor map = i == 0 ? x : channels_last(at::upsample_bilinear2d(channels_first(x), {out.rows, out.columns}, false));
    all.slice(3, column, column + x.size(3)).copy_(map);
    column += x.size(3);
  }
  return {all.view({all.size(0), out.count(), feature_width()}), out};
}

Cost ConvNextTower::cost(const Workload& work) const {
  Cost total;
  const auto add = [&](int64_t tiles, int64_t height, int64_t width) {
    Cost pass;
    image::Grid map{height, width}, first{0, 0};
    for (size_t i = 0; i < stages_.size(); ++i) {
      const Stage& stage = stages_[i];
      const int64_t before = map.count();
      map = {stage.conv->size(map.rows), stage.conv->size(map.columns)};
      if (i == 0) first = map;
      pass += stage.norm->cost(tiles * (i == 0 ? map.count() : before), work) + stage.conv->cost(tiles, map, work);
      for (const auto& block : stage.blocks) pass += block->cost(tiles, map, work);
      // Four multiply-adds a value.
      if (i > 0) pass.flops += 8.0 * static_cast<double>(tiles * first.count() * config_.hidden_sizes[i]);
    }
    pass.activation_bytes += static_cast<double>(tiles * first.count() * feature_width() * work.activation_bytes) * 2;
    return pass;
  };
  for (const auto& [height, width] : work.tiles) {
    (void)grid(height, width);
    total += add(work.batch, height, width);
  }
  // Parameters and weights are there once, however many tiles.
  const Cost weights = add(0, config_.image_size, config_.image_size);
  total.parameters = weights.parameters;
  total.weight_bytes = weights.weight_bytes;
  return total;
}

}  // namespace ocelli::vision
