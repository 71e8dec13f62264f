// The vision transformer's variants against compositions of ATen's own operations.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/test_tensors.h"
#include "ocelli/vision/published_towers.h"
#include "ocelli/vision/vision_transformer.h"

namespace ocelli::vision {
namespace {

using test::agree;
using test::error_of;
using test::normal;

VisionConfig plain_tower() {
  VisionConfig config;
  config.hidden_size = 24;
  config.intermediate_size = 20;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 3;
  config.image_size = 12;
  config.patch_size = 4;
  config.class_embedding = true;
  return config;
}

/// A tower of that config written out: one picture after another, one head after another.
class Plain {
 public:
  Plain(const VisionConfig& config, const VisionTransformer& tower) : config_(config), named_(tower.named_parameters()) {}

  at::Tensor forward(const at::Tensor& pixels) const {
    std::vector<at::Tensor> out;
    for (int64_t i = 0; i < pixels.size(0); ++i) out.push_back(picture(pixels[i]));
    return at::stack(out);
  }

 private:
  at::Tensor weight(const std::string& name) const { return named_.contains(name) ? named_[name] : at::Tensor(); }
  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return at::linear(x, weight(name + ".weight"), weight(name + ".bias"));
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    const at::Tensor scale = weight(name + ".weight");
    if (config_.norm == nn::NormKind::kRms) return rms(x, scale);
    return at::layer_norm(x, {x.size(-1)}, scale, weight(name + ".bias"), config_.layer_norm_eps);
  }
  at::Tensor rms(const at::Tensor& x, const at::Tensor& scale) const {
    return x * at::rsqrt(x.square().mean(-1, true) + config_.layer_norm_eps) * scale;
  }

  at::Tensor positions(int64_t rows, int64_t columns) const {
    const at::Tensor table = weight("embeddings.position_embedding.weight");
    const auto [stored_rows, stored_columns] = config_.table_grid();
    if (rows == stored_rows && columns == stored_columns) return table;
    const int64_t first = config_.class_embedding ? 1 : 0;
    const at::Tensor map = table.slice(0, first).view({stored_rows, stored_columns, -1}).permute({2, 0, 1}).unsqueeze(0);
    const std::array<int64_t, 2> size = {rows, columns};
    const at::Tensor resized = config_.position_resize == PositionResize::kBicubic ? at::upsample_bicubic2d(map, size, false)
                                                                                   : at::_upsample_bicubic2d_aa(map, size, false);
    const at::Tensor patches = resized[0].flatten(1).t();
    return first == 0 ? patches : at::cat({table.slice(0, 0, 1), patches});
  }

