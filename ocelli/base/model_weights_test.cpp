#include <gmock/gmock.h>

#include <cstring>

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::spill;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Tensors = std::map<std::string, RawTensor, std::less<>>;

/// `count` tensors a, b, … of 64 bytes, all of value `fill`.
class Weights {
 public:
  explicit Weights(int count, char fill = 1) : bytes_(64, static_cast<std::byte>(fill)) {
    for (int i = 0; i < count; ++i) tensors_[std::string(1, static_cast<char>('a' + i))] = {DType::kF32, {4, 4}, bytes_};
  }
  operator const Tensors&() const { return tensors_; }

 private:
  std::vector<std::byte> bytes_;
  Tensors tensors_;
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string refusal(const fs::path& folder) {
  return error_of([&] { open_model_weights(folder); });
}

void write_index(const fs::path& folder, const std::map<std::string, std::string>& weight_map) {
  spill(folder / "model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
}

TEST(ModelWeights, FewAreOneFile) {
  const TemporaryFolder folder;
  write_model_weights(folder / "new", Weights(3));
  EXPECT_THAT(names_in(folder / "new"), ElementsAre("model.safetensors"));
  const auto file = open_model_weights(folder / "new");
  EXPECT_EQ(file->tensors().size(), 3U);
  EXPECT_EQ(file->metadata().at("format"), "pt");
}

TEST(ModelWeights, ManyAreShardsWithAnIndex) {
  const TemporaryFolder folder;
  write_model_weights(folder.path(), Weights(5), 128);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                                   "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  const Json index = read_json(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 5 * 64);
  EXPECT_EQ(index["weight_map"]["c"], "model-00002-of-00003.safetensors");
  auto file = open_model_weights(folder.path());
  EXPECT_EQ(file->tensors().size(), 5U);
  EXPECT_EQ(file->total_bytes(), 5U * 64);
  EXPECT_EQ(file->path(), folder.path());
  EXPECT_EQ(file->metadata().at("format"), "pt");
  const auto owner = file->owner();
  const RawTensor last = file->at("e");
  file.reset();
  EXPECT_EQ(last.data[63], std::byte{1});  // the maps live on
}

TEST(ModelWeights, ALargeTensorIsAShardOfItsOwn) {
  const TemporaryFolder folder;
  write_model_weights(folder.path(), Weights(2), 1);
  EXPECT_EQ(open_model_weights(folder.path())->tensors().size(), 2U);
  EXPECT_EQ(folder.size(), 3U);
}

TEST(ModelWeights, ReplaceThoseOfAPreviousWrite) {
  const TemporaryFolder folder;
  spill(folder / "config.json", "{}");
  spill(folder / "model-card.safetensors", "of the user");
  for (const uint64_t shard_bytes : {64, 128, 1000, 192, 64}) {
    const char fill = static_cast<char>(shard_bytes % 100);
    write_model_weights(folder.path(), Weights(4, fill), shard_bytes);
    const auto file = open_model_weights(folder.path());
    EXPECT_EQ(file->tensors().size(), 4U);
    for (const auto& [name, tensor] : file->tensors()) EXPECT_EQ(tensor.data[0], static_cast<std::byte>(fill));
    const size_t shards = (256 + shard_bytes - 1) / shard_bytes;
    EXPECT_EQ(folder.size(), 2 + (shards == 1 ? 1 : shards + 1)) << shard_bytes;
  }
  EXPECT_TRUE(fs::exists(folder / "model-card.safetensors"));
}

TEST(ModelWeights, AFailedWriteLeavesThePreviousModel) {
  const TemporaryFolder folder;
  write_model_weights(folder.path(), Weights(4, 1), 128);
  const auto before = names_in(folder.path());
  const Weights next(4, 2);
  Tensors broken = next;
  broken["d"].shape = {5};
  EXPECT_THROW(write_model_weights(folder.path(), broken, 128), Error);
  EXPECT_EQ(names_in(folder.path()), before);
  EXPECT_EQ(open_model_weights(folder.path())->at("a").data[0], std::byte{1});
}

TEST(ModelWeights, AbsentOnesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal(folder / "no"), HasSubstr("no: no such folder"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("holds neither model.safetensors nor model.safetensors.index.json"));
}

TEST(ModelWeights, ShardNamesArePlain) {
  for (const std::string name : {"../../etc/passwd", "/etc/passwd", "a/../../b", "sub/a", "a\\b", "..", ".", "", "x"}) {
    const TemporaryFolder folder;
    const std::string value = name == "x" ? std::string("x\0y", 3) : name;
    write_index(folder.path(), {{"w", value}});
    EXPECT_THAT(refusal(folder.path()), AllOf(HasSubstr("tensor \"w\""), HasSubstr("expected a plain file name"))) << name;
  }
}

TEST(ModelWeights, IndexOfTheWrongFormIsRefused) {
  const TemporaryFolder folder;
  spill(folder / "model.safetensors.index.json", R"({"weight_map": {"w": 1}})");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("weight_map.w is no string"));
  spill(folder / "model.safetensors.index.json", R"({"weights": {}})");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("weight_map is missing"));
  spill(folder / "model.safetensors.index.json", R"({"weight_map": {"w": "a", "w": "b"}})");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("given twice"));
}

