#include "ocelli/base/plain_pickle.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/pickle_globals.h"
#include "ocelli/base/pickle_machine.h"
#include "ocelli/base/safetensors_header.h"
#include "ocelli/base/utf8.h"

namespace ocelli {

/// Makes a PlainPickle of the bytes.
class PlainUnpickler : detail::PickleMachine<PlainPickle::Value> {
 public:
  PlainUnpickler(std::string_view text, PlainPickle& result) : PickleMachine(text, result.origin_, kLimits), result_(result) {}

  void run() {
    while (step(next_opcode())) {
    }
    result_.root_ = only_value();
    if (result_.root_.kind != Kind::kList) fail_here("it is no list");
  }

 private:
  using Kind = PlainPickle::Kind;
  using Value = PlainPickle::Value;

  static constexpr detail::PickleLimits kLimits{.values = 1 << 24, .memo = 1 << 24, .line = 1 << 20, .line_is = "line"};

  void push_bool(bool value) {
    Value out;
    out.kind = Kind::kBool;
    out.integer = value ? 1 : 0;
    push(out);
  }
  void push_integer(int64_t value) {
    Value out;
    out.kind = Kind::kInteger;
    out.integer = value;
    push(out);
  }
  void push_real(double value) {
    Value out;
    out.kind = Kind::kReal;
    out.real = value;
    push(out);
  }
  void push_text(std::string_view text) {
    Value out;
    out.kind = Kind::kText;
    out.index = static_cast<uint32_t>(result_.texts_.size());
    result_.texts_.push_back(text);
    push(out);
  }
  void push_sequence(Kind kind, Values values) {
    Value out;
    out.kind = kind;
    out.index = static_cast<uint32_t>(result_.sequences_.size());
    result_.sequences_.push_back(std::move(values));
    push(out);
  }

  void extend(Kind kind, const Values& values) {
    const Value& target = top();
    if (target.kind != kind) fail_here("items for what is no {}", kind == Kind::kList ? "list" : "dict");
    if (kind == Kind::kDict && values.size() % 2 != 0) fail_here("a key without value");
    Values& to = result_.sequences_[target.index];
    to.insert(to.end(), values.begin(), values.end());
  }

  void remember_next(uint64_t place) {
    // Numbered from 0 (Python 2: from 1) without gaps.
    if (place > num_memoized_ + 1) fail_here("memo place {} after {}", place, num_memoized_);
    remember(place);
  }

  // What protocol 0 writes as a line.

  template <typename Number>
  Number number_of(std::string_view line) const {
    Number value{};
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || end != line.data() + line.size())
      fail_here("{} is no number that is read", detail::quoted_name(std::string(line.substr(0, 40))));
    return value;
  }

  void push_integer_line(std::string_view line) {
    if (line == "00" || line == "01") return push_bool(line == "01");
    if (line.ends_with('L')) line.remove_suffix(1);
    push_integer(number_of<int64_t>(line));
  }

