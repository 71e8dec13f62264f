// Modules, the way through a block, memory and mapped tensors.
#include "ocelli/nn/module.h"

#include <gtest/gtest.h>

#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "ocelli/base/test_support.h"
#include "ocelli/nn/linear.h"
#include "ocelli/nn/memory.h"
#include "ocelli/nn/mlp.h"
#include "ocelli/nn/norm.h"
#include "ocelli/nn/parallel.h"
#include "ocelli/nn/run.h"
#include "ocelli/nn/tensor_io.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::nn {
namespace {

using test::error_of;
using test::normal;

/// Before the first tensor of the program.
[[maybe_unused]] const bool kInstalled = (install_counting_allocator(), true);

struct Net final : Module {
  explicit Net(bool with_extra) {
    if (with_extra) extra = register_module("extra", std::make_shared<Linear>(3, 3, false));
    fc = register_module("fc", std::make_shared<Linear>(3, 5, true));
    wide = register_module("wide", std::make_shared<Linear>(3, 5, true));
    count = declare_buffer("count", {2}, Init::ones());
  }
  std::shared_ptr<Linear> extra, fc, wide;
  at::Tensor count;
};

TEST(Module, DeclaredTensorsAreEmptyUntilFilled) {
  Net net(true);
  for (const at::Tensor& parameter : net.parameters()) EXPECT_EQ(parameter.numel(), 0);
  EXPECT_EQ(count_parameters(net), 9 + 2 * 20);
  std::vector<std::string> names;
  for_each_parameter(net, [&](const std::string& name, const Parameter&) { names.push_back(name); });
  EXPECT_EQ(names, (std::vector<std::string>{"count", "extra.weight", "fc.weight", "fc.bias", "wide.weight", "wide.bias"}));
  initialize(net, 1);
  EXPECT_EQ(net.fc->weight().sizes(), (at::IntArrayRef{5, 3}));  // the handle the module computes with
  EXPECT_TRUE(net.fc->weight().requires_grad());
  EXPECT_FALSE(net.count.requires_grad());
  EXPECT_TRUE(at::equal(net.count, at::ones({2})));
}

TEST(Module, BuildingALargeModelAllocatesNothing) {
  const int64_t before = memory_use().live;
  const Linear large(1 << 20, 1 << 20, true);
  EXPECT_EQ(memory_use().live, before);
  EXPECT_EQ(count_parameters(large), (int64_t{1} << 40) + (1 << 20));
}

TEST(Module, StartValuesDependOnSeedAndNameAlone) {
  Net with(true), without(false), other(true), twice(true);
  initialize(with, 5);
  initialize(without, 5);
  initialize(other, 6);
  initialize(twice, 5, at::kDouble);
  EXPECT_TRUE(at::equal(with.fc->weight(), without.fc->weight()));
  EXPECT_FALSE(at::equal(with.fc->weight(), with.wide->weight()));
  EXPECT_FALSE(at::equal(with.fc->weight(), other.fc->weight()));
  EXPECT_TRUE(at::equal(with.fc->weight().to(at::kDouble), twice.fc->weight()));
  EXPECT_LE(with.fc->weight().abs().max().item<double>(), 1 / std::sqrt(3.0));
}

TEST(Module, FillNamesAWrongShape) {
  const Linear linear(3, 5, false);
  EXPECT_EQ(error_of([&] {
              fill("decoder.fc.weight", linear.declared()[0], at::zeros({3, 5}));
            }),
            "decoder.fc.weight: shape 3x5 instead of 5x3");
  EXPECT_EQ(linear.weight().numel(), 0);
}

TEST(Memory, OwnedStorageIsAlignedTo64Bytes) {
  Net net(true);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    initialize(net, 1, dtype);
    for (const at::Tensor& parameter : net.parameters()) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(parameter.const_data_ptr()) % 64, 0U);
    }
  }
}

TEST(Memory, CountsLiveAndPeakBytes) {
  const int64_t before = memory_use().live;
  reset_peak_memory();
  EXPECT_EQ(memory_use().peak, before);
  {
    const at::Tensor x = at::empty({1000}, at::kFloat);
    EXPECT_EQ(memory_use().live, before + 4000);
    { const at::Tensor y = at::empty({3000}, at::kByte); }
    EXPECT_EQ(memory_use().live, before + 4000);
  }
  EXPECT_EQ(memory_use().live, before);
  EXPECT_EQ(memory_use().peak, before + 7000);
  EXPECT_GT(resident_bytes(), 0);
  EXPECT_GT(anonymous_resident_bytes(), 0);
  EXPECT_GE(peak_resident_bytes(), resident_bytes());
}

