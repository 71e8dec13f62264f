#include "ocelli/train/trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/report/metrics.h"
#include "ocelli/train/run_folder.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;
using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::HasSubstr;

constexpr const char* kRecipe = R"(name = "tiny"
[model.vision]
architecture = "ocelli_vision"
image_size = 16
patch_size = 4
stem_channels = [8, 16]
stem_strides = [2, 2]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[model.connector]
type = "pixel_shuffle"
scale = 2
[model.decoder]
architecture = "llama"
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 128
[tokenizer]
train = true
vocab_size = 280
[[data]]
name = "d"
path = "d.jsonl"
[train]
precision = "fp32"
batch_size = 8
learning_rate = 3e-3
save_steps = 4
[[stage]]
name = "s"
max_steps = 10
)";

/// A run folder, a recipe and sixteen questions about one picture.
class Training : public ::testing::Test {
 protected:
  Training() {
    fs::copy_file(fs::path(OCELLI_SOURCE_DIR) / "tests/fuzz/corpus/image/rgb.jpg", folder / "x.jpg");
    std::string lines;
    for (int i = 0; i < 16; ++i) lines += record(i);
    spill(folder / "d.jsonl", lines);
    spill(folder / "r.toml", kRecipe);
  }
  static std::string record(int i) {
    return fmt::format(
        R"({{"image":"x.jpg","conversations":[{{"from":"human","value":"<image>\nnumber {}?"}},{{"from":"gpt","value":"{}"}}]}})"
        "\n",
        i, std::string(static_cast<size_t>(1 + i % 5), static_cast<char>('a' + i)));
  }
  TrainResult run(const std::string& name, const std::vector<std::string>& overrides = {}) const {
    return train(Recipe::load(folder / "r.toml", overrides), {.out = folder / name});
  }
  std::vector<double> losses(const std::string& name) const {
    std::vector<double> out;
    for (const Json& line : report::read_json_lines(folder / name / "metrics.jsonl"))
      out.push_back(line.at("loss").get<double>());
    return out;
  }
  void expect_close_losses(const std::string& a, const std::string& b, double tolerance) const {
    const auto one = losses(a), two = losses(b);
    ASSERT_EQ(one.size(), two.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], two[i], tolerance * std::abs(one[i])) << "step " << i + 1;
  }
  TemporaryFolder folder;
};

TEST_F(Training, LearnsAndWritesAModel) {
  const TrainResult result = run("run", {"stage.s.max_steps=40"});
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.state.samples, 40 * 8);
  const auto all = losses("run");
  ASSERT_EQ(all.size(), 40U);
  EXPECT_LT(all.back(), all.front() * 0.85);
  EXPECT_TRUE(fs::exists(result.model / "config.json"));
  EXPECT_TRUE(fs::exists(folder / "run" / "env.json"));
}

/// Batch norm sees one pass at a time, so the tower is frozen here: then cutting a step changes no more than the order of sums.
TEST_F(Training, PassesAddUpToTheStep) {
  const std::string frozen = "stage.s.train=[\"connector\",\"decoder\"]";
  const TrainResult whole = run("whole", {frozen});
  const TrainResult accumulated = run("accumulated", {frozen, "stage.s.gradient_accumulation_steps=3"});
  const TrainResult bounded = run("bounded", {frozen, "stage.s.max_tokens_per_step=40"});
  for (const TrainResult* other : {&accumulated, &bounded}) {
    EXPECT_EQ(other->state.tokens, whole.state.tokens);
    EXPECT_EQ(other->state.samples, whole.state.samples);
    EXPECT_EQ(other->state.pictures, whole.state.pictures);
    EXPECT_EQ(other->state.position, whole.state.position);
  }
  expect_close_losses("whole", "accumulated", 1e-4);
  expect_close_losses("whole", "bounded", 1e-4);
}

TEST_F(Training, RecomputingChangesNothing) {
  run("kept");
  run("recomputed", {"stage.s.gradient_checkpointing=true"});
  expect_close_losses("kept", "recomputed", 1e-5);
}