  uint32_t hex_at(std::string_view line, size_t at, size_t digits) const {
    uint32_t value = 0;
    const std::string_view text = line.substr(std::min(at, line.size()), digits);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != digits || error != std::errc() || end != text.data() + digits)
      fail_here("an escape without its {} digits", digits);
    return value;
  }

  void append_character(std::string& out, uint32_t code) const {
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail_here("an escape of {:#x}, which is no character", code);
    append_utf8(out, code);
  }

  /// A byte string as repr() writes it: 'it\'s'.
  std::string unquoted(std::string_view line) const {
    if (line.size() < 2 || (line[0] != '\'' && line[0] != '"') || line.back() != line[0])
      fail_here("a string without its quotes");
    line = line.substr(1, line.size() - 2);
    std::string out;
    for (size_t at = 0; at < line.size(); ++at) {
      if (line[at] != '\\') {
        out += line[at];
        continue;
      }
      if (++at == line.size()) fail_here("a string that ends inside an escape");
      switch (line[at]) {
        case 'n':
          out += '\n';
          break;
        case 't':
          out += '\t';
          break;
        case 'r':
          out += '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          out += line[at];
          break;
        case 'x':
          out += static_cast<char>(hex_at(line, at + 1, 2));
          at += 2;
          break;
        default:
          fail_here("the escape \\{} isn't read", detail::quoted_name(std::string(1, line[at])));
      }
    }
    return out;
  }

  /// Text in raw-unicode-escape: Latin-1, and \uXXXX or \UXXXXXXXX for the rest.
  std::string from_raw_unicode(std::string_view line) const {
    std::string out;
    for (size_t at = 0; at < line.size(); ++at) {
      const bool escape = line[at] == '\\' && at + 1 < line.size() && (line[at + 1] == 'u' || line[at + 1] == 'U');
      if (!escape) {
        append_character(out, static_cast<unsigned char>(line[at]));
        continue;
      }
      const size_t digits = line[at + 1] == 'u' ? 4 : 8;
      append_character(out, hex_at(line, at + 2, digits));
      at += 1 + digits;
    }
    return out;
  }

  void push_owned(std::string text) {
    result_.owned_.push_back(std::move(text));
    push_text(result_.owned_.back());
  }

  void push_large_integer(uint64_t size) {
    const auto value = read_large_integer(size);
    if (!value) fail_here("an integer of {} bytes, at most {} are read", size, sizeof(int64_t));
    push_integer(*value);
  }

  void push_big_endian_real() {
    const std::string_view bytes = take(sizeof(double));
    uint64_t bits = 0;
    for (const char byte : bytes) bits = bits << 8 | static_cast<uint8_t>(byte);
    double value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    push_real(value);
  }

  [[noreturn]] void refuse_global(std::string_view module, std::string_view name) const {
    fail_here("refers to {}, which isn't read: only lists, tuples, dicts, strings and numbers are",
              detail::quoted_name(fmt::format("{}.{}", module, name)));
  }

  std::string_view text_of(const Value& value) const {
    if (value.kind != Kind::kText) fail_here("a global's name is no string");
    return result_.texts_[value.index];
  }

  /// One opcode; false at the end. Opcodes by the letters of pickletools.
  bool step(uint8_t opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        if (const auto protocol = read<uint8_t>(); protocol > 5) fail_here("pickle protocol {}, expected 0 to 5", protocol);
        break;
      case 0x95:  // FRAME: its size is of use to streams
        take(sizeof(uint64_t));
        break;
      case '.':  // STOP
        return false;
      case '(':  // MARK
        push_mark();
        break;
      case '0':  // POP
        pop_last(1);
        break;
      case '1':  // POP_MARK
        pop_to_mark();
        break;
      case '2':  // DUP
        push(Value(top()));
        break;
      case 'N':  // NONE
        push({});
        break;
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        push_bool(opcode == 0x88);
        break;
      case 'I':  // INT
      case 'L':  // LONG
        push_integer_line(take_line());
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
      case 'F':  // FLOAT
        push_real(number_of<double>(take_line()));
        break;
      case 'G':  // BINFLOAT
        push_big_endian_real();
        break;
      case 'S':  // STRING
        push_owned(unquoted(take_line()));
        break;
      case 'V':  // UNICODE
        push_owned(from_raw_unicode(take_line()));
        break;
      case 'U':   // SHORT_BINSTRING
      case 0x8c:  // SHORT_BINUNICODE
        push_text(take(read<uint8_t>()));
        break;
      case 'T':  // BINSTRING
      case 'X':  // BINUNICODE
        push_text(take(read<uint32_t>()));
        break;
      case 0x8d:  // BINUNICODE8
        push_text(take(read<uint64_t>()));
        break;
      case ')':  // EMPTY_TUPLE
      case ']':  // EMPTY_LIST
        push_sequence(Kind::kList, {});
        break;
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        push_sequence(Kind::kList, pop_last(opcode - 0x84U));
        break;
      case 't':  // TUPLE
      case 'l':  // LIST
        push_sequence(Kind::kList, pop_to_mark());
        break;
      case 'a': {  // APPEND
        const Values value = pop_last(1);
        extend(Kind::kList, value);
        break;
      }
      case 'e': {  // APPENDS
        const Values values = pop_to_mark();
        extend(Kind::kList, values);
        break;
      }
      case '}':  // EMPTY_DICT
        push_sequence(Kind::kDict, {});
        break;
      case 'd': {  // DICT
        const Values values = pop_to_mark();
        push_sequence(Kind::kDict, {});
        extend(Kind::kDict, values);
        break;
      }
      case 's': {  // SETITEM
        const Values values = pop_last(2);
        extend(Kind::kDict, values);
        break;
      }
      case 'u': {  // SETITEMS
        const Values values = pop_to_mark();
        extend(Kind::kDict, values);
        break;
      }
      case 'p':  // PUT
        remember_next(number_of<uint64_t>(take_line()));
        break;
      case 'q':  // BINPUT
        remember_next(read<uint8_t>());
        break;
      case 'r':  // LONG_BINPUT
        remember_next(read<uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        remember_next(num_memoized_);
        break;
      case 'g':  // GET
        recall(number_of<uint64_t>(take_line()));
        break;
      case 'h':  // BINGET
        recall(read<uint8_t>());
        break;
      case 'j':  // LONG_BINGET
        recall(read<uint32_t>());
        break;
      case 'c':    // GLOBAL
      case 'i': {  // INST
        const std::string_view module = take_line();
        refuse_global(module, take_line());
      }
      case 0x93: {  // STACK_GLOBAL
        const Values names = pop_last(2);
        refuse_global(text_of(names[0]), text_of(names[1]));
      }
      case 'R':  // after a global, which is refused before; so it is no call of one
        fail_here("opcode 0x52 (REDUCE) isn't read: nothing is called");
      default:
        fail_here("opcode {:#04x} ({}) isn't read: only lists, tuples, dicts, strings and numbers are", opcode,
                  detail::unread_opcode_name(opcode));
    }
    return true;
  }

  PlainPickle& result_;
};