TEST(Memory, TooMuchIsAnErrorWithTheSize) {
  const std::string message = error_of([] { at::empty({int64_t{1} << 60}, at::kByte); });
  EXPECT_NE(message.find("out of memory: 1152921504606846976 bytes"), std::string::npos) << message;
}

TEST(TensorIo, AMappedTensorOutlivesItsFile) {
  const test::TemporaryFolder folder;
  const at::Tensor x = normal({70, 9}, at::kFloat, 1);
  write_safetensors(folder / "x.safetensors", {{"x", raw_view(x)}});
  at::Tensor mapped;
  {
    const auto file = open_safetensors(folder / "x.safetensors");
    const int64_t before = memory_use().live;
    mapped = mapped_tensor(file->at("x"), file->owner());
    EXPECT_EQ(memory_use().live, before);  // no copy
    EXPECT_EQ(static_cast<const void*>(mapped.const_data_ptr()), static_cast<const void*>(file->at("x").data.data()));
  }
  std::filesystem::remove(folder / "x.safetensors");
  EXPECT_TRUE(at::equal(mapped, x));
  EXPECT_TRUE(at::equal(mapped.slice(0, 5, 6).clone(), x.slice(0, 5, 6)));
}

TEST(TensorIo, TypesGoBothWays) {
  for (const at::ScalarType type :
       {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    EXPECT_EQ(to_torch(from_torch(type)), type);
  }
  EXPECT_EQ(error_of([] { from_torch(at::kComplexFloat); }), "tensor type ComplexFloat can't be stored in safetensors");
  EXPECT_EQ(error_of([] { raw_view(at::zeros({3, 4}).t()); }), "a tensor to be written must be contiguous and on the CPU");
}

/// A residual block with parameters of its own.
struct Residual final : Module {
  Residual() {
    norm = register_module("norm", std::make_shared<RmsNorm>(8, 1e-6));
    mlp = register_module("mlp", std::make_shared<GatedMlp>(8, 12, Activation::kSilu, true, Init::zeros(), Init::zeros()));
  }
  at::Tensor forward(const at::Tensor& x) const { return x + mlp->forward(norm->forward(x)); }
  std::shared_ptr<RmsNorm> norm;
  std::shared_ptr<GatedMlp> mlp;
};

struct Stack final : Module {
  Stack() {
    for (int i = 0; i < 3; ++i) blocks.push_back(register_module(std::to_string(i), std::make_shared<Residual>()));
  }
  std::vector<std::shared_ptr<Residual>> blocks;
};

struct Result {
  at::Tensor output, input_gradient;
  std::vector<at::Tensor> gradients;
};

/// The three blocks one behind the other; `nested`: all of them inside one outer block as well.
Result run_stack(Stack& stack, const at::Tensor& values, bool checkpointing, bool input_gradient, bool nested) {
  test::clear_gradients(stack);
  RunContext context;
  context.gradient_checkpointing = checkpointing;
  const at::Tensor input = values.clone().requires_grad_(input_gradient);
  const auto all = [&](const at::Tensor& hidden) {
    at::Tensor x = hidden;
    for (const auto& block : stack.blocks) {
      x = run_block(
          "block", [block](const at::Tensor& h) { return block->forward(h); }, x, context);
    }
    return x;
  };
  const at::Tensor output = nested ? run_block("outer", all, input, context) : all(input);
  output.backward(normal(values.sizes(), values.scalar_type(), 9));
  return {output.detach(), input.grad(), test::gradients_of(stack)};
}

TEST(RunBlock, CheckpointingGivesTheSameBits) {
  Stack stack;
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    test::randomize(stack, 3, dtype);
    const at::Tensor x = normal({33, 8}, dtype, 1);
    for (const bool input_gradient : {true, false}) {
      for (const bool nested : {false, true}) {
        SCOPED_TRACE(fmt::format("input gradient {}, nested {}", input_gradient, nested));
        const Result plain = run_stack(stack, x, false, input_gradient, nested),
                     kept = run_stack(stack, x, true, input_gradient, nested);
        EXPECT_TRUE(at::equal(kept.output, plain.output));
        if (input_gradient) {
          EXPECT_TRUE(at::equal(kept.input_gradient, plain.input_gradient));
        }
        for (size_t i = 0; i < plain.gradients.size(); ++i) {
          EXPECT_GT(plain.gradients[i].abs().max().item<double>(), 0);
          EXPECT_TRUE(at::equal(kept.gradients[i], plain.gradients[i])) << i;
        }
      }
    }
  }
}

