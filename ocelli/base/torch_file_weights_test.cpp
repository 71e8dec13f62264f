#include <gmock/gmock.h>

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/base/torch_file_test_support.h"

namespace ocelli {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

/// A file with one tensor of that name.
std::string torch_file(std::string_view name) {
  const std::string body = "}" + test::text(name) + test::tensor("0", 1, 0, {1}, {1}) + "s";
  return test::make_torch_file(test::pickle_of(body), {"\x01\x02\x03\x04"}).bytes;
}

std::string refusal(const fs::path& folder) {
  return error_of([&] { open_model_weights(folder); });
}

/// The name of the folder's one tensor.
std::string only_name(const fs::path& folder) {
  const auto file = open_model_weights(folder);
  EXPECT_EQ(file->tensors().size(), 1U);
  return file->tensors().begin()->first;
}

TEST(TorchModelWeights, ComeFromTheFirstFormThatIsThere) {
  const TemporaryFolder folder;
  spill(folder / "any.pth", torch_file("pth"));
  EXPECT_EQ(only_name(folder.path()), "pth");
  spill(folder / "shard", torch_file("sharded"));
  spill(folder / "pytorch_model.bin.index.json", Json{{"weight_map", {{"sharded", "shard"}}}}.dump());
  EXPECT_EQ(only_name(folder.path()), "sharded");
  spill(folder / "pytorch_model.bin", torch_file("bin"));
  EXPECT_EQ(only_name(folder.path()), "bin");
  const std::string bytes(64, '\1');
  write_model_weights(folder.path(), {{"safe", {DType::kF32, {16}, std::as_bytes(std::span(bytes))}}});
  EXPECT_EQ(only_name(folder.path()), "safe");
  EXPECT_TRUE(fs::exists(folder / "pytorch_model.bin")) << "only what was written before is replaced";
}

TEST(TorchModelWeights, ShardsAreHeldAgainstTheirIndex) {
  const TemporaryFolder folder;
  spill(folder / "pytorch_model-1.bin", torch_file("a"));
  spill(folder / "pytorch_model-2.bin", torch_file("b"));
  const auto index = [&](const Json& map) { spill(folder / "pytorch_model.bin.index.json", Json{{"weight_map", map}}.dump()); };
  index({{"a", "pytorch_model-1.bin"}, {"b", "pytorch_model-2.bin"}});
  const auto file = open_model_weights(folder.path());
  EXPECT_EQ(file->tensors().size(), 2U);
  EXPECT_EQ(file->at("b").data[3], std::byte{4});
  index({{"b", "pytorch_model-1.bin"}, {"a", "pytorch_model-2.bin"}});
  EXPECT_THAT(refusal(folder.path()), HasSubstr("where pytorch_model.bin.index.json says it is"));
  index({{"a", "pytorch_model-1.bin"}, {"c", "pytorch_model-3.bin"}});
  EXPECT_THAT(refusal(folder.path()), HasSubstr("missing 1 of 2 shards: pytorch_model-3.bin"));
  index({{"a", "../pytorch_model-1.bin"}});
  EXPECT_THAT(refusal(folder.path()), HasSubstr("expected a plain file name"));
}

TEST(TorchModelWeights, SeveralPthFilesAreListed) {
  const TemporaryFolder folder;
  spill(folder / "b.pth", torch_file("b"));
  spill(folder / "a.pth", torch_file("a"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("holds 2 .pth files, expected one: a.pth, b.pth"));
}

TEST(TorchModelWeights, AbsentOnesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal(folder.path()), HasSubstr("holds neither model.safetensors nor model.safetensors.index.json, "
                                                "pytorch_model.bin, pytorch_model.bin.index.json or one .pth file"));
}

TEST(TorchModelWeights, LinksLeadNowhereElse) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  spill(elsewhere / "secret", torch_file("w"));
  for (const char* name : {"a.pth", "pytorch_model.bin"}) {
    fs::create_symlink(elsewhere / "secret", folder / name);
    EXPECT_THAT(refusal(folder.path()), AllOf(HasSubstr(std::string(name) + ": links to"), HasSubstr("outside of")));
  }
}

}  // namespace
}  // namespace ocelli
