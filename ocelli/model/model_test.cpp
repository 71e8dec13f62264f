// The model's config, its assembly, and loading and saving.
#include "ocelli/model/model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/model/load.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/memory.h"
#include "ocelli/nn/tensor_io.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::model {
namespace {

using test::agree;
using test::config_from;
using test::error_of;
using test::tiny_config;

[[maybe_unused]] const bool kInstalled = (nn::install_counting_allocator(), true);

TEST(ModelConfig, WritesWhatItReads) {
  std::vector<Json> configs;
  for (const char* type : {"llava", "ocelli", "llama"}) {
    for (const bool tied : {false, true}) configs.push_back(tiny_config(type, tied));
  }
  configs.push_back(tiny_config("llava"));
  configs.back()["vision_config"] = test::tiny_vision("siglip_vision_model");
  configs.back()["vision_feature_select_strategy"] = "full";
  configs.back()["vision_feature_layer"] = {-1, 1};
  configs.back()["multimodal_projector_bias"] = false;
  configs.push_back(tiny_config("ocelli"));
  configs.back()["connector_config"] = {{"type", "linear"}, {"bias", false}};
  configs.back()["eos_token_id"] = {2, 7};
  configs.push_back(tiny_config("ocelli"));
  configs.back().erase("vision_config");
  for (const Json& json : configs) {
    const ModelConfig config = config_from(json);
    const Json written = config.to_json();
    EXPECT_EQ(config_from(written).to_json(), written);
    const std::string expected =
        json.contains("vision_config") || json["model_type"] == "llama" ? json["model_type"] : Json("llama");
    EXPECT_EQ(written["model_type"], expected);
    // The same weights, by name and shape.
    const auto shapes = [](const ModelConfig& of) {
      std::map<std::string, std::vector<int64_t>> out;
      nn::for_each_parameter(Model(of), [&](const std::string& name, const nn::Parameter& one) { out[name] = one.shape; });
      return out;
    };
    EXPECT_EQ(shapes(config_from(written)), shapes(config));
  }
  const ModelConfig llava = config_from(tiny_config("llava"));
  EXPECT_EQ(llava.placeholder.token_id, 5);
  EXPECT_EQ(llava.eos_token_ids, (std::vector<int64_t>{2}));
  EXPECT_EQ(llava.bos_token_id, 1);
  EXPECT_EQ(llava.decoder.rope.theta, 5000);
  EXPECT_EQ(llava.decoder.head_dim, 8);
  EXPECT_EQ(llava.vision->feature_layers, (std::vector<int64_t>{-2}));
}

TEST(ModelConfig, NamesKeyAndValueBeforeAnythingIsAllocated) {
  const struct {
    const char *type, *pointer;
    Json value;
    std::vector<const char*> said;
  } faults[] = {
      {"llama", "/hidden_size", 0, {"config.json: hidden_size is 0, expected 1 to"}},
      {"llama", "/hidden_size", -1, {"config.json: hidden_size is -1, expected 1 to"}},
      {"llama", "/hidden_size", 1'000'000'000, {"config.json: hidden_size is 1000000000, expected 1 to"}},
      {"llama", "/hidden_size", 1e9, {"hidden_size", "expected an integer"}},
      {"llama", "/hidden_size", "32", {"hidden_size is \"32\", expected an integer"}},
      {"llama", "/num_attention_heads", 3, {"hidden_size 32 is no multiple of num_attention_heads 3"}},
      {"llama", "/num_key_value_heads", 3, {"num_attention_heads 4 is no multiple of num_key_value_heads 3"}},
      {"llama", "/head_dim", 7, {"rotates 7 of the 7 numbers of a head", "even"}},
      {"llama", "/num_hidden_layers", 1'000'000, {"num_hidden_layers is 1000000, expected 1 to"}},
      {"llama", "/vocab_size", int64_t{1} << 40, {"vocab_size is 1099511627776, expected 1 to"}},
      {"llama", "/hidden_act", "mish", {"activation \"mish\" is not known"}},
      {"llama", "/model_type", "mamba", {"model_type is \"mamba\"; known layouts are"}},
      {"llama", "/rope_parameters", {{"rope_type", "yarn"}}, {"rope_parameters", "rope_type is \"yarn\"; known are default"}},
      {"llava", "/text_config/model_type", "mamba", {"text_config", "model_type is \"mamba\"; known decoders are llama"}},
      {"llava", "/text_config/hidden_size", 0, {"config.json: text_config.hidden_size is 0"}},
      {"llava", "/vision_config/model_type", "resnet", {"vision_config", "\"resnet\"; known are clip_vision_model"}},
      {"llava", "/vision_config/hidden_size", -1, {"config.json: vision_config.hidden_size is -1"}},
      {"llava", "/vision_config/hidden_size", 1'000'000'000, {"config.json: vision_config.hidden_size is 1000000000"}},
      {"llava", "/vision_config/num_attention_heads", 3, {"hidden_size 16 is no multiple of num_attention_heads 3"}},
      {"llava", "/vision_config/patch_size", 17, {"vision_config.patch_size is 17, expected 1 to 16"}},
      {"llava", "/image_token_id", 60, {"image_token_id is 60, expected 0 to 59"}},
      {"llava", "/image_token_id", nullptr, {"image_token_id 32000 lies outside the vocabulary of 60"}},
      {"llava", "/image_token_id", -3, {"image_token_id is -3"}},
      {"llava", "/image_token_index", 60, {"image_token_index is 60, expected 0 to 59"}},
      {"llava", "/vision_feature_select_strategy", "cls", {"vision_feature_select_strategy is \"cls\"; known are default, full"}},
      {"llava", "/vision_feature_layer", 9, {"feature layer 9 does not exist in 2 blocks"}},
      {"llava", "/vision_feature_layer", Json::array(), {"vision_feature_layer is empty"}},
      {"ocelli", "/image_token_id", 60, {"config.json: image_token_id is 60, expected 0 to 59"}},
      {"ocelli", "/vision_feature_layer", -9, {"feature layer -9 does not exist in 2 blocks"}},
      {"ocelli", "/connector_config/type", "funnel", {"connector_config", "type is \"funnel\"; known are linear"}},
      {"ocelli", "/vision_config/stem_channels", {8, 12}, {"12 channels", "expected hidden_size 16"}},
      {"ocelli", "/vision_config/stem_strides", {2}, {"2 stem_channels do not go with 1 stem_strides"}},
  };
  for (const auto& fault : faults) {
    Json json = tiny_config(fault.type);
    json[Json::json_pointer(fault.pointer)] = fault.value;
    nn::reset_peak_memory();
    const int64_t before = nn::memory_use().peak;
    const std::string message = error_of([&] { Model model(config_from(json)); });
    EXPECT_EQ(nn::memory_use().peak, before) << fault.pointer;
    for (const char* part : fault.said) EXPECT_NE(message.find(part), std::string::npos) << fault.pointer << ": " << message;
  }
}

TEST(Model, LedgerCountsItsParametersFromTheConfigAlone) {
  for (const char* type : {"llava", "ocelli", "llama"}) {
    for (const bool tied : {false, true}) {
      const Model model(config_from(tiny_config(type, tied)));
      Workload work;
      work.text_tokens = 4;
      EXPECT_EQ(model.cost(work).total().parameters, nn::count_parameters(model)) << type;
      if (!model.has_pictures()) continue;
      work.tiles = {{16, 16}, {16, 16}};
      const Ledger ledger = model.cost(work);
      EXPECT_EQ(ledger.total().parameters, nn::count_parameters(model)) << type;
      EXPECT_EQ(ledger.rows()[0].first, "vision_tower");
      // Visual tokens are counted from the tiles.
      Workload counted = work;
      counted.visual_tokens = 2 * model.num_tokens({.tile_height = 16, .tile_width = 16});
      EXPECT_EQ(model.cost(counted).total().flops, ledger.total().flops);
    }
  }
}

TEST(Model, PutsVisualTokensInTheirRows) {
  Model model(config_from(tiny_config("ocelli")));
  test::randomize(model, 3, at::kDouble);
  const auto picture = test::random_picture(1), other = test::random_picture(2);
  std::vector<int64_t> ids = {1, 8};
  ids.insert(ids.end(), 4, visual_id(5));
  ids.push_back(9);
  ids.insert(ids.end(), 4, visual_id(5));
  ModelInputs inputs = test::tiny_processor()->make_inputs(ids, {picture, other});
  inputs.pixels = inputs.pixels.to(at::kDouble);
  nn::RunContext context;
  const Seen visual = model.see(inputs.pixels, inputs.pictures, context);
  EXPECT_EQ(visual.per_picture, (std::vector<int64_t>{4, 4}));
  const at::Tensor embeds = model.embed(inputs.input_ids, inputs.visual_rows, visual.tokens);
  EXPECT_TRUE(at::equal(embeds.slice(0, 2, 6), visual.tokens.slice(0, 0, 4)));
  EXPECT_TRUE(at::equal(embeds.slice(0, 7, 11), visual.tokens.slice(0, 4, 8)));
  EXPECT_TRUE(at::equal(embeds[6], model.decoder().embed(at::tensor({9}, at::kLong))[0]));
  EXPECT_EQ(model.forward(inputs, context).sizes(), (at::IntArrayRef{11, 32}));
  EXPECT_EQ(error_of([&] { model.embed(inputs.input_ids, inputs.visual_rows.slice(0, 1), visual.tokens); }),
            "model: the text has 7 placeholders for 8 visual tokens");
  EXPECT_EQ(error_of([&] { model.embed(inputs.input_ids, inputs.visual_rows, {}); }),
            "model: 8 placeholders stand in the text, but no pictures were given");
  Model blind(config_from(tiny_config("llama")));
  EXPECT_EQ(error_of([&] { blind.features(inputs.pixels.batches[0], context); }),
            "model: it has no vision tower, but pictures were given");
}

TEST(Model, CountsTheTokensItMakes) {
  for (const char* strategy : {"default", "full"}) {
    Json json = tiny_config("llava");
    json["vision_feature_select_strategy"] = strategy;
    Model model(config_from(json));
    nn::initialize(model, 1);
    nn::RunContext context;
    const image::Tiling tiling{.tile_height = 16, .tile_width = 16};
    const Seen visual = model.see({{at::zeros({1, 3, 16, 16})}, {}}, {&tiling, 1}, context);
    EXPECT_EQ(visual.tokens.size(0), model.num_tokens(tiling));
    EXPECT_EQ(visual.tokens.size(0), std::string(strategy) == "full" ? 17 : 16);
  }
}

TEST(Model, SetPrecisionCastsAllButRunningStatistics) {
  Model model(config_from(tiny_config("ocelli")));
  nn::initialize(model, 1);
  set_precision(model, at::kBFloat16);
  nn::for_each_parameter(model, [](const std::string& name, const nn::Parameter& parameter) {
    EXPECT_EQ(parameter.tensor.scalar_type(), parameter.buffer ? at::kFloat : at::kBFloat16) << name;
  });
  EXPECT_EQ(part_of("vision_tower.stem.0.conv.weight"), "vision");
  EXPECT_EQ(part_of("multi_modal_projector.linear_1.bias"), "connector");
  EXPECT_EQ(part_of("language_model.lm_head.weight"), "decoder");
}

/// Whether the address lies in a mapped file of that name.
bool mapped_from(const void* address, const std::string& file) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> begin >> dash >> end;
    if (begin <= wanted && wanted < end) return line.find(file) != std::string::npos;
  }
  return false;
}

std::map<std::string, at::Tensor> tensors_of(const Model& model) {
  std::map<std::string, at::Tensor> out;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& parameter) { out[name] = parameter.tensor; });
  return out;
}

