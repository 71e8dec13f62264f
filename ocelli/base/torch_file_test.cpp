#include <gmock/gmock.h>

#include <cstring>

#include "ocelli/base/file.h"
#include "ocelli/base/tensor_file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/base/torch_file_test_support.h"

namespace ocelli {
namespace {

using test::error_of;
using test::global;
using test::integer;
using test::make_torch_file;
using test::pickle_of;
using test::tensor;
using test::text;
using test::tuple;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::filesystem::path testdata(std::string_view name) {
  return std::filesystem::path(OCELLI_SOURCE_DIR "/ocelli/base/testdata") / name;
}

std::unique_ptr<TensorFile> parse(const std::string& bytes) {
  return parse_torch_file(std::as_bytes(std::span(bytes)), "m.pth");
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_of([&] { parse(bytes); });
  EXPECT_THAT(message, StartsWith("m.pth: "));
  return message;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// A file with the pickle of `body` and one storage "0" of four floats.
std::string file_of(const std::string& body) {
  return make_torch_file(pickle_of(body), {floats({1, 2, 3, 4})}).bytes;
}

/// Some tensor of storage "0".
std::string some() {
  return tensor("0", 4, 0, {4}, {1});
}

std::string dict_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "}(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}

std::vector<std::string> names_in(const std::string& body) {
  const std::string bytes = file_of(body);
  const auto file = parse(bytes);
  std::vector<std::string> names;
  for (const auto& [name, raw] : file->tensors()) names.push_back(name);
  return names;
}

template <typename T>
std::vector<T> values(const RawTensor& tensor) {
  std::vector<T> result(tensor.data.size() / sizeof(T));
  std::memcpy(result.data(), tensor.data.data(), tensor.data.size());
  return result;
}

TEST(TorchFile, ReadsWhatTorchWrites) {
  const auto file = open_torch_file(testdata("reference.pth"));
  EXPECT_EQ(file->tensors().size(), 27U);
  EXPECT_TRUE(file->metadata().empty());
  EXPECT_THAT(values<float>(file->at("weights.grid")), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(file->at("weights.grid").shape, ElementsAre(3, 4));
  EXPECT_THAT(values<float>(file->at("weights.rows")), ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(values<float>(file->at("weights.column")), ElementsAre(1, 5, 9));
  EXPECT_THAT(values<float>(file->at("weights.transposed")), ElementsAre(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11));
  EXPECT_THAT(file->at("weights.transposed").shape, ElementsAre(4, 3));
  EXPECT_THAT(values<float>(file->at("weights.expanded")), ElementsAre(7, 7, 7, 7));
  EXPECT_THAT(values<int64_t>(file->at("weights.scalar")), ElementsAre(-7));
  EXPECT_THAT(file->at("weights.scalar").shape, ElementsAre());
  EXPECT_THAT(file->at("weights.empty").shape, ElementsAre(0, 3));
  EXPECT_TRUE(file->at("weights.empty").data.empty());
  EXPECT_THAT(values<float>(file->at("weights.parameter")), ElementsAre(0.5F, -0.5F));
  EXPECT_THAT(values<float>(file->at("weights.marked")), ElementsAre(2));
  EXPECT_THAT(values<float>(file->at("layers.0")), ElementsAre(1));
  EXPECT_THAT(values<float>(file->at("layers.1.0")), ElementsAre(2));
  EXPECT_THAT(values<float>(file->at("5")), ElementsAre(3));
  EXPECT_THAT(values<float>(file->at("module.weight")), ElementsAre(1, 2));
  EXPECT_THAT(values<float>(file->at("module.bias")), ElementsAre(3));
  const std::vector<std::pair<std::string, DType>> types{
      {"float64", DType::kF64},       {"float16", DType::kF16}, {"bfloat16", DType::kBF16}, {"int32", DType::kI32},
      {"int16", DType::kI16},         {"int8", DType::kI8},     {"uint8", DType::kU8},      {"bool", DType::kBool},
      {"uint16", DType::kU16},        {"uint32", DType::kU32},  {"uint64", DType::kU64},    {"float8_e4m3fn", DType::kF8E4M3},
      {"float8_e5m2", DType::kF8E5M2}};
  for (const auto& [name, type] : types) {
    const RawTensor& raw = file->at("weights." + name);
    EXPECT_EQ(raw.dtype, type) << name;
    EXPECT_EQ(raw.data.size(), 4U * static_cast<size_t>(size_of(type))) << name;
  }
  EXPECT_THAT(values<uint16_t>(file->at("weights.bfloat16")), ElementsAre(0x3F80, 0, 0x3F80, 0x3F80));
  EXPECT_THAT(values<uint32_t>(file->at("weights.uint32")), ElementsAre(1, 0, 1, 1));
}

TEST(TorchFile, ContiguousTensorsAreMapped) {
  const auto path = testdata("reference.pth");
  const std::string bytes = read_file(path);
  const auto file = parse_torch_file(std::as_bytes(std::span(bytes)), "r");
  const auto within = [&](std::string_view name) {
    const auto* data = reinterpret_cast<const char*>(file->at(name).data.data());
    return data >= bytes.data() && data < bytes.data() + bytes.size();
  };
  const auto at = [&](std::string_view name) { return file->at(name).data.data(); };
  EXPECT_TRUE(within("weights.grid"));
  EXPECT_EQ(at("weights.rows"), at("weights.grid") + 16);
  EXPECT_FALSE(within("weights.transposed"));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(at("weights.transposed")) % 64, 0U);
  EXPECT_EQ((reinterpret_cast<const char*>(at("weights.grid")) - bytes.data()) % 64, 0);
}

TEST(TorchFile, TensorsOutliveTheFileByItsOwner) {
  auto file = open_torch_file(testdata("reference.pth"));
  const auto owner = file->owner();
  const RawTensor mapped = file->at("weights.grid");
  const RawTensor copied = file->at("weights.column");
  file.reset();
  EXPECT_EQ(values<float>(mapped)[11], 11);
  EXPECT_EQ(values<float>(copied)[2], 9);
}

TEST(TorchFile, Protocol5AndAWrappingKey) {
  const auto wrapped = open_torch_file(testdata("protocol5.pth"));
  const auto file = open_torch_file(testdata("reference.pth"));
  EXPECT_EQ(wrapped->tensors().size(), 22U);
  for (const auto& [name, raw] : wrapped->tensors()) {
    const RawTensor& other = file->at("weights." + name);
    EXPECT_EQ(raw.dtype, other.dtype) << name;
    EXPECT_EQ(raw.shape, other.shape) << name;
    EXPECT_TRUE(std::equal(raw.data.begin(), raw.data.end(), other.data.begin(), other.data.end())) << name;
  }
}

TEST(TorchFile, AWrappingKeyIsDroppedWhenNothingElseBearsTensors) {
  const std::string inner = dict_of({{"w", some()}});
  for (const char* key : {"model", "module", "state_dict"}) {
    EXPECT_THAT(names_in(dict_of({{"epoch", integer(3)}, {key, inner}})), ElementsAre("w")) << key;
  }
  EXPECT_THAT(names_in(dict_of({{"model", dict_of({{"state_dict", inner}})}})), ElementsAre("w"));
  EXPECT_THAT(names_in(dict_of({{"model", dict_of({{"model", some()}})}})), ElementsAre("model")) << "a tensor is no dict";
  EXPECT_THAT(names_in(dict_of({{"model", inner}, {"optimizer", inner}})), ElementsAre("model.w", "optimizer.w"));
  EXPECT_THAT(names_in(dict_of({{"model", inner}, {"module", inner}})), ElementsAre("model.w", "module.w"));
  EXPECT_THAT(names_in(dict_of({{"net", inner}})), ElementsAre("net.w"));
  EXPECT_THAT(names_in(dict_of({{"model", "]" + some() + "a"}})), ElementsAre("model.0")) << "a list is no dict";
  EXPECT_THAT(names_in("]" + inner + "a"), ElementsAre("0.w"));
  EXPECT_THAT(names_in("}"), ElementsAre());
}

TEST(TorchFile, OlderAndOtherFormsAreRefusedWithTheRemedy) {
  const auto legacy = testdata("legacy.pth");
  EXPECT_THAT(error_of([&] { open_torch_file(legacy); }),
              AllOf(HasSubstr("a bare pickle, as torch wrote before 1.6"),
                    HasSubstr("python -c \"import torch; torch.save(torch.load('" + legacy.string() + "', weights_only=True), '" +
                              legacy.string() + ".new')\"")));
  const std::string tar = "sys_info" + std::string(249, '\0') + "ustar\0";
  EXPECT_THAT(refusal(tar), AllOf(HasSubstr("the tar form"), HasSubstr("only when you trust"), HasSubstr("weights_only=False")));
  EXPECT_THAT(error_of([&] { open_torch_file(testdata("script.pth")); }),
              AllOf(HasSubstr("a TorchScript program"), HasSubstr("state_dict()")));
  EXPECT_THAT(error_of([&] { open_torch_file(testdata("reference.safetensors")); }), HasSubstr("no torch file: begins with"));
  EXPECT_THAT(refusal(""), HasSubstr("no torch file"));
  EXPECT_THAT(refusal(test::make_zip({{"a.txt", "b"}}).bytes), HasSubstr("a zip archive without data.pkl"));
  EXPECT_THAT(refusal(test::make_zip({{"data.pkl", "b"}}).bytes), HasSubstr("a zip archive without data.pkl"));
  EXPECT_THAT(refusal(test::make_zip({{"a/data.pkl", pickle_of("}")}, {"b/data.pkl", pickle_of("}")}}).bytes),
              HasSubstr("another data.pkl"));
  EXPECT_THAT(refusal(test::make_zip({{"a/data.pkl", pickle_of("}")}, {"a/byteorder", "big"}}).bytes),
              AllOf(HasSubstr("byte order \"big\""), HasSubstr("convert it: python")));
}

TEST(TorchFile, CompressedEntriesAreRefusedByName) {
  test::Zip zip = make_torch_file(pickle_of(dict_of({{"w", some()}})), {floats({1, 2, 3, 4})});
  const std::vector<std::string> names{"archive/data.pkl", "archive/byteorder", "archive/data/0"};
  for (size_t i = 0; i < names.size(); ++i) {
    test::Zip changed = zip;
    changed.put<uint16_t>(zip.directory[i] + 10, 8);
    changed.put<uint16_t>(zip.headers[i] + 8, 8);
    changed.put<uint32_t>(zip.directory[i] + 24, 4'000'000'000U);
    EXPECT_THAT(refusal(changed.bytes), AllOf(HasSubstr("zip entry \"" + names[i] + "\" is compressed (method 8), expected one"),
                                              HasSubstr("convert it: python")));
  }
}

TEST(TorchFile, APathThatAShellWouldReadIsLeftOutOfTheCommand) {
  const std::string pickle = "\x80\x02N.";
  const std::string message = error_of([&] { parse_torch_file(std::as_bytes(std::span(pickle)), "a$(b)'.pth"); });
  EXPECT_THAT(message, HasSubstr("torch.load('FILE', weights_only=True), 'FILE.new')"));
}

TEST(TorchFile, OtherGlobalsAreRefusedByName) {
  EXPECT_THAT(refusal(file_of(dict_of({{"w", some()}, {"x", global("os", "system") + text("id") + "\x85R"}}))),
              HasSubstr("refers to \"os.system\", which isn't read"));
}

TEST(TorchFile, UnknownTypesAreRefusedByName) {
  EXPECT_THAT(error_of([&] { open_torch_file(testdata("complex.pth")); }),
              HasSubstr("tensor \"z\": dtype torch.complex64 isn't read"));
}

TEST(TorchFile, ViewsStayWithinTheirData) {
  const auto of = [](const std::string& view) { return refusal(file_of(dict_of({{"w", view}}))); };
  for (const auto& view :
       {tensor("0", 4, 0, {5}, {1}), tensor("0", 4, 1, {4}, {1}), tensor("0", 4, 0, {2, 2}, {3, 1}), tensor("0", 4, 5, {}, {}),
        tensor("0", 4, 0, {2}, {-1}), tensor("0", 4, 2147483647, {1}, {1}), tensor("0", 4, 0, {2147483647}, {2147483647})}) {
    EXPECT_THAT(of(view), AllOf(HasSubstr("tensor \"w\""), HasSubstr("reach beyond the 4 elements")));
  }
  EXPECT_THAT(of(tensor("0", 5, 0, {1}, {1})),
              HasSubstr("\"archive/data/0\" are 16 bytes, expected 5 elements of torch.float32"));
  EXPECT_THAT(of(tensor("0", 3, 0, {1}, {1})), HasSubstr("expected 3 elements"));
  EXPECT_THAT(of(tensor("1", 4, 0, {1}, {1})), HasSubstr("\"archive/data/1\" aren't in the file"));
  EXPECT_THAT(of(tensor("../data.pkl", 4, 0, {1}, {1})), HasSubstr("aren't in the file"));
  EXPECT_THAT(of(tensor(std::string(300, 'x'), 4, 0, {1}, {1})), HasSubstr("key has 300 bytes"));
  const int32_t most = 2147483647;
  EXPECT_THAT(of(tensor("0", 4, 0, {most, most, most}, {0, 0, 0})), HasSubstr("overflows"));
  EXPECT_THAT(of(tensor("0", 4, 0, {0, most, most, most}, {0, 0, 0, 0})), HasSubstr("overflows"));
}

TEST(TorchFile, StridesOfDimensionsOfSize1MeanNothing) {
  const std::string bytes = file_of(dict_of(
      {{"w", tensor("0", 4, 1, {1, 3, 1}, {2147483647, 1, 99})}, {"v", tensor("0", 4, 0, {1, 2, 1}, {2147483647, 3, 99})}}));
  const auto file = parse(bytes);
  EXPECT_THAT(values<float>(file->at("w")), ElementsAre(2, 3, 4));
  const auto* mapped = reinterpret_cast<const char*>(file->at("w").data.data());
  EXPECT_TRUE(bytes.data() < mapped && mapped < bytes.data() + bytes.size());
  EXPECT_THAT(values<float>(file->at("v")), ElementsAre(1, 4));
}

TEST(TorchFile, CopiesAreInRasterOrder) {
  const std::string bytes = file_of(dict_of({{"w", tensor("0", 4, 0, {2, 2, 2}, {0, 1, 2})}}));
  EXPECT_THAT(values<float>(parse(bytes)->at("w")), ElementsAre(1, 3, 2, 4, 1, 3, 2, 4));
}

TEST(TorchFile, CopiesAreBoundedByTheFile) {
  EXPECT_THAT(refusal(file_of(dict_of({{"w", tensor("0", 4, 0, {1 << 30, 1 << 20}, {0, 0})}}))),
              AllOf(HasSubstr("tensor \"w\""), HasSubstr("larger than the file"), HasSubstr("tensor.contiguous()")));
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < 5; ++i) entries.emplace_back(std::to_string(i), tensor("0", 4, 0, {1 << 20}, {0}));
  EXPECT_THAT(refusal(file_of(dict_of(entries))), HasSubstr("larger than the file"));
}

TEST(TorchFile, NamesAreUnique) {
  EXPECT_THAT(refusal(file_of(dict_of({{"a", dict_of({{"b", some()}})}, {"a.b", some()}}))),
              HasSubstr("two tensors are named \"a.b\""));
  EXPECT_THAT(refusal(file_of(dict_of({{"a", some()}, {"a", "N"}}))), HasSubstr("key \"a\" in \"\" is given twice"));
  EXPECT_THAT(refusal(file_of(dict_of({{"model", dict_of({{"a", some()}})}, {"model", "N"}}))),
              HasSubstr("key \"model\" in \"\" is given twice"));
  EXPECT_THAT(refusal(file_of("}(" + integer(1) + some() + text("1") + some() + "u")), HasSubstr("two tensors are named \"1\""));
  EXPECT_THAT(refusal(file_of("}(" + integer(1) + some() + integer(1) + some() + "u")),
              HasSubstr("key 1 in \"\" is given twice"));
}

TEST(TorchFile, NamesAreTextsAndIntegers) {
  EXPECT_THAT(refusal(file_of(some())), HasSubstr("holds a tensor, expected a dict of tensors"));
  EXPECT_THAT(refusal(file_of("N")), HasSubstr("holds None, expected a dict of tensors"));
  EXPECT_THAT(refusal(file_of("}N" + some() + "s")), HasSubstr("under a key in \"\" that is None"));
  EXPECT_THAT(refusal(file_of("}" + some() + "Ns")), HasSubstr("a tensor in a key of"));
  EXPECT_THAT(refusal(file_of(dict_of({{"", some()}}))), HasSubstr("an empty key"));
  EXPECT_THAT(refusal(file_of(dict_of({{"\xff", some()}}))), HasSubstr("isn't UTF-8"));
  EXPECT_THAT(refusal(file_of(dict_of({{std::string(5000, 'a'), some()}}))), HasSubstr("longer than 4096 bytes"));
  EXPECT_THAT(names_in("}N]s" + text("w") + some() + "s"), ElementsAre("w")) << "other keys are fine where no tensor is";
}

TEST(TorchFile, NestingIsBounded) {
  const auto nested = [](int depth) {
    std::string body;
    for (int i = 0; i < depth; ++i) body += "}" + text("a");
    body += some();
    for (int i = 0; i < depth; ++i) body += "s";
    return body;
  };
  EXPECT_EQ(names_in(nested(64)).size(), 1U);
  EXPECT_THAT(refusal(file_of(nested(65))), HasSubstr("nested deeper than 64"));
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "]";
  for (int i = 0; i < 999'999; ++i) deep += "a";
  EXPECT_THAT(refusal(file_of(deep)), HasSubstr("nested deeper than 64"));
  // A list of a chain of 40 and of another 40 that lead to it.
  const std::string chain(40, '\x85');
  EXPECT_THAT(refusal(file_of("](]" + chain + "q\x01h\x01" + chain + "e")), HasSubstr("nested deeper than 64"));
}

TEST(TorchFile, WhatContainsItselfIsRefused) {
  const std::string zero(1, '\0');
  EXPECT_THAT(refusal(file_of("]q" + zero + "h" + zero + "a")), HasSubstr("a list contains itself"));
  EXPECT_THAT(refusal(file_of("}q" + zero + text("a") + "h" + zero + "s")), HasSubstr("a dict contains itself"));
  EXPECT_THAT(refusal(file_of("]q" + zero + "]h" + zero + "aa")), HasSubstr("contains itself"));
}

TEST(TorchFile, SharedContainersDontMultiply) {
  // 2^40 ways lead to one tensor.
  std::string body = "]" + some() + "a";
  for (int i = 0; i < 40; ++i) body += "2\x86";
  EXPECT_THAT(refusal(file_of(body)), HasSubstr("more than 65536 tensors"));
  // 2^40 ways to none.
  body = "]";
  for (int i = 0; i < 40; ++i) body += "2\x86";
  EXPECT_THAT(names_in("](" + body + some() + "e"), ElementsAre("1"));
}

}  // namespace
}  // namespace ocelli
