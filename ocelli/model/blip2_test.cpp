// BLIP-2's relatives as folders: what is written is read back, published factors are merged, pictures find their places.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/model/hf/name_map.h"
#include "ocelli/model/load.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::model {
namespace {

using test::error_of;

Json tiny_blip2(const std::string& type, const std::string& language) {
  Json text = test::tiny_text();
  if (language == "opt") {
    text = {{"model_type", "opt"}, {"vocab_size", 60},       {"hidden_size", 32},        {"word_embed_proj_dim", 32},
            {"ffn_dim", 48},       {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"max_position_embeddings", 20}};
  } else if (language == "t5") {
    text = {{"model_type", "t5"},
            {"vocab_size", 60},
            {"d_model", 32},
            {"d_kv", 6},
            {"d_ff", 40},
            {"num_layers", 2},
            {"num_heads", 4},
            {"feed_forward_proj", "gated-gelu"},
            {"dense_act_fn", "gelu"},
            {"tie_word_embeddings", false}};
  }
  return {{"model_type", type},
          {"num_query_tokens", 3},
          {"image_token_index", 5},
          {"vision_config",
           {{"hidden_size", 24},
            {"intermediate_size", 40},
            {"num_hidden_layers", 2},
            {"num_attention_heads", 3},
            {"image_size", 12},
            {"patch_size", 4}}},
          {"qformer_config",
           {{"hidden_size", 16},
            {"intermediate_size", 24},
            {"num_hidden_layers", 3},
            {"num_attention_heads", 2},
            {"vocab_size", 30},
            {"max_position_embeddings", 9}}},
          {"text_config", text}};
}

/// Every parameter of `got` equals that of `want`.
void expect_equal(const Model& got, const Model& want) {
  std::map<std::string, at::Tensor> named;
  nn::for_each_parameter(want, [&](const std::string& name, const nn::Parameter& parameter) { named[name] = parameter.tensor; });
  size_t count = 0;
  nn::for_each_parameter(got, [&](const std::string& name, const nn::Parameter& parameter) {
    ++count;
    ASSERT_TRUE(named.contains(name)) << name;
    EXPECT_TRUE(at::equal(parameter.tensor, named[name])) << name;
  });
  EXPECT_EQ(count, named.size());
}

TEST(Blip2, WritesWhatItReads) {
  for (const auto& [type, language] :
       {std::pair<std::string, std::string>{"blip-2", "opt"}, {"blip-2", "t5"}, {"instructblip", "llama"}}) {
    Model model(test::config_from(tiny_blip2(type, language)));
    test::randomize(model, 1, at::kFloat);
    const test::TemporaryFolder folder;
    save_model(model, folder.path());
    const auto file = open_model_weights(folder.path());
    const auto shape = [&](const std::string& name) { return file->at(name).shape; };
    EXPECT_EQ(shape("query_tokens"), (std::vector<int64_t>{1, 3, 16}));
    EXPECT_EQ(shape("vision_model.embeddings.class_embedding"), (std::vector<int64_t>{1, 1, 24}));
    EXPECT_EQ(shape("vision_model.embeddings.position_embedding"), (std::vector<int64_t>{1, 10, 24}));
    EXPECT_EQ(shape("vision_model.encoder.layers.1.self_attn.qkv.bias"), (std::vector<int64_t>{72}));
    EXPECT_EQ(shape("qformer.encoder.layer.2.crossattention.attention.key.weight"), (std::vector<int64_t>{16, 24}));
    EXPECT_EQ(shape("language_projection.weight"), (std::vector<int64_t>{32, 16}));
    const char* own = language == "opt"  ? "language_model.model.decoder.layers.1.self_attn.out_proj.weight"
                      : language == "t5" ? "language_model.decoder.block.1.layer.1.EncDecAttention.q.weight"
                                         : "language_model.model.layers.1.self_attn.o_proj.weight";
    EXPECT_NE(file->find(own), nullptr) << own;
    const auto again = load_model(folder.path());
    expect_equal(*again, model);
    EXPECT_EQ(again->config().to_json(), model.config().to_json());
  }
}

TEST(Blip2, OriginalLayoutsAreWrittenWithAllTheyHave) {
  for (const char* name : {"vl-vicuna-2", "minigpt-v2-1"}) {
    const auto model = load_model(std::filesystem::path(OCELLI_SOURCE_DIR) / "tests/parity/goldens" / name / "model");
    const test::TemporaryFolder folder;
    save_model(*model, folder.path());
    const auto again = load_model(folder.path());
    expect_equal(*again, *model);
    EXPECT_EQ(again->config().family, "ocelli");
    EXPECT_EQ(again->config().placeholder.token_id, -200);
    EXPECT_EQ(again->config().placeholder.marker, "<ImageHere>");
    EXPECT_EQ(again->config().placeholder.front, model->config().placeholder.front);
    EXPECT_EQ(again->config().placeholder.bos_twice, model->config().placeholder.bos_twice);
    EXPECT_EQ(again->config().to_json(), model->config().to_json());
  }
}

TEST(Blip2, MiniGptStartsItsVisionNormAsOnesAndAddsItsFactors) {
  const std::filesystem::path folder = std::filesystem::path(OCELLI_SOURCE_DIR) / "tests/parity/goldens/minigpt-v2-1/model";
  const auto model = load_model(folder);
  const auto file = open_model_weights(folder);
  const auto named = model->named_parameters();
  EXPECT_TRUE(at::equal(named["vision_tower.post_layernorm.weight"], at::ones({48})));
  EXPECT_TRUE(at::equal(named["vision_tower.post_layernorm.bias"], at::zeros({48})));
  const auto read = [&](const std::string& name) {
    const RawTensor& raw = file->at(name);
    return at::from_blob(const_cast<std::byte*>(raw.data.data()), raw.shape, at::kFloat).clone();
  };
  const std::string factor = "llama_model.base_model.model.model.layers.1.self_attn.q_proj.lora_";
  const at::Tensor expected = read("model.layers.1.self_attn.q_proj.weight") +
                              2 * at::matmul(read(factor + "B.weight"), read(factor + "A.weight"));  // alpha 16, rank 8
  EXPECT_TRUE(test::agree(named["language_model.model.layers.1.self_attn.q_proj.weight"], expected, 1e-6));
  EXPECT_TRUE(
      at::equal(named["language_model.model.layers.1.self_attn.k_proj.weight"], read("model.layers.1.self_attn.k_proj.weight")));
}

TEST(Placeholders, WithoutAnyThePicturesStandInFront) {
  const std::vector<int64_t> counts = {2, 1};
  const auto placed = [&](bool front, const std::vector<int64_t>& ids) {
    PlaceholderRule rule;
    rule.token_id = 5;
    rule.front = front;
    return place_visual_tokens(rule, ids, counts, {}, "<image>").ids;
  };
  const int64_t v = visual_id(5);
  EXPECT_EQ(placed(true, {1, 7}), (std::vector<int64_t>{v, v, v, 1, 7}));
  EXPECT_EQ(placed(true, {5, 1, 5}), (std::vector<int64_t>{v, v, 1, v}));
  EXPECT_EQ(error_of([&] { placed(false, {1, 7}); }), "the text has 0 <image> placeholders, but 2 pictures were given");
}

TEST(NameMap, RowsInNoFileMatchNothingAndAreNotWritten) {
  hf::NameMap names;
  names.add({"", {"norm.weight"}, hf::Transform::kInitial});
  names.add({"**", {"**"}});
  EXPECT_TRUE(names.is_initial("norm.weight"));
  EXPECT_FALSE(names.is_initial("norm.bias"));
  EXPECT_EQ(names.match("x")->ours, std::vector<std::string>{"x"});
  EXPECT_EQ(names.written("norm.weight")->published, "norm.weight");
}

}  // namespace
}  // namespace ocelli::model