TEST(LoadModel, ReadsBackTheSameBits) {
  for (const char* type : {"llava", "ocelli", "llama"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(fmt::format("{} {}", type, c10::toString(dtype)));
      const test::TemporaryFolder folder;
      Model model(config_from(tiny_config(type, true)));
      test::randomize(model, 4, at::kFloat);
      set_precision(model, dtype);
      save_model(model, folder.path());
      EXPECT_EQ(read_json(folder / "config.json")["dtype"], dtype == at::kFloat ? "float32" : "bfloat16");
      EXPECT_EQ(read_json(folder / "generation_config.json")["eos_token_id"], Json::array({2}));
      for (const bool trainable : {false, true}) {
        const auto loaded = load_model(folder.path(), {.dtype = dtype, .trainable = trainable});
        EXPECT_EQ(loaded->config().to_json(), model.config().to_json());
        const auto got = tensors_of(*loaded);
        for (const auto& [name, tensor] : tensors_of(model)) {
          EXPECT_TRUE(at::equal(got.at(name), tensor)) << name;
          EXPECT_EQ(got.at(name).scalar_type(), tensor.scalar_type()) << name;
          const bool buffer = name.find("running_") != std::string::npos;
          EXPECT_EQ(mapped_from(got.at(name).const_data_ptr(), "model.safetensors"), !trainable && !buffer) << name;
          if (trainable) {
            EXPECT_EQ(reinterpret_cast<uintptr_t>(got.at(name).const_data_ptr()) % 64, 0U) << name;
          }
        }
      }
      // Another type is converted into storage of its own.
      const auto wide = load_model(folder.path(), {.dtype = at::kDouble});
      for (const auto& [name, tensor] : tensors_of(*wide))
        EXPECT_FALSE(mapped_from(tensor.const_data_ptr(), "model.safetensors")) << name;
      EXPECT_TRUE(at::equal(wide->decoder().head_weight(), model.decoder().head_weight().to(at::kDouble)));
    }
  }
}