TEST(ModelWeights, LinksLeadNowhereElse) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  write_safetensors(elsewhere / "secret", Weights(1));
  fs::create_symlink(elsewhere / "secret", folder / "shard");
  write_index(folder.path(), {{"a", "shard"}});
  EXPECT_THAT(refusal(folder.path()), AllOf(HasSubstr("shard: links to"), HasSubstr("outside of")));
  fs::create_symlink(elsewhere / "secret", folder / "model.safetensors");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("model.safetensors: links to"));
  // A folder whose name merely begins like the allowed one is another folder.
  const fs::path neighbour = folder.path().string() + "-neighbour";
  fs::create_directory(neighbour);
  fs::copy_file(elsewhere / "secret", neighbour / "secret");
  fs::remove(folder / "model.safetensors");
  fs::create_symlink(neighbour / "secret", folder / "model.safetensors");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("links to"));
  fs::remove_all(neighbour);
}

TEST(ModelWeights, LinksWithinTheHuggingFaceCacheAreFollowed) {
  const TemporaryFolder cache;
  const fs::path model = cache / "models--org--name";
  const fs::path snapshot = model / "snapshots" / "0123";
  make_directories(snapshot);
  make_directories(model / "blobs");
  write_safetensors(model / "blobs" / "beef", Weights(1));
  spill(model / "blobs" / "cafe", Json{{"weight_map", {{"a", "model-1.safetensors"}}}}.dump());
  fs::create_symlink("../../blobs/beef", snapshot / "model-1.safetensors");
  fs::create_symlink("../../blobs/cafe", snapshot / "model.safetensors.index.json");
  EXPECT_EQ(open_model_weights(snapshot)->tensors().size(), 1U);
  // Another model of the same cache is outside.
  make_directories(cache / "models--org--other");
  write_safetensors(cache / "models--org--other" / "x", Weights(1));
  fs::remove(snapshot / "model-1.safetensors");
  fs::create_symlink(cache / "models--org--other" / "x", snapshot / "model-1.safetensors");
  EXPECT_THAT(refusal(snapshot), HasSubstr("outside of"));
}

TEST(ModelWeights, MissingShardsAreListed) {
  const TemporaryFolder folder;
  write_model_weights(folder.path(), Weights(3), 64);
  fs::remove(folder / "model-00002-of-00003.safetensors");
  fs::remove(folder / "model-00003-of-00003.safetensors");
  EXPECT_THAT(refusal(folder.path()),
              HasSubstr("missing 2 of 3 shards: model-00002-of-00003.safetensors, model-00003-of-00003.safetensors"));
}

TEST(ModelWeights, ATensorLiesInItsShardAndNoOther) {
  const TemporaryFolder folder;
  write_safetensors(folder / "one", Weights(2));
  write_safetensors(folder / "two", Weights(1));
  write_index(folder.path(), {{"a", "one"}, {"b", "two"}});
  EXPECT_THAT(refusal(folder.path()), HasSubstr("tensor \"a\" lies in two shards, one and two"));
  write_index(folder.path(), {{"a", "one"}, {"z", "one"}});
  EXPECT_THAT(refusal(folder.path()), HasSubstr("tensor \"z\" isn't in one"));
}

TEST(ModelWeights, ABrokenShardIsNamed) {
  const TemporaryFolder folder;
  write_model_weights(folder.path(), Weights(2), 64);
  fs::resize_file(folder / "model-00002-of-00002.safetensors", 30);
  EXPECT_THAT(refusal(folder.path()), HasSubstr("model-00002-of-00002.safetensors: truncated"));
}

}  // namespace
}  // namespace ocelli
