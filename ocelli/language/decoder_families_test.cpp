#include "ocelli/language/decoder_families.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ocelli/base/test_support.h"

namespace ocelli::language {
namespace {

using test::error_of;
using Scaling = nn::RopeConfig::Scaling;

DecoderConfig read(const std::string& text) {
  const Json json = parse_json(text, "config.json");
  return DecoderConfig::from_json(JsonView(json, "config.json"));
}

// Configs as they were published, where they leave keys out or spell them their own way.
constexpr const char* kPhi2 = R"({"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32,
  "num_attention_heads": 32, "num_key_value_heads": 32, "partial_rotary_factor": 0.4, "rope_scaling": null, "rope_theta": 10000.0,
  "hidden_act": "gelu_new", "layer_norm_eps": 1e-05, "qk_layernorm": false, "tie_word_embeddings": false, "vocab_size": 51200,
  "bos_token_id": 50256, "eos_token_id": 50256})";
constexpr const char* kInternLm2 = R"({"model_type": "internlm2", "bias": false, "hidden_size": 4096, "intermediate_size": 14336,
  "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768, "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 2.0, "type": "dynamic"}, "rope_theta": 1000000, "vocab_size": 92553})";
constexpr const char* kOpt = R"({"model_type": "opt", "hidden_size": 2560, "ffn_dim": 10240, "num_attention_heads": 32,
  "num_hidden_layers": 32, "do_layer_norm_before": true, "word_embed_proj_dim": 2560, "activation_function": "relu"})";

TEST(DecoderFamilies, ReadPublishedConfigs) {
  const DecoderConfig phi = read(kPhi2);
  EXPECT_EQ(phi.rope.rotary_width, 32);
  EXPECT_TRUE(phi.parallel_residual && phi.head_bias && phi.qkv_bias && phi.output_bias && phi.mlp_bias && !phi.gated_mlp);
  EXPECT_EQ(phi.norm, nn::NormKind::kLayer);
  EXPECT_EQ(phi.hidden_act, nn::Activation::kGeluTanh);

  const DecoderConfig intern = read(kInternLm2);
  EXPECT_EQ(intern.rope.scaling, Scaling::kDynamic);
  EXPECT_EQ(intern.rope.original_length, 32768);
  EXPECT_EQ(intern.rope.theta, 1e6);
  EXPECT_FALSE(intern.qkv_bias || intern.output_bias);
  EXPECT_EQ(intern.num_hidden_layers, 32);

  const DecoderConfig opt = read(kOpt);
  EXPECT_EQ(opt.intermediate_size, 10240);
  EXPECT_EQ(opt.rope.rotary_width, 0);
  EXPECT_TRUE(opt.learned_positions && opt.tie_word_embeddings && opt.mlp_bias);
  EXPECT_EQ(opt.position_offset, 2);

  EXPECT_EQ(read(R"({"model_type": "mistral"})").sliding_window, 4096);
  EXPECT_EQ(read(R"({"model_type": "mistral", "sliding_window": null})").sliding_window, 0);
  EXPECT_EQ(read(R"({"model_type": "phi"})").rope.rotary_width, 32);
  EXPECT_EQ(read(R"({"model_type": "qwen2", "num_attention_heads": 16, "num_key_value_heads": null})").num_key_value_heads, 16);
  EXPECT_EQ(read(R"({"model_type": "qwen2"})").sliding_window, 0);
  EXPECT_EQ(read(R"({"model_type": "gemma", "hidden_act": "gelu"})").hidden_act, nn::Activation::kGeluTanh);
  EXPECT_EQ(read(R"({"model_type": "gemma"})").embedding_scale, std::sqrt(3072.0));
}

TEST(DecoderFamilies, EndTokensAreTheFamilysUnlessSaid) {
  EXPECT_EQ(read(R"({"model_type": "llama"})").eos_token_ids, std::vector<int64_t>{2});
  EXPECT_EQ(read(R"({"model_type": "gemma"})").eos_token_ids, std::vector<int64_t>{1});
  EXPECT_EQ(read(R"({"model_type": "qwen2"})").eos_token_ids, std::vector<int64_t>{});
  EXPECT_EQ(read(R"({"model_type": "llama", "eos_token_id": null})").eos_token_ids, std::vector<int64_t>{});
  EXPECT_EQ(read(R"({"model_type": "llama", "eos_token_id": [7, 9]})").eos_token_ids, (std::vector<int64_t>{7, 9}));
}