TEST(LoadModel, MappedWeightsCostNoMemory) {
  const test::TemporaryFolder folder;
  Model model(config_from(tiny_config("llava")));
  nn::initialize(model, 1);
  save_model(model, folder.path());
  const int64_t bytes = nn::count_parameters(model) * 4, before = nn::memory_use().live;
  const auto mapped = load_model(folder.path(), {.dtype = at::kFloat});
  EXPECT_EQ(nn::memory_use().live, before);
  const auto owned = load_model(folder.path(), {.dtype = at::kFloat, .trainable = true});
  EXPECT_EQ(nn::memory_use().live, before + bytes);
}

TEST(LoadModel, ListsWeightsThatAreMissingUnknownOrOfAnotherShape) {
  const test::TemporaryFolder folder;
  Model model(config_from(tiny_config("llava")));
  nn::initialize(model, 1);
  save_model(model, folder.path());
  const auto file = open_model_weights(folder.path());
  auto tensors = file->tensors();
  const at::Tensor extra = at::zeros({2});
  const auto named = [&](const std::string& part) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const auto& one) { return one.first.find(part) != std::string::npos; })
        ->first;
  };
  tensors.erase(named("layers.1.self_attn.k_proj.weight"));
  tensors.erase(named("layers.0.mlp.up_proj.weight"));
  RawTensor& norm = tensors.at(named("layers.1.input_layernorm.weight"));
  norm.shape = {4, 8};
  tensors.emplace("language_model.model.layers.7.self_attn.q_proj.weight", nn::raw_view(extra));
  const test::TemporaryFolder broken;
  write_model_weights(broken.path(), tensors);
  std::filesystem::copy(folder / "config.json", broken / "config.json");
  for (const bool trainable : {false, true}) {
    const std::string message = error_of([&] { load_model(broken.path(), {.trainable = trainable}); });
    for (const char* part :
         {"2 weights are missing:", "language_model.model.layers.0.mlp.up_proj.weight [48, 32]",
          "1 weights have another shape:", "language_model.model.layers.1.input_layernorm.weight is [4, 8], expected [32]",
          "1 weights are unknown:", "language_model.model.layers.7.self_attn.q_proj.weight"}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
    }
  }
}

