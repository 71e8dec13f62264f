#include <algorithm>
#include <cmath>

#include "ocelli/text/jinja_literal.h"
#include "ocelli/text/jinja_operations.h"

namespace ocelli::text::jinja {
namespace {

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value) {
    runtime_.charge();
    runtime_.check_size(static_cast<Int>(out_.size()));
    const Runtime::Nesting nesting(runtime_);
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += value.integer() != 0 ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += int_text(value.integer());
        break;
      case Kind::kFloat:
        out_ += number_text(value.number());
        break;
      case Kind::kString:
        write_string(value.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        write_items(value.as<ListObject>().items);
        break;
      case Kind::kDict:
        write_dict(value.as<DictObject>());
        break;
      default:
        fail("tojson: a {} isn't JSON serializable", type_name(value));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string number_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void write_string(std::string_view text) {
    runtime_.charge_scan(text.size());
    out_ += '"';
    for (size_t offset = 0; offset < text.size();) {
      const CodePoint point = code_point_at(text, offset);
      const auto value = static_cast<uint32_t>(point.value);
      switch (value) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\f':
          out_ += "\\f";
          break;
        case '\b':
          out_ += "\\b";
          break;
        default:
          if (value < 0x20 || (style_.ensure_ascii && value > 0x7E)) {
            write_escape(value);
          } else {
            out_ += text.substr(offset, point.bytes);
          }
      }
      offset += point.bytes;
    }
    out_ += '"';
  }

  void write_escape(uint32_t value) {
    if (value < 0x10000) {
      out_ += fmt::format("\\u{:04x}", value);
    } else {
      value -= 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (value >> 10), 0xDC00 + (value & 0x3FF));
    }
  }

  void new_line() {
    if (!style_.indent) return;
    runtime_.check_size(static_cast<Int>(out_.size()) + static_cast<Int>(style_.indent->size()) * level_);
    out_ += '\n';
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  void write_items(const Values& items) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      new_line();
      write(items[i]);
    }
    --level_;
    new_line();
    out_ += ']';
  }

  std::string key_text(const Value& key) const {
    switch (key.kind()) {
      case Kind::kString:
        return std::string(key.text());
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.integer() != 0 ? "true" : "false";
      case Kind::kInt:
        return int_text(key.integer());
      case Kind::kFloat:
        return number_text(key.number());
      default:
        fail("tojson: a key can't be a {}", type_name(key));
    }
  }

  void write_dict(const DictObject& dict) {
    if (dict.items.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.items) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* left, const auto* right) {
        return ordered(runtime_, Order::kLess, left->first, right->first);
      });
    }
    out_ += '{';
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      new_line();
      write_string(key_text(entries[i]->first));
      out_ += style_.key_separator;
      write(entries[i]->second);
    }
    --level_;
    new_line();
    out_ += '}';
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
  int level_ = 0;
};

}  // namespace

Value from_json(Runtime& runtime, const OrderedJson& json) {
  const Runtime::Nesting nesting(runtime);
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value(json.get<bool>());
    case OrderedJson::value_t::number_integer:
      return Value(static_cast<Int>(json.get<int64_t>()));
    case OrderedJson::value_t::number_unsigned:
      return Value(static_cast<Int>(json.get<uint64_t>()));
    case OrderedJson::value_t::number_float:
      return Value(json.get<double>());
    case OrderedJson::value_t::string:
      return runtime.view(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const OrderedJson& item : json) items.push_back(from_json(runtime, item));
      return runtime.list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      auto* dict = runtime.make<DictObject>();
      for (auto entry = json.begin(); entry != json.end(); ++entry) {
        const Value name = runtime.view(entry.key());  // a reference into `json` itself, so a view of it lasts
        dict->items.emplace_back(name, from_json(runtime, entry.value()));
      }
      return Value(Kind::kDict, dict);
    }
    case OrderedJson::value_t::null:
      return Value();
    default:
      fail("chat template: a variable is of the JSON type {}, which has no value here", json.type_name());
  }
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Writer writer(runtime, style);
  writer.write(value);
  return writer.take();
}

}  // namespace ocelli::text::jinja