TEST(DecoderFamilies, LongRopeFollowsTheLengths) {
  const std::string factors = R"("short_factor": [1, 2], "long_factor": [3, 4])";
  const std::string head =
      R"({"model_type": "phi3", "hidden_size": 8, "num_attention_heads": 2, "max_position_embeddings": 131072, )";
  const DecoderConfig plain = read(head + R"("rope_scaling": {"type": "su", )" + factors + "}}");
  EXPECT_EQ(plain.rope.scaling, Scaling::kLongRope);
  EXPECT_EQ(plain.rope.original_length, 4096);
  EXPECT_DOUBLE_EQ(plain.rope.attention_factor, std::sqrt(1 + std::log(32.0) / std::log(4096.0)));
  const DecoderConfig said = read(head + R"("original_max_position_embeddings": 131072, "rope_scaling": {"type": "longrope", )" +
                                  R"("original_max_position_embeddings": 64, )" + factors + "}}");
  EXPECT_EQ(said.rope.original_length, 131072);
  EXPECT_EQ(said.rope.attention_factor, 1);
}

TEST(DecoderFamilies, WhatIsWrittenReadsBack) {
  std::vector<std::string> configs = {
      kPhi2,
      kInternLm2,
      kOpt,
      R"({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4}})",
      R"({"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8, "low_freq_factor": 1,
          "high_freq_factor": 4, "original_max_position_embeddings": 8192}})",
      R"({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 20})",
      R"({"model_type": "phi3", "hidden_size": 8, "num_attention_heads": 2, "max_position_embeddings": 8192,
          "rope_scaling": {"type": "longrope", "short_factor": [1, 2], "long_factor": [3, 4], "attention_factor": 1.7}})",
      R"({"model_type": "smollm3", "no_rope_layer_interval": 3, "use_sliding_window": true, "sliding_window": 8})",
      R"({"model_type": "granite", "embedding_multiplier": 12, "residual_multiplier": 0.22, "attention_multiplier": 0.015625,
          "logits_scaling": 16})"};
  for (const DecoderFamily& family : decoder_families()) {
    configs.push_back(R"({"model_type": ")" + std::string(family.model_type) + "\"}");
  }
  for (const std::string& text : configs) {
    const Json written = read(text).to_json();
    EXPECT_EQ(read(written.dump()).to_json(), written) << text;
  }
}

TEST(DecoderFamilies, PartialRotationSurvivesTheWayBack) {
  for (int64_t width = 2; width <= 96; width += 2) {
    DecoderConfig config = read(R"({"model_type": "phi", "hidden_size": 192, "num_attention_heads": 2})");
    config.rope.rotary_width = width;
    EXPECT_EQ(read(config.to_json().dump()).rope.rotary_width, width);
  }
}

TEST(DecoderFamilies, NameWhatContradictsItself) {
  const auto fault = [](const std::string& text) { return error_of([&] { read(text); }); };
  EXPECT_EQ(fault(R"({"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 3})"),
            "config.json: num_attention_heads 4 is no multiple of num_key_value_heads 3");
  EXPECT_EQ(
      fault(R"({"model_type": "opt", "num_key_value_heads": 3})"),
      "config.json: 12 query heads, 3 key-value heads of width 64 and hidden_size 768; OPT has as many of each, which fill it");
  EXPECT_NE(fault(R"({"model_type": "gpt_neox"})").find("known decoders are llama, mistral"), std::string::npos);
  EXPECT_NE(fault(R"({"model_type": "llama", "rope_parameters": {"full_attention": {"rope_type": "default"}}})")
                .find("rotary positions by kind of layer are not known here"),
            std::string::npos);
  EXPECT_NE(fault(R"({"model_type": "llama", "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 23]}})")
                .find("expected 3 that make 64"),
            std::string::npos);
}

}  // namespace
}  // namespace ocelli::language