TEST_F(Training, FrozenPartsKeepTheirBits) {
  run("none", {"stage.s.max_steps=1", "stage.s.learning_rate=1e-30"});
  run("run", {"stage.s.train=[\"connector\"]"});
  const auto before = open_safetensors(folder / "none" / "model" / "model.safetensors");
  const auto after = open_safetensors(folder / "run" / "model" / "model.safetensors");
  int64_t changed = 0;
  for (const auto& [name, tensor] : before->tensors()) {
    const RawTensor& other = after->tensors().at(name);
    const bool same = std::equal(tensor.data.begin(), tensor.data.end(), other.data.begin(), other.data.end());
    if (model::part_of(name) == "connector") {
      changed += same ? 0 : 1;
    } else if (name.find("running_") == std::string::npos) {
      EXPECT_TRUE(same) << name;
    }
  }
  EXPECT_GT(changed, 0);
}

/// What an early stage learned in bf16 keeps its fp32 weights through later stages, is written as fp32, and a resumed run has
/// them.
TEST_F(Training, FrozenInALaterStageAPartKeepsItsFp32Weights) {
  spill(folder / "r.toml",
        std::string(kRecipe) + "train = [\"connector\"]\n[[stage]]\nname = \"later\"\ntrain = [\"decoder\"]\nmax_steps = 6\n");
  const std::vector<std::string> bf16 = {"train.precision=bf16", "train.save_total_limit=9"};
  ASSERT_TRUE(run("run", bf16).finished);
  const auto weights = [&](const fs::path& model) { return open_safetensors(folder / "run" / model / "model.safetensors"); };
  const auto after_stage = weights("checkpoints/step-10"), at_end = weights("model");
  int64_t connectors = 0, fine = 0;
  for (const auto& [name, tensor] : at_end->tensors()) {
    if (model::part_of(name) == "vision") continue;  // never trained, so it is what it computes with
    EXPECT_EQ(tensor.dtype, DType::kF32) << name;
    if (model::part_of(name) != "connector") continue;
    ++connectors;
    const RawTensor& before = after_stage->tensors().at(name);
    EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), before.data.begin(), before.data.end())) << name;
    const auto* bits = reinterpret_cast<const uint32_t*>(tensor.data.data());
    for (size_t i = 0; i < tensor.data.size() / 4; ++i) fine += (bits[i] & 0xFFFF) != 0 ? 1 : 0;
  }
  EXPECT_GT(connectors, 0);
  EXPECT_GT(fine, 100);  // more than bf16 holds
}

/// The folder can be used again as soon as the recipe is put right.
TEST_F(Training, ARecipeThatCannotBeAssembledDoesNotClaimTheFolder) {
  EXPECT_THROW(run("run", {"model.connector.scale=3"}), Error);
  EXPECT_FALSE(fs::exists(folder / "run" / "recipe.toml"));
  EXPECT_TRUE(run("run").finished);
}

/// Records written after the run began change nothing: its tokenizer lies in the checkpoint.
TEST_F(Training, ResumedItKeepsItsTokenizer) {
  const Recipe recipe = Recipe::load(folder / "r.toml");
  train(recipe, {.out = folder / "run", .max_steps = 5});
  const std::string before = read_file(folder / "run" / "checkpoints" / "step-5" / "tokenizer.json");
  std::string lines;
  for (int i = 0; i < 16; ++i) lines += record(i % 3);
  spill(folder / "d.jsonl", lines);
  ASSERT_TRUE(run("run").finished);
  EXPECT_EQ(read_file(folder / "run" / "model" / "tokenizer.json"), before);
}

/// Times, losses and FLOPs are those of the whole run, however often it was started; a finished run says the same again.
TEST_F(Training, TheLedgerGoesOnOverStarts) {
  const Recipe recipe = Recipe::load(folder / "r.toml");
  const TrainResult first = train(recipe, {.out = folder / "run", .max_steps = 6});
  const TrainResult whole = train(recipe, {.out = folder / "run"});
  EXPECT_GT(whole.state.time.backward, first.state.time.backward);
  EXPECT_GT(whole.state.time.total(), 0);
  EXPECT_EQ(whole.state.recent_losses.size(), 10U);
  fs::remove_all(folder / "run" / "model");
  const TrainResult again = train(recipe, {.out = folder / "run"});
  EXPECT_TRUE(again.finished);
  EXPECT_TRUE(fs::exists(again.model / "model.safetensors"));
  EXPECT_EQ(again.last_loss, whole.last_loss);
  EXPECT_EQ(again.state.flops, whole.state.flops);
  EXPECT_GE(again.state.time.backward, whole.state.time.backward);
  EXPECT_NEAR(again.state.seconds, whole.state.seconds, 0.5);
}

