#include <gmock/gmock.h>

#include <cstring>

#include "ocelli/base/file.h"
#include "ocelli/base/rng.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::HasSubstr;

using Tensors = std::map<std::string, RawTensor, std::less<>>;

/// Tensors over one buffer of bytes that differ.
class WriteTest : public testing::Test {
 protected:
  WriteTest() : bytes_(1 << 16) {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i * 7 + i / 256);
  }
  RawTensor tensor(DType dtype, std::vector<int64_t> shape) {
    RawTensor result{dtype, std::move(shape), {}};
    const auto size = static_cast<size_t>(result.numel() * size_of(dtype));
    result.data = std::span(bytes_).subspan(next_, size);
    next_ += size;
    return result;
  }
  /// Bytes before `tensor` in its file.
  static uint64_t position(const TensorFile& file, const RawTensor& tensor) {
    const auto map = std::static_pointer_cast<const MappedFile>(file.owner());
    return static_cast<uint64_t>(tensor.data.data() - map->bytes().data());
  }
  const TemporaryFolder folder_;

 private:
  std::vector<std::byte> bytes_;
  size_t next_ = 0;
};

void expect_equal(const TensorFile& file, const Tensors& tensors) {
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const RawTensor& read = file.at(name);
    EXPECT_EQ(read.dtype, tensor.dtype) << name;
    EXPECT_EQ(read.shape, tensor.shape) << name;
    ASSERT_EQ(read.data.size(), tensor.data.size()) << name;
    EXPECT_TRUE(std::equal(read.data.begin(), read.data.end(), tensor.data.begin())) << name;
  }
}

TEST_F(WriteTest, ReadsBackWhatItWrote) {
  const Tensors tensors{{"a.weight", tensor(DType::kF32, {4, 8})},
                        {"b", tensor(DType::kBF16, {3, 5})},
                        {"n\"a\\m\x01\xc3\xa4", tensor(DType::kI64, {})},
                        {"zero", tensor(DType::kF64, {0, 7})},
                        {"f8", tensor(DType::kF8E4M3, {33})},
                        {"bool", tensor(DType::kBool, {2, 1, 2})}};
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"\"x\"", ""}};
  write_safetensors(folder_ / "a.safetensors", tensors, metadata);
  const auto file = open_safetensors(folder_ / "a.safetensors");
  expect_equal(*file, tensors);
  EXPECT_EQ(file->metadata(), metadata);
  EXPECT_EQ(folder_.size(), 1U);
}

TEST_F(WriteTest, AlignsWhatCanBeAligned) {
  // Names in an order that alone would put odd sizes first; header lengths of every remainder.
  for (int extra = 0; extra < 64; ++extra) {
    const Tensors tensors{{"a", tensor(DType::kU8, {3})},
                          {"b", tensor(DType::kF32, {16})},
                          {"c", tensor(DType::kF32, {3})},
                          {"d", tensor(DType::kF64, {24})},
                          {"e", tensor(DType::kI16, {3})},
                          {"f", tensor(DType::kF64, {5})},
                          {"g" + std::string(static_cast<size_t>(extra), 'g'), tensor(DType::kBF16, {64})}};
    write_safetensors(folder_ / "a.safetensors", tensors);
    const auto file = open_safetensors(folder_ / "a.safetensors");
    expect_equal(*file, tensors);
    for (const auto& [name, tensor] : file->tensors()) {
      const uint64_t at = position(*file, tensor);
      EXPECT_EQ(at % static_cast<uint64_t>(size_of(tensor.dtype)), 0U) << name;
      if (tensor.data.size() % 64 == 0) {
        EXPECT_EQ(at % 64, 0U) << name;
      }
    }
  }
}

TEST_F(WriteTest, SameTensorsGiveTheSameBytes) {
  const Tensors tensors{{"a", tensor(DType::kF32, {16})}, {"b", tensor(DType::kF32, {16})}};
  write_safetensors(folder_ / "a", tensors);
  write_safetensors(folder_ / "b", tensors);
  EXPECT_EQ(read_file(folder_ / "a"), read_file(folder_ / "b"));
}

TEST_F(WriteTest, WritesOverAFileThatIsMapped) {
  const Tensors old{{"a", tensor(DType::kF32, {64})}};
  write_safetensors(folder_ / "a", old);
  const auto file = open_safetensors(folder_ / "a");
  Tensors next = file->tensors();
  next["b"] = tensor(DType::kU8, {1});
  write_safetensors(folder_ / "a", next);
  expect_equal(*file, old);
  expect_equal(*open_safetensors(folder_ / "a"), next);
}

TEST_F(WriteTest, RefusesWhatReadingWouldRefuse) {
  const auto attempt = [&](const Tensors& tensors) {
    const std::string message = error_of([&] { write_safetensors(folder_ / "a", tensors); });
    EXPECT_EQ(folder_.size(), 0U);  // no temporary file either
    return message;
  };
  RawTensor wrong = tensor(DType::kF32, {4});
  wrong.shape = {5};
  EXPECT_THAT(attempt({{"w", wrong}}), HasSubstr("tensor \"w\": F32 [5] takes 20 bytes, given 16"));
  wrong.shape = {-4};
  EXPECT_THAT(attempt({{"w", wrong}}), HasSubstr("shape [-4] is negative or overflows"));
  EXPECT_THAT(attempt({{"__metadata__", tensor(DType::kU8, {1})}}), HasSubstr("can't be named __metadata__"));
  EXPECT_THAT(attempt({{"\xff", tensor(DType::kU8, {1})}}), HasSubstr("isn't UTF-8"));
  Tensors many;
  for (int i = 0; i < 65'537; ++i) many[std::to_string(i)] = RawTensor{DType::kU8, {0}, {}};
  EXPECT_THAT(attempt(many), HasSubstr("65537 tensors, the limit is 65536"));
}

TEST_F(WriteTest, RandomSetsRoundTrip) {
  const Rng rng(11);
  uint64_t counter = 0;
  const auto below = [&](uint64_t bound) { return static_cast<int64_t>(rng.below(counter++, bound)); };
  std::vector<std::byte> bytes(4096);
  for (int round = 0; round < 50; ++round) {
    Tensors tensors;
    for (int64_t i = below(20); i > 0; --i) {
      RawTensor tensor{static_cast<DType>(below(15)), {}, {}};
      for (int64_t rank = below(4); rank > 0; --rank) tensor.shape.push_back(below(8));
      tensor.data = std::span(bytes).first(static_cast<size_t>(tensor.numel() * size_of(tensor.dtype)));
      tensors.emplace(fmt::format("t{}", below(1000)), tensor);
    }
    write_safetensors(folder_ / "a", tensors);
    expect_equal(*open_safetensors(folder_ / "a"), tensors);
  }
}

}  // namespace
}  // namespace ocelli