TEST(RunBlock, CheckpointingKeepsOnlyTheInput) {
  Stack stack;
  test::randomize(stack, 3, at::kFloat);
  const at::Tensor x = normal({4096, 8}, at::kFloat, 1).requires_grad_(true);
  const auto held = [&](bool checkpointing) {
    RunContext context;
    context.gradient_checkpointing = checkpointing;
    const int64_t before = memory_use().live;
    at::Tensor hidden = x;
    for (const auto& block : stack.blocks)
      hidden = run_block(
          "b", [block](const at::Tensor& h) { return block->forward(h); }, hidden, context);
    return memory_use().live - before;
  };
  EXPECT_EQ(held(true), 3 * x.nbytes());  // each block's output, which is the next one's input
  EXPECT_GT(held(false), 4 * held(true));
}

TEST(RunBlock, AFrozenBlockIsNotRunAgain) {
  Stack stack;
  test::randomize(stack, 3, at::kFloat);
  const auto runs = [&](bool trained, bool input_gradient) {
    for (const at::Tensor& parameter : stack.parameters()) parameter.requires_grad_(trained);
    EXPECT_EQ(trains(stack), trained);
    RunContext context;
    context.gradient_checkpointing = true;
    int count = 0;
    const at::Tensor weight = at::ones({8}).requires_grad_(true);  // of what comes behind, so that there is a backward pass
    at::Tensor hidden = normal({5, 8}, at::kFloat, 1).requires_grad_(input_gradient);
    for (const auto& block : stack.blocks) {
      hidden = run_block(
          "b",
          [&count, block](const at::Tensor& h) {
            ++count;
            return block->forward(h);
          },
          hidden, context, trains(*block));
    }
    (hidden * weight).sum().backward();
    return count;
  };
  EXPECT_EQ(runs(false, false), 3);
  EXPECT_EQ(runs(false, true), 6);
  EXPECT_EQ(runs(true, false), 6);
}

TEST(RunBlock, ObservesEachBlockInOrder) {
  RunContext context;
  std::vector<std::string> seen;
  context.observe = [&](std::string_view block, const at::Tensor& output) {
    seen.push_back(fmt::format("{}={}", block, output.item<double>()));
  };
  const auto add = [](const at::Tensor& x) { return x + 1; };
  const at::Tensor one = run_block("first", add, at::zeros({}), context);
  run_block("second", add, one, context);
  EXPECT_EQ(seen, (std::vector<std::string>{"first=1", "second=2"}));
}

TEST(RunBlock, StopsAtTheFirstValueThatIsNotFinite) {
  RunContext context;
  stop_at_non_finite(context);
  const at::Tensor x = run_block(
      "layers.0", [](const at::Tensor& h) { return h * 2; }, at::ones({3}), context);
  EXPECT_EQ(error_of([&] {
              run_block(
                  "layers.1", [](const at::Tensor& h) { return h / 0; }, x, context);
            }),
            "layers.1: its output holds a value that is not finite");
}

TEST(Parallel, UsesMoreThanOneThread) {
  if (at::get_num_threads() < 2) GTEST_SKIP() << "one core";
  std::set<std::thread::id> threads;
  std::mutex guard;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(guard);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_GT(threads.size(), 1U);
}

TEST(Parallel, ChunksCoverEachItemOnce) {
  for (const int64_t n : {0, 1, 5, 64, 1000}) {
    for (const int64_t least : {0, 1, 7, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      std::atomic<int64_t> calls = 0;
      const int64_t chunks = parallel_chunks(n, least, [&](int64_t chunk, int64_t begin, int64_t end) {
        EXPECT_LT(chunk, at::get_num_threads());
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        ++calls;
      });
      EXPECT_EQ(calls, chunks);
      for (const auto& count : seen) EXPECT_EQ(count, 1);
    }
  }
}

TEST(Parallel, OneOpenMpLibraryIsLoaded) {
  std::set<std::string> libraries;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find('/');
    if (slash != std::string::npos && (line.find("libgomp") != std::string::npos || line.find("libomp") != std::string::npos)) {
      libraries.insert(line.substr(slash));
    }
  }
  EXPECT_EQ(libraries.size(), 1U) << fmt::format("{}", fmt::join(libraries, ", "));
}

}  // namespace
}  // namespace ocelli::nn
