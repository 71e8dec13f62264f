#include "ocelli/base/pickle.h"

#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/base/torch_file_test_support.h"

namespace ocelli::detail {
namespace {

using test::append;
using test::error_of;
using test::global;
using test::integer;
using test::pickle_of;
using test::storage;
using test::tensor;
using test::text;
using test::tuple;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Pickle read(const std::string& bytes) {
  return read_pickle(std::as_bytes(std::span(bytes)), "m.pth");
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_of([&] { read(bytes); });
  EXPECT_THAT(message, StartsWith("m.pth: byte "));
  return message;
}

/// The kind of the one value that `body` leaves.
PickleKind kind_of(const std::string& body) {
  return read(pickle_of(body)).root.kind;
}

std::string operand(std::string_view opcode, uint64_t value, size_t bytes) {
  std::string out(opcode);
  out.append(reinterpret_cast<const char*>(&value), bytes);
  return out;
}

TEST(Pickle, ReadsEveryKindOfValue) {
  EXPECT_EQ(kind_of("N"), PickleKind::kNone);
  EXPECT_EQ(kind_of("\x88"), PickleKind::kBool);
  EXPECT_EQ(kind_of("G12345678"), PickleKind::kReal);
  EXPECT_EQ(kind_of(text("a")), PickleKind::kText);
  EXPECT_EQ(kind_of(operand("B", 2, 4) + "ab"), PickleKind::kBytes);
  EXPECT_EQ(kind_of(operand("C", 2, 1) + "ab"), PickleKind::kBytes);
  EXPECT_EQ(kind_of(operand("\x8e", 2, 8) + "ab"), PickleKind::kBytes);
  EXPECT_EQ(kind_of(global("_codecs", "encode") + text("ab") + text("latin1") + "\x86R"), PickleKind::kBytes);
  EXPECT_EQ(kind_of(global("__builtin__", "bytes") + ")R"), PickleKind::kBytes);
  EXPECT_EQ(kind_of(")"), PickleKind::kTuple);
  EXPECT_EQ(kind_of("]"), PickleKind::kList);
  EXPECT_EQ(kind_of("}"), PickleKind::kDict);
  EXPECT_EQ(kind_of(global("collections", "OrderedDict") + ")R"), PickleKind::kDict);
  EXPECT_EQ(kind_of(global("torch", "Size") + tuple({1, 2}) + "\x85R"), PickleKind::kTuple);
  EXPECT_EQ(kind_of(global("torch", "bfloat16")), PickleKind::kType);
  EXPECT_EQ(kind_of(text("torch") + text("bfloat16") + "\x93"), PickleKind::kType);
  EXPECT_EQ(kind_of(global("torch", "HalfStorage")), PickleKind::kStorageType);
  EXPECT_EQ(kind_of(storage("HalfStorage", "0", 4)), PickleKind::kStorage);
  EXPECT_EQ(kind_of(tensor("0", 4, 0, {4}, {1})), PickleKind::kTensor);
}

TEST(Pickle, IntegersKeepTheirValue) {
  const auto value_of = [](const std::string& body) {
    const PickleValue root = read(pickle_of(body)).root;
    EXPECT_EQ(root.kind, PickleKind::kInteger);
    return root.integer;
  };
  EXPECT_EQ(value_of(operand("K", 255, 1)), 255);
  EXPECT_EQ(value_of(operand("M", 65535, 2)), 65535);
  EXPECT_EQ(value_of(integer(-5)), -5);
  EXPECT_EQ(value_of(operand("\x8a", 0, 1)), 0);
  EXPECT_EQ(value_of(operand("\x8a\x01", 0xFF, 1)), -1);
  EXPECT_EQ(value_of(operand("\x8a\x02", 0x00FF, 2)), 255);
  EXPECT_EQ(value_of(operand("\x8a\x05", 0xFF00000000, 5)), -(1LL << 32));
  EXPECT_EQ(value_of(operand("\x8a\x08", 1ULL << 63, 8)), INT64_MIN);
  EXPECT_EQ(value_of(operand("\x8b", 3, 4) + operand("", 0x010000, 3)), 65536);
  EXPECT_EQ(kind_of(operand("\x8a\x09", 0, 8) + std::string(1, '\1')), PickleKind::kLargeInteger);
}

TEST(Pickle, FillsListsAndDicts) {
  const Pickle pickle = read(pickle_of("](" + integer(1) + integer(2) + "e" + integer(3) + "a"));
  const auto& list = pickle.sequences[pickle.root.index];
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[2].integer, 3);
  const std::string bytes =
      pickle_of("}(" + text("a") + integer(1) + text("b") + integer(2) + "u" + text("c") + integer(3) + "s");
  const Pickle dict = read(bytes);  // texts point into them
  EXPECT_EQ(dict.sequences[dict.root.index].size(), 6U);
  EXPECT_THAT(dict.texts, ElementsAre("a", "b", "c"));
  EXPECT_EQ(kind_of("(" + text("a") + "Nd"), PickleKind::kDict);
  EXPECT_EQ(kind_of("(NNl"), PickleKind::kList);
}

TEST(Pickle, MemoGivesTheSameThing) {
  const std::string twice = operand("]q", 0, 1) + operand("h", 0, 1);
  const Pickle pickle = read(pickle_of(twice + "\x86"));
  const auto& pair = pickle.sequences[pickle.root.index];
  EXPECT_EQ(pair[0].index, pair[1].index);
  // MEMOIZE takes the next free place.
  EXPECT_EQ(kind_of("]\x94N\x94" + operand("h", 1, 1) + "00" + operand("h", 0, 1) + "\x86"), PickleKind::kTuple);
}

TEST(Pickle, TensorsAreViewsOfStorages) {
  const std::string bytes = pickle_of(tensor("7", 12, 4, {2, 3}, {4, 1}));
  const Pickle pickle = read(bytes);
  ASSERT_EQ(pickle.tensors.size(), 1U);
  const PickledTensor& tensor = pickle.tensors[0];
  EXPECT_EQ(tensor.type->name, "float32");
  EXPECT_EQ(tensor.offset, 4);
  EXPECT_EQ(pickle.sequences[tensor.sizes][1].integer, 3);
  EXPECT_EQ(pickle.sequences[tensor.strides][0].integer, 4);
  EXPECT_EQ(pickle.storages[tensor.storage].key, "7");
  EXPECT_EQ(pickle.storages[tensor.storage].numel, 12);
}

TEST(Pickle, ParametersAreTheirTensors) {
  const std::string of = tensor("0", 1, 0, {1}, {1});
  EXPECT_EQ(kind_of(global("torch._utils", "_rebuild_parameter") + of + "\x88}\x87R"), PickleKind::kTensor);
  EXPECT_EQ(kind_of(global("torch._utils", "_rebuild_parameter_with_state") + "(" + of + "\x88}}tR"), PickleKind::kTensor);
}

TEST(Pickle, EveryOtherGlobalIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> globals{{"os", "system"},
                                                                 {"posix", "system"},
                                                                 {"builtins", "eval"},
                                                                 {"__builtin__", "getattr"},
                                                                 {"builtins", "bytearray"},
                                                                 {"torch", "load"},
                                                                 {"torch", "device"},
                                                                 {"torch._utils", "_rebuild_qtensor"},
                                                                 {"torch.nn", "Linear"},
                                                                 {"argparse", "Namespace"},
                                                                 {"torch", ""},
                                                                 {"", "float32"},
                                                                 {"torch", "Tensor"},
                                                                 {"collections", "defaultdict"}};
  for (const auto& [module, name] : globals) {
    const std::string shown = "refers to \"" + module + "." + name + "\", which isn't read";
    EXPECT_THAT(refusal(pickle_of(global(module, name) + text("id") + "\x85R")), HasSubstr(shown));
    EXPECT_THAT(refusal(pickle_of(text(module) + text(name) + "\x93")), HasSubstr(shown));
    EXPECT_THAT(refusal(pickle_of("(" + global(module, name) + "0N")), HasSubstr(shown)) << "though it is thrown away";
  }
}

TEST(Pickle, EveryOtherOpcodeIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> opcodes{
      {")\x81", "0x81 (NEWOBJ)"},  {"\x8f", "0x8f (EMPTY_SET)"},  {"(\x91", "0x91 (FROZENSET)"},
      {"I1\n", "0x49 (INT)"},      {"(i", "0x69 (INST)"},         {"o", "0x6f (OBJ)"},
      {"\x82\x01", "0x82 (EXT1)"}, {"\x96", "0x96 (BYTEARRAY8)"}, {"\xff", "0xff (unknown)"}};
  for (const auto& [body, shown] : opcodes) EXPECT_THAT(refusal(pickle_of(body)), HasSubstr("opcode " + shown)) << shown;
}

TEST(Pickle, OnlyProtocols2To5) {
  for (const char protocol : {2, 3, 4, 5}) EXPECT_EQ(read(std::string("\x80") + protocol + "N.").root.kind, PickleKind::kNone);
  for (const char protocol : {0, 1, 6}) {
    EXPECT_THAT(refusal(std::string("\x80") + protocol + "N."),
                HasSubstr(fmt::format("protocol {:d}, expected 2 to 5", protocol)));
  }
  EXPECT_THAT(refusal("N."), HasSubstr("no pickle of protocol 2 to 5"));
  EXPECT_THAT(refusal(""), HasSubstr("no pickle of protocol 2 to 5"));
}

TEST(Pickle, TruncationIsFoundAtEveryByte) {
  const std::string whole = pickle_of("}" + text("w") + tensor("0", 4, 0, {4}, {1}) + "s");
  ASSERT_EQ(read(whole).root.kind, PickleKind::kDict);
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_THROW(read(whole.substr(0, size)), Error) << size;
  EXPECT_THAT(refusal(whole + "N"), HasSubstr("ends 1 bytes before the end"));
}

TEST(Pickle, LyingLengthsAreRefused) {
  for (const char* opcode : {"X", "T", "B"})
    EXPECT_THAT(refusal(pickle_of(operand(opcode, 0xFFFFFFFF, 4))), HasSubstr("truncated"));
  for (const char* opcode : {"\x8d", "\x8e"}) EXPECT_THAT(refusal(pickle_of(operand(opcode, ~0ULL, 8))), HasSubstr("truncated"));
  EXPECT_THAT(refusal(pickle_of(operand("\x8b", 0x7FFFFFFF, 4))), HasSubstr("truncated"));
  EXPECT_THAT(refusal(pickle_of(operand("\x95", 1ULL << 63, 8) + "N")), HasSubstr("a frame of"));
  EXPECT_THAT(refusal(pickle_of("c" + std::string(2000, 'a'))), HasSubstr("without end"));
}

TEST(Pickle, StackAndMarksAreChecked) {
  for (const char* body :
       {"", "0", "a", "]a", "s", "}Ns", "R", ")R", "b", "Q", "\x85", "N\x86", "NN\x87", "2", "\x93", "(N\x86"}) {
    EXPECT_THROW(read(pickle_of(body)), Error) << body;
  }
  for (const char* body : {"t", "e", "]e", "u", "}Nu", "1", "l", "d"}) {
    EXPECT_THAT(refusal(pickle_of(body)), HasSubstr("a mark is missing")) << body;
  }
  EXPECT_THAT(refusal(pickle_of("NN")), HasSubstr("ends with 2 values"));
  EXPECT_THAT(refusal(pickle_of("(N")), HasSubstr("ends with"));
  EXPECT_THAT(refusal(pickle_of("}(Nu")), HasSubstr("a key without value"));
  EXPECT_THAT(refusal(pickle_of(")Na")), HasSubstr("a tuple is appended to"));
  EXPECT_THAT(refusal(pickle_of("]NNs")), HasSubstr("a list is given items"));
  EXPECT_THAT(refusal(pickle_of("N)R")), HasSubstr("None is called"));
  EXPECT_THAT(refusal(pickle_of("]}b")), HasSubstr("a list is given a dict as its state"));
  EXPECT_EQ(kind_of("N(0"), PickleKind::kNone) << "POP takes a mark too";
}

TEST(Pickle, MemoIsBounded) {
  EXPECT_THAT(refusal(pickle_of("N" + operand("r", 0xFFFFFFFF, 4))), HasSubstr("memo place 4294967295, the limit is 1048576"));
  EXPECT_THAT(refusal(pickle_of("N" + operand("r", kMaxPickleMemo, 4))), HasSubstr("the limit is"));
  EXPECT_EQ(kind_of("N" + operand("r", kMaxPickleMemo - 1, 4)), PickleKind::kNone);
  EXPECT_THAT(refusal(pickle_of(operand("h", 0, 1))), HasSubstr("memo place 0 is empty"));
  EXPECT_THAT(refusal(pickle_of("N" + operand("q", 5, 1) + operand("h", 4, 1))), HasSubstr("memo place 4 is empty"));
  EXPECT_THAT(refusal(pickle_of("N" + operand("j", 0xFFFFFFFF, 4))), HasSubstr("is empty"));
}

TEST(Pickle, ValuesAreBounded) {
  for (const char* opcode : {"N", "]", "("}) {
    std::string body;
    for (uint64_t i = 0; i < kMaxPickleValues + 1; ++i) body += opcode;
    EXPECT_THAT(refusal(pickle_of(body)), HasSubstr("more than 4194304 values")) << opcode;
  }
}

TEST(Pickle, TensorArgumentsAreChecked) {
  const std::string function = global("torch._utils", "_rebuild_tensor_v2");
  const std::string of = storage("FloatStorage", "0", 4);
  const auto with = [&](const std::string& arguments) { return refusal(pickle_of(function + "(" + arguments + "tR")); };
  EXPECT_THAT(with(of), HasSubstr("a tensor of 1 arguments"));
  EXPECT_THAT(with("N" + integer(0) + "))\x89}"), HasSubstr("a tensor's data is None"));
  EXPECT_THAT(with(of + integer(-1) + "))\x89}"), HasSubstr("a tensor's offset is -1"));
  EXPECT_THAT(with(of + integer(0) + tuple({-2}) + tuple({1}) + "\x89}"), HasSubstr("a tensor's size is -2"));
  EXPECT_THAT(with(of + integer(0) + tuple({2}) + "]\x89}"), HasSubstr("a tensor's stride is a list"));
  EXPECT_THAT(with(of + integer(0) + tuple({2}) + ")\x89}"), HasSubstr("1 sizes and 0 strides"));
  EXPECT_THAT(with(of + integer(0) + tuple(std::vector<int32_t>(65, 1)) + ")\x89}"), HasSubstr("of 65 parts"));
  EXPECT_THAT(with(of + integer(0) + "(" + text("2") + "t)\x89}"), HasSubstr("a tensor's size is a text"));
  EXPECT_THAT(with(of + integer(0) + "))\x89}}" + text("conj") + "\x88s"), HasSubstr("conjugate or negative view"));
  EXPECT_EQ(kind_of(function + "(" + of + integer(0) + "))\x89}}tR"), PickleKind::kTensor) << "empty metadata";
  EXPECT_THAT(refusal(pickle_of(global("torch._utils", "_rebuild_tensor_v3") + "(" + of + integer(0) + "))\x89}NtR")),
              HasSubstr("a tensor's dtype is None"));
}

TEST(Pickle, PersistentIdsAreStorages) {
  EXPECT_THAT(refusal(pickle_of(text("0") + "Q")), HasSubstr("a persistent id is a text"));
  EXPECT_THAT(refusal(pickle_of(")Q")), HasSubstr("a persistent id of 0 parts"));
  EXPECT_THAT(refusal(pickle_of("(" + text("module") + "NNNNtQ")), HasSubstr("expected (\"storage\""));
  EXPECT_THAT(refusal(pickle_of("(" + text("storage") + "NNNNtQ")), HasSubstr("a storage's class is None"));
  EXPECT_THAT(refusal(pickle_of(storage("FloatStorage", "0", -1))), HasSubstr("a storage's size is -1"));
}

TEST(Pickle, FunctionsTakeOnlyWhatPicklersGiveThem) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"collections", "OrderedDict"},
                                                        {"torch", "Size"},
                                                        {"_codecs", "encode"},
                                                        {"builtins", "bytes"},
                                                        {"torch._utils", "_rebuild_parameter"},
                                                        {"torch._utils", "_rebuild_parameter_with_state"}}) {
    EXPECT_THAT(refusal(pickle_of(global(module, name) + "N\x85R")), HasSubstr(name + " is called with 1 arguments"));
    EXPECT_THAT(refusal(pickle_of(global(module, name) + "NR")), HasSubstr("arguments are None"));
  }
  EXPECT_THAT(refusal(pickle_of(global("torch", "Size") + tuple(std::vector<int32_t>(9, 1)) + "R")), HasSubstr("9 arguments"));
}

}  // namespace
}  // namespace ocelli::detail