PlainPickle::PlainPickle(std::string_view bytes, std::string origin) : origin_(std::move(origin)) {
  require(bytes.size() <= 1ULL << 30, "{}: {} bytes of pickle, the limit is {}", origin_, bytes.size(), 1ULL << 30);
  PlainUnpickler(bytes, *this).run();
}

int64_t PlainPickle::size() const {
  return static_cast<int64_t>(sequences_[root_.index].size());
}

Json PlainPickle::item(int64_t index) const {
  int64_t budget = 1'000'000;
  return to_json(sequences_[root_.index][static_cast<size_t>(index)], 0, budget, fmt::format("{}, item {}", origin_, index));
}

Json PlainPickle::to_json(const Value& value, int depth, int64_t& budget, const std::string& where) const {
  // Lists that share parts, or hold themselves, are small in the pickle and without end as a tree.
  require(depth < 64, "{}: nested deeper than 64 levels", where);
  require(--budget >= 0, "{}: more than a million values", where);
  switch (value.kind) {
    case Kind::kNone:
      return nullptr;
    case Kind::kBool:
      return value.integer != 0;
    case Kind::kInteger:
      return value.integer;
    case Kind::kReal:
      require(std::isfinite(value.real), "{}: a number that is {}", where, value.real);
      return value.real;
    case Kind::kText:
      return std::string(texts_[value.index]);
    case Kind::kList: {
      Json list = Json::array();
      for (const Value& one : sequences_[value.index]) list.push_back(to_json(one, depth + 1, budget, where));
      return list;
    }
    case Kind::kDict: {
      Json table = Json::object();
      const std::vector<Value>& items = sequences_[value.index];
      for (size_t i = 0; i + 1 < items.size(); i += 2) {
        require(items[i].kind == Kind::kText, "{}: a key that is no string", where);
        table[std::string(texts_[items[i].index])] = to_json(items[i + 1], depth + 1, budget, where);
      }
      return table;
    }
  }
  return nullptr;
}

}  // namespace ocelli
