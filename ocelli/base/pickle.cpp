#include "ocelli/base/pickle.h"

#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/pickle_globals.h"
#include "ocelli/base/pickle_machine.h"
#include "ocelli/base/safetensors_header.h"

namespace ocelli::detail {
namespace {

constexpr PickleLimits kLimits{.values = kMaxPickleValues, .memo = kMaxPickleMemo, .line = 1024, .line_is = "name"};

class Unpickler : PickleMachine<PickleValue> {
 public:
  Unpickler(std::span<const std::byte> bytes, std::string_view origin)
      : PickleMachine({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, origin, kLimits) {}

  Pickle run() {
    if (text_.size() > kMaxPickleBytes) fail_here("{} bytes, the limit is {}", text_.size(), kMaxPickleBytes);
    if (!text_.starts_with('\x80')) fail_here("no pickle of protocol 2 to 5");
    while (step(next_opcode())) {
    }
    result_.root = only_value();
    if (left() != 0) fail_here("ends {} bytes before the end", left());
    return std::move(result_);
  }

 private:
  void push_integer(int64_t value) { push({PickleKind::kInteger, 0, value}); }
  void push_text(PickleKind kind, std::string_view text) {
    push({kind, static_cast<uint32_t>(result_.texts.size())});
    result_.texts.push_back(text);
  }
  void push_sequence(PickleKind kind, Values values) {
    push({kind, static_cast<uint32_t>(result_.sequences.size())});
    result_.sequences.push_back(std::move(values));
  }

  Values& sequence(PickleValue value) { return result_.sequences[value.index]; }
  std::string_view text_of(PickleValue value, const char* what) const {
    if (value.kind != PickleKind::kText) fail_here("{} is {}, expected a text", what, name_of(value.kind));
    return result_.texts[value.index];
  }
  int64_t integer_of(PickleValue value, const char* what) const {
    if (value.kind != PickleKind::kInteger) fail_here("{} is {}, expected an integer", what, name_of(value.kind));
    return value.integer;
  }
  int64_t count_of(PickleValue value, const char* what) const {
    const int64_t count = integer_of(value, what);
    if (count < 0) fail_here("{} is {}, expected at least 0", what, count);
    return count;
  }

  void append(PickleValue list, const Values& values) {
    if (list.kind != PickleKind::kList) fail_here("{} is appended to, expected a list", name_of(list.kind));
    Values& to = sequence(list);
    to.insert(to.end(), values.begin(), values.end());
  }
  void set_items(PickleValue dict, const Values& values) {
    if (dict.kind != PickleKind::kDict) fail_here("{} is given items, expected a dict", name_of(dict.kind));
    if (values.size() % 2 != 0) fail_here("a key without value");
    Values& to = sequence(dict);
    to.insert(to.end(), values.begin(), values.end());
  }

  void push_large_integer(uint64_t size) {
    const auto value = read_large_integer(size);
    value ? push_integer(*value) : push({PickleKind::kLargeInteger});
  }

  // Globals and what they make.

  void push_global(std::string_view module, std::string_view name) {
    if (const auto found = find_global(module, name)) return push(*found);
    fail_here("refers to {}, which isn't read: only tensors, numbers, texts, lists and dicts are",
              quoted_name(fmt::format("{}.{}", module, name)));
  }

  /// ("storage", storage class, key, location, number of elements) becomes a storage.
  void push_storage(PickleValue id) {
    if (id.kind != PickleKind::kTuple) fail_here("a persistent id is {}, expected a tuple", name_of(id.kind));
    const Values& parts = sequence(id);
    if (parts.size() != 5 || text_of(parts[0], "a persistent id's kind") != "storage") {
      fail_here("a persistent id of {} parts, expected (\"storage\", class, key, location, size)", parts.size());
    }
    if (parts[1].kind != PickleKind::kStorageType) {
      fail_here("a storage's class is {}, expected torch.FloatStorage or the like", name_of(parts[1].kind));
    }
    PickledStorage storage{&torch_type_at(parts[1].index), text_of(parts[2], "a storage's key"), 0};
    text_of(parts[3], "a storage's location");
    storage.numel = count_of(parts[4], "a storage's size");
    push({PickleKind::kStorage, static_cast<uint32_t>(result_.storages.size())});
    result_.storages.push_back(storage);
  }

  uint32_t integers_of(PickleValue value, const char* what, bool allow_negative) const {
    if (value.kind != PickleKind::kTuple) fail_here("{} is {}, expected a tuple", what, name_of(value.kind));
    const Values& parts = result_.sequences[value.index];
    if (parts.size() > kMaxRank) fail_here("{} of {} parts, the limit is {}", what, parts.size(), kMaxRank);
    for (const PickleValue part : parts) {
      allow_negative ? integer_of(part, what) : count_of(part, what);
    }
    return value.index;
  }

  /// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata = None); _v3: dtype before metadata.
  void push_tensor(const Values& arguments, bool has_type) {
    const size_t expected = has_type ? 7 : 6;
    if (arguments.size() != expected && arguments.size() != expected + 1) {
      fail_here("a tensor of {} arguments, expected {}", arguments.size(), expected);
    }
    if (arguments[0].kind != PickleKind::kStorage) {
      fail_here("a tensor's data is {}, expected a storage", name_of(arguments[0].kind));
    }
    if (has_type && arguments[6].kind != PickleKind::kType) {
      fail_here("a tensor's dtype is {}, expected torch.float32 or the like", name_of(arguments[6].kind));
    }
    if (arguments.size() > expected) {
      // {"conj": True} or {"neg": True}: the numbers meant aren't those stored.
      const PickleValue metadata = arguments.back();
      const bool empty = metadata.kind == PickleKind::kNone || (metadata.kind == PickleKind::kDict && sequence(metadata).empty());
      if (!empty) fail_here("a tensor that is a conjugate or negative view, save it as tensor.clone()");
    }
    PickledTensor tensor;
    tensor.storage = arguments[0].index;
    tensor.type = has_type ? &torch_type_at(arguments[6].index) : result_.storages[tensor.storage].type;
    tensor.offset = count_of(arguments[1], "a tensor's offset");
    tensor.sizes = integers_of(arguments[2], "a tensor's size", false);
    tensor.strides = integers_of(arguments[3], "a tensor's stride", true);
    const size_t rank = result_.sequences[tensor.sizes].size();
    const size_t num_strides = result_.sequences[tensor.strides].size();
    if (rank != num_strides) fail_here("a tensor of {} sizes and {} strides, expected as many", rank, num_strides);
    push({PickleKind::kTensor, static_cast<uint32_t>(result_.tensors.size())});
    result_.tensors.push_back(tensor);
  }

  void call(PickleValue callee, PickleValue given) {
    if (callee.kind != PickleKind::kFunction) fail_here("{} is called, which isn't read", name_of(callee.kind));
    if (given.kind != PickleKind::kTuple) fail_here("arguments are {}, expected a tuple", name_of(given.kind));
    constexpr size_t kMostArguments = 8;
    if (sequence(given).size() > kMostArguments)
      fail_here("{} arguments, expected at most {}", sequence(given).size(), kMostArguments);
    const Values arguments = sequence(given);
    const auto expect = [&](const char* name, bool holds) {
      if (!holds) fail_here("{} is called with {} arguments that aren't read", name, arguments.size());
    };
    switch (static_cast<PickleFunction>(callee.index)) {
      case PickleFunction::kOrderedDict:
        expect("collections.OrderedDict", arguments.empty());
        return push_sequence(PickleKind::kDict, {});
      case PickleFunction::kTensorV2:
        return push_tensor(arguments, false);
      case PickleFunction::kTensorV3:
        return push_tensor(arguments, true);
      case PickleFunction::kParameter:
        expect("torch._utils._rebuild_parameter", arguments.size() == 3 && arguments[0].kind == PickleKind::kTensor);
        return push(arguments[0]);
      case PickleFunction::kParameterWithState:
        expect("torch._utils._rebuild_parameter_with_state", arguments.size() == 4 && arguments[0].kind == PickleKind::kTensor);
        return push(arguments[0]);
      case PickleFunction::kSize:
        expect("torch.Size", arguments.size() == 1 && arguments[0].kind == PickleKind::kTuple);
        return push(arguments[0]);
      case PickleFunction::kEncode:
        // How protocol 2, which has no bytes, says them.
        expect("_codecs.encode", arguments.size() == 2 && arguments[0].kind == PickleKind::kText);
        return push({PickleKind::kBytes, arguments[0].index});
      case PickleFunction::kBytes:
        expect("bytes", arguments.empty());
        return push_text(PickleKind::kBytes, {});
    }
  }

  void build(PickleValue state) {
    if (top().kind != PickleKind::kDict || state.kind != PickleKind::kDict) {
      fail_here("{} is given {} as its state, which isn't read", name_of(top().kind), name_of(state.kind));
    }
  }

  /// One opcode; false at the end. Opcodes by the letters of pickletools.
  bool step(uint8_t opcode) {
    switch (opcode) {
      case 0x80: {  // PROTO
        const auto protocol = read<uint8_t>();
        if (protocol < 2 || protocol > 5) fail_here("pickle protocol {}, expected 2 to 5", protocol);
        break;
      }
      case 0x95: {  // FRAME
        const auto size = read<uint64_t>();
        if (size > left()) fail_here("truncated: a frame of {} bytes, {} left", size, left());
        break;
      }
      case '.':  // STOP
        return false;
      case '(':  // MARK
        push_mark();
        break;
      case '0':  // POP: of a mark too
        if (stack_.size() == floor() && !marks_.empty()) {
          marks_.pop_back();
        } else {
          pop();
        }
        break;
      case '1':  // POP_MARK
        pop_to_mark();
        break;
      case '2':  // DUP
        push(top());
        break;
      case 'N':  // NONE
        push({PickleKind::kNone});
        break;
      case 0x88:  // NEWTRUE
        push({PickleKind::kBool, 0, 1});
        break;
      case 0x89:  // NEWFALSE
        push({PickleKind::kBool, 0, 0});
        break;
      case 'J':  // BININT
        push_integer(read<int32_t>());
        break;
      case 'K':  // BININT1
        push_integer(read<uint8_t>());
        break;
      case 'M':  // BININT2
        push_integer(read<uint16_t>());
        break;
      case 0x8a:  // LONG1
        push_large_integer(read<uint8_t>());
        break;
      case 0x8b:  // LONG4
        push_large_integer(read<uint32_t>());
        break;
      case 'G':  // BINFLOAT
        take(sizeof(double));
        push({PickleKind::kReal});
        break;
      case 'U':   // SHORT_BINSTRING
      case 0x8c:  // SHORT_BINUNICODE
        push_text(PickleKind::kText, take(read<uint8_t>()));
        break;
      case 'T':  // BINSTRING
      case 'X':  // BINUNICODE
        push_text(PickleKind::kText, take(read<uint32_t>()));
        break;
      case 0x8d:  // BINUNICODE8
        push_text(PickleKind::kText, take(read<uint64_t>()));
        break;
      case 'C':  // SHORT_BINBYTES
        push_text(PickleKind::kBytes, take(read<uint8_t>()));
        break;
      case 'B':  // BINBYTES
        push_text(PickleKind::kBytes, take(read<uint32_t>()));
        break;
      case 0x8e:  // BINBYTES8
        push_text(PickleKind::kBytes, take(read<uint64_t>()));
        break;
      case ')':  // EMPTY_TUPLE
        push_sequence(PickleKind::kTuple, {});
        break;
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        push_sequence(PickleKind::kTuple, pop_last(opcode - 0x84U));
        break;
      case 't':  // TUPLE
        push_sequence(PickleKind::kTuple, pop_to_mark());
        break;
      case ']':  // EMPTY_LIST
        push_sequence(PickleKind::kList, {});
        break;
      case 'l':  // LIST
        push_sequence(PickleKind::kList, pop_to_mark());
        break;
      case 'a': {  // APPEND
        const Values value = pop_last(1);
        append(top(), value);
        break;
      }
      case 'e': {  // APPENDS
        const Values values = pop_to_mark();
        append(top(), values);
        break;
      }
      case '}':  // EMPTY_DICT
        push_sequence(PickleKind::kDict, {});
        break;
      case 'd': {  // DICT
        const Values values = pop_to_mark();
        push_sequence(PickleKind::kDict, {});
        set_items(top(), values);
        break;
      }
      case 's': {  // SETITEM
        const Values values = pop_last(2);
        set_items(top(), values);
        break;
      }
      case 'u': {  // SETITEMS
        const Values values = pop_to_mark();
        set_items(top(), values);
        break;
      }
      case 'q':  // BINPUT
        remember(read<uint8_t>());
        break;
      case 'r':  // LONG_BINPUT
        remember(read<uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        remember(num_memoized_);
        break;
      case 'h':  // BINGET
        recall(read<uint8_t>());
        break;
      case 'j':  // LONG_BINGET
        recall(read<uint32_t>());
        break;
      case 'c': {  // GLOBAL
        const std::string_view module = take_line();
        push_global(module, take_line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const std::string_view name = text_of(pop(), "a global's name");
        push_global(text_of(pop(), "a global's module"), name);
        break;
      }
      case 'Q':  // BINPERSID
        push_storage(pop());
        break;
      case 'R': {  // REDUCE
        const PickleValue arguments = pop();
        call(pop(), arguments);
        break;
      }
      case 'b':  // BUILD
        build(pop());
        break;
      default:
        fail_here("opcode {:#04x} ({}) isn't read: only tensors, numbers, texts, lists and dicts are", opcode,
                  unread_opcode_name(opcode));
    }
    return true;
  }

  Pickle result_;
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, std::string_view origin) {
  return Unpickler(bytes, origin).run();
}

}  // namespace ocelli::detail