TEST(LoadModel, TakesATiedModelWhoseFileHoldsTheHeadAgain) {
  const test::TemporaryFolder folder;
  Model model(config_from(tiny_config("llama", true)));
  test::randomize(model, 1, at::kFloat);
  save_model(model, folder.path());
  EXPECT_EQ(open_model_weights(folder.path())->find("lm_head.weight"), nullptr);
  {
    const auto file = open_model_weights(folder.path());
    auto tensors = file->tensors();
    tensors.emplace("lm_head.weight", tensors.at("model.embed_tokens.weight"));
    write_model_weights(folder.path(), tensors);
  }
  const auto loaded = load_model(folder.path());
  EXPECT_TRUE(at::equal(loaded->decoder().head_weight(), model.decoder().head_weight()));
}

TEST(LoadModel, GrowsTheVocabularyOfATrainableModel) {
  const test::TemporaryFolder folder;
  Model model(config_from(tiny_config("llama")));
  test::randomize(model, 1, at::kFloat);
  save_model(model, folder.path());
  Json config = read_json(folder / "config.json");
  config["vocab_size"] = 63;
  test::spill(folder / "config.json", config.dump());
  EXPECT_NE(error_of([&] { load_model(folder.path()); }).find("is [60, 32], expected [63, 32]"), std::string::npos);
  const at::Tensor grown = load_model(folder.path(), {.trainable = true})->decoder().head_weight(),
                   old = model.decoder().head_weight();
  EXPECT_TRUE(at::equal(grown.slice(0, 0, 60), old));
  for (int64_t row = 60; row < 63; ++row) EXPECT_TRUE(agree(grown[row], old.mean(0), 1e-6));
}

TEST(LoadModel, NamesFoldersThatAreNoModels) {
  const test::TemporaryFolder folder;
  EXPECT_NE(error_of([&] { load_model(folder.path()); }).find("config.json is missing"), std::string::npos);
  EXPECT_NE(error_of([&] { load_model(folder / "absent"); }).find("no such folder"), std::string::npos);
  setenv("HF_HUB_CACHE", folder.path().c_str(), 1);
  EXPECT_NE(error_of([] { resolve_model("nobody/nothing"); }).find("hf download nobody/nothing"), std::string::npos);
  EXPECT_EQ(error_of([] { resolve_model("./absent"); }), "model ./absent: no such folder");
  const auto snapshot = folder / "models--nobody--nothing/snapshots/abc";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(folder / "models--nobody--nothing/refs");
  test::spill(folder / "models--nobody--nothing/refs/main", "abc\n");
  EXPECT_EQ(resolve_model("nobody/nothing"), snapshot);
  unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace ocelli::model