  /// EVA-02: pair k of a patch's head turns by its row (first half of the pairs) or its column.
  at::Tensor turned(const at::Tensor& head, int64_t rows, int64_t columns) const {
    const int64_t width = head.size(1), first = config_.class_embedding ? 1 : 0;
    at::Tensor out = head.clone();
    for (int64_t p = 0; p < rows * columns; ++p) {
      for (int64_t k = 0; k < width / 2; ++k) {
        const bool by_row = k < width / 4;
        const double place = by_row ? static_cast<double>(p / columns) / static_cast<double>(rows)
                                    : static_cast<double>(p % columns) / static_cast<double>(columns);
        const double exponent = static_cast<double>(2 * (k % (width / 4))) / static_cast<double>(width / 2);
        const double angle = place * config_.rotary_span / std::pow(10000.0, exponent);
        const at::Tensor a = head[first + p][2 * k], b = head[first + p][2 * k + 1];
        out[first + p][2 * k] = a * std::cos(angle) - b * std::sin(angle);
        out[first + p][2 * k + 1] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
    return out;
  }

  at::Tensor attention(const at::Tensor& x, const std::string& name, int64_t rows, int64_t columns) const {
    at::Tensor query = linear(x, name + ".q_proj"), key = linear(x, name + ".k_proj");
    const at::Tensor value = linear(x, name + ".v_proj");
    if (config_.query_key_norm) {
      query = rms(query, weight(name + ".q_norm.weight"));
      key = rms(key, weight(name + ".k_norm.weight"));
    }
    const int64_t width = config_.hidden_size / config_.num_attention_heads;
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < config_.num_attention_heads; ++h) {
      at::Tensor q = query.narrow(1, h * width, width), k = key.narrow(1, h * width, width);
      if (config_.rotary_span > 0) {
        q = turned(q, rows, columns);
        k = turned(k, rows, columns);
      }
      const at::Tensor scores = at::softmax(at::matmul(q, k.t()) / std::sqrt(static_cast<double>(width)), -1);
      heads.push_back(at::matmul(scores, value.narrow(1, h * width, width)));
    }
    at::Tensor mixed = at::cat(heads, 1);
    if (config_.gated_mlp && config_.gated_norms) mixed = norm(mixed, name + ".sub_norm");
    return linear(mixed, name + ".out_proj");
  }

  at::Tensor mlp(const at::Tensor& x, const std::string& name) const {
    if (!config_.gated_mlp) return linear(at::gelu(linear(x, name + ".fc1")), name + ".fc2");
    at::Tensor inner = at::silu(linear(x, name + ".gate_proj")) * linear(x, name + ".up_proj");
    if (config_.gated_norms) inner = norm(inner, name + ".norm");
    return linear(inner, name + ".down_proj");
  }

  at::Tensor picture(const at::Tensor& pixels) const {
    const at::Tensor map = at::conv2d(pixels.unsqueeze(0), weight("embeddings.patch_embedding.weight"),
                                      weight("embeddings.patch_embedding.bias"), {config_.patch_size, config_.patch_size});
    const int64_t rows = map.size(2), columns = map.size(3);
    at::Tensor x = map[0].flatten(1).t();
    if (config_.class_embedding) x = at::cat({weight("embeddings.class_embedding").unsqueeze(0), x});
    x = x + positions(rows, columns);
    const int64_t last = config_.num_hidden_layers + 1 + config_.feature_layers[0];
    for (int64_t i = 0; i < last; ++i) {
      const std::string block = "encoder.layers." + std::to_string(i) + ".";
      const auto added = [&](const at::Tensor& branch, const char* scale) {
        return config_.layer_scale ? branch * weight(block + scale) : branch;
      };
      if (config_.branch_norm) {
        x = x + norm(attention(x, block + "self_attn", rows, columns), block + "layer_norm1");
        x = x + norm(mlp(x, block + "mlp"), block + "layer_norm2");
      } else {
        x = x + added(attention(norm(x, block + "layer_norm1"), block + "self_attn", rows, columns), "lambda_1");
        x = x + added(mlp(norm(x, block + "layer_norm2"), block + "mlp"), "lambda_2");
      }
    }
    if (config_.apply_post_layernorm) x = norm(x, "post_layernorm");
    if (config_.class_embedding) x = x.slice(0, 1);
    return config_.feature_positions ? x + weight("feature_position_embedding.weight") : x;
  }

  VisionConfig config_;
  torch::OrderedDict<std::string, at::Tensor> named_;
};

void expect_plain(const VisionConfig& config, int64_t height = 12, int64_t width = 12) {
  VisionTransformer tower(config);
  test::randomize(tower, 5, at::kDouble);
  const at::Tensor pixels = normal({2, 3, height, width}, at::kDouble, 1);
  nn::RunContext run;
  const nn::VisualFeatures features = tower.forward(pixels, run);
  EXPECT_TRUE(agree(features.maps, Plain(config, tower).forward(pixels), 1e-11));
  EXPECT_EQ(features.grid, (image::Grid{height / 4, width / 4}));
  Workload work;
  work.tiles = {{height, width}};
  EXPECT_EQ(tower.cost(work).parameters, nn::count_parameters(tower));
}

TEST(VisionVariants, PlainTowerIsWhatItSays) {
  expect_plain(plain_tower());
}

TEST(VisionVariants, BranchNormNormalisesWhatIsAdded) {
  VisionConfig config = plain_tower();
  config.branch_norm = true;
  expect_plain(config);
}

TEST(VisionVariants, LayerScaleWeighsBothBranches) {
  VisionConfig config = plain_tower();
  config.layer_scale = true;
  expect_plain(config);
}

TEST(VisionVariants, QueryAndKeyNormsSpanAllHeads) {
  VisionConfig config = plain_tower();
  config.query_key_norm = config.layer_scale = true;
  config.query_bias = config.key_bias = config.value_bias = false;
  expect_plain(config);
  config.norm = nn::NormKind::kRms;
  config.post_layernorm = false;
  expect_plain(config);
}

TEST(VisionVariants, GatedMlpWithAndWithoutNorms) {
  VisionConfig config = plain_tower();
  config.gated_mlp = true;
  config.key_bias = false;
  expect_plain(config);
  config.gated_norms = false;
  config.layer_scale = config.apply_post_layernorm = true;
  expect_plain(config);
}

TEST(VisionVariants, RotationFollowsRowsAndColumns) {
  VisionConfig config = plain_tower();
  config.rotary_span = 16;
  config.hidden_size = 24;
  expect_plain(config);
  config.class_embedding = false;
  config.position_resize = PositionResize::kBicubic;
  expect_plain(config, 8, 20);
}

TEST(VisionVariants, PositionsAreResizedToThePicture) {
  for (const auto resize : {PositionResize::kBicubic, PositionResize::kBicubicAntialias}) {
    for (const bool class_token : {true, false}) {
      VisionConfig config = plain_tower();
      config.position_resize = resize;
      config.class_embedding = class_token;
      for (const auto& [height, width] : {std::pair<int64_t, int64_t>{12, 12}, {8, 20}, {24, 4}}) {
        SCOPED_TRACE(fmt::format("{} x {}", width, height));
        expect_plain(config, height, width);
      }
      config.position_grid = {2, 5};
      expect_plain(config);
    }
  }
}

TEST(VisionVariants, FeaturesGetPositionsOfTheirOwn) {
  VisionConfig config = plain_tower();
  config.feature_positions = true;
  config.feature_layers = {-2};
  expect_plain(config);
  config.position_resize = PositionResize::kBicubic;
  VisionTransformer tower(config);
  nn::initialize(tower, 1);
  nn::RunContext run;
  EXPECT_EQ(error_of([&] {
              tower.forward(at::zeros({1, 3, 8, 12}), run);
            }),
            "vision tower: features of 2 x 3 patches, expected the 3 x 3 it has positions for");
}

TEST(VisionVariants, SurviveTheirConfig) {
  VisionConfig config = plain_tower();
  config.gated_mlp = config.feature_positions = true;
  config.gated_norms = false;
  const Json json = config.to_json();
  EXPECT_EQ(json["model_type"], "ocelli_vision");
  EXPECT_EQ(VisionConfig::from_json(JsonView(json, "c")).to_json(), json);
}

TEST(PublishedTowers, AreSettingsOfOneTower) {
  const auto read = [](Json json) { return VisionConfig::from_json(JsonView(json, "config.json")); };
  const VisionConfig intern = read({{"model_type", "internvl_vision"}, {"use_qk_norm", true}, {"norm_type", "rms_norm"}});
  EXPECT_TRUE(intern.query_key_norm && intern.layer_scale && !intern.query_bias && !intern.post_layernorm);
  EXPECT_EQ(intern.norm, nn::NormKind::kRms);
  EXPECT_EQ(read(internvl_vision_json(intern)).to_json(), intern.to_json());
  const VisionConfig six = read({{"model_type", "intern_vit_6b"}});
  EXPECT_EQ(six.hidden_size, 3200);
  EXPECT_TRUE(six.query_key_norm && !six.key_bias);
  const VisionConfig giant = read({{"model_type", "dinov2"}, {"hidden_size", 1536}, {"use_swiglu_ffn", true}});
  EXPECT_EQ(giant.intermediate_size, 4096);
  EXPECT_TRUE(giant.gated_mlp && !giant.gated_norms && giant.apply_post_layernorm);
  EXPECT_EQ(read({{"model_type", "blip_2_vision_model"}}).num_hidden_layers, 39);
}

TEST(PublishedTowers, NameWhatTheyCanNotBe) {
  const auto refused = [](Json json) { return error_of([&] { (void)VisionConfig::from_json(JsonView(json, "c.json")); }); };
  EXPECT_EQ(refused({{"model_type", "internvl_vision"}, {"image_size", {28, 42}}}),
            "c.json.image_size is [28,42], expected a number or two equal ones");
  EXPECT_EQ(refused({{"model_type", "dinov2"}, {"num_attention_heads", 7}}),
            "c.json: hidden_size 768 is no multiple of num_attention_heads 7");
  EXPECT_EQ(refused({{"model_type", "internvl_vision"}, {"norm_type", "batch"}}),
            "c.json.norm_type is \"batch\"; known are layer_norm, rms_norm");
}

}  // namespace
}  // namespace ocelli::vision