TEST_F(Training, TooManyBrokenSamplesStopIt) {
  std::string lines;
  for (int i = 0; i < 16; ++i) lines += i % 4 == 0 ? "{\"broken\": true}\n" : record(i);
  spill(folder / "d.jsonl", lines);
  EXPECT_THAT(error_of([&] { run("run", {"stage.s.max_steps=100"}); }), HasSubstr("max_fault_share is 0.01"));
  EXPECT_FALSE(fs::exists(folder / "run" / "model"));
  const TrainResult result = run("more", {"train.max_fault_share=0.5"});
  EXPECT_TRUE(result.finished);
  const auto faults = report::read_json_lines(folder / "more" / "faults.jsonl");
  EXPECT_EQ(static_cast<int64_t>(faults.size()), result.state.faults);
  EXPECT_THAT(faults[0].at("fault").get<std::string>(), HasSubstr("conversations"));
}

/// A rate that throws the weights out of what floats hold ends the run by name, and no checkpoint holds a number that isn't
/// finite.
TEST_F(Training, LossesThatStayNonFiniteEndIt) {
  const std::string message = error_of([&] {
    run("run", {"stage.s.learning_rate=1e3", "train.max_grad_norm=0", "stage.s.max_steps=4000", "train.save_steps=1",
                "train.weight_decay=1.0"});
  });
  EXPECT_THAT(message, HasSubstr("not finite"));
  EXPECT_THAT(message, HasSubstr("Lower the learning rate"));
  EXPECT_FALSE(fs::exists(folder / "run" / "model"));
  for (const auto& entry : fs::directory_iterator(folder / "run" / "checkpoints")) {
    const auto file = open_safetensors(entry.path() / "model.safetensors");
    for (const auto& [name, tensor] : file->tensors()) {
      const auto* values = reinterpret_cast<const float*>(tensor.data.data());
      for (size_t i = 0; i < tensor.data.size() / sizeof(float); ++i)
        ASSERT_TRUE(std::isfinite(values[i])) << entry.path() << " " << name;
    }
  }
}

/// A batch that makes a NaN leaves no trace in what training keeps of batches.
TEST_F(Training, AStepPassedOverLeavesTheRunningStatistics) {
  EXPECT_THAT(error_of([&] {
                run("run", {"model.image.image_std=[1e-39,1e-39,1e-39]", "train.save_steps=1"});
              }),
              HasSubstr("not finite"));
  const auto file = open_safetensors(folder / "run" / "checkpoints" / "step-2" / "model.safetensors");
  int64_t statistics = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    if (name.find("running_") == std::string::npos) continue;
    const auto* values = reinterpret_cast<const float*>(tensor.data.data());
    const float start = name.ends_with("running_var") ? 1 : 0;
    for (size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) EXPECT_EQ(values[i], start) << name;
    ++statistics;
  }
  EXPECT_EQ(statistics, 4);
}

TEST_F(Training, CheckpointsAreWholeAndFew) {
  run("run", {"stage.s.max_steps=20", "train.save_total_limit=2"});
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder / "run" / "checkpoints")) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"step-16", "step-20"}));
  const fs::path newest = folder / "run" / "checkpoints" / "step-20";
  verify_checkpoint(newest);
  for (const char* left : {"checkpoints/step-24.tmp-1", "checkpoints/step-4.trash", "model.tmp-7", "model.trash"}) {
    fs::create_directory(folder / "run" / left);
    spill(folder / "run" / left / "file", "x");
  }
  fs::resize_file(newest / "state.json", 10);
  EXPECT_EQ(newest_checkpoint(folder / "run"), folder / "run" / "checkpoints" / "step-16");
  sweep(folder / "run");
  for (const char* left : {"checkpoints/step-24.tmp-1", "checkpoints/step-4.trash", "model.tmp-7", "model.trash"}) {
    EXPECT_FALSE(fs::exists(folder / "run" / left)) << left;
  }
  EXPECT_TRUE(fs::exists(folder / "run" / "model" / "config.json"));
  EXPECT_THAT(error_of([&] { verify_checkpoint(newest); }), HasSubstr("state.json"));
  fs::remove(newest / "manifest.json");
  EXPECT_THAT(error_of([&] { verify_checkpoint(newest); }), HasSubstr("manifest.json is missing"));
}

TEST(RunFolder, BelongsToOneProcessAtATime) {
  const TemporaryFolder folder;
  {
    const RunFolder held(folder / "run");
    EXPECT_THAT(error_of([&] { RunFolder(folder / "run"); }), HasSubstr("another process"));
  }
  const RunFolder free(folder / "run");
}

}  // namespace
}  // namespace ocelli::train
