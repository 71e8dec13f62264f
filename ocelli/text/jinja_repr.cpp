#include "ocelli/text/jinja_literal.h"
#include "ocelli/text/jinja_runtime.h"

namespace ocelli::text::jinja {
namespace {

void append_quoted(std::string_view text, std::string& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    const auto value = static_cast<uint32_t>(point.value);
    if (point.value == static_cast<char32_t>(quote) || point.value == U'\\') {
      out += '\\';
      out += static_cast<char>(point.value);
    } else if (point.value == U'\n') {
      out += "\\n";
    } else if (point.value == U'\r') {
      out += "\\r";
    } else if (point.value == U'\t') {
      out += "\\t";
    } else if (is_printable(point.value)) {
      out += text.substr(offset, point.bytes);
    } else if (value < 0x100) {
      out += fmt::format("\\x{:02x}", value);
    } else if (value < 0x10000) {
      out += fmt::format("\\u{:04x}", value);
    } else {
      out += fmt::format("\\U{:08x}", value);
    }
    offset += point.bytes;
  }
  out += quote;
}

void append_items(Runtime& runtime, const Values& items, std::string& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i != 0) out += ", ";
    append_repr(runtime, items[i], out);
  }
}

void append_dict(Runtime& runtime, const DictObject& dict, std::string& out) {
  out += '{';
  for (size_t i = 0; i < dict.items.size(); ++i) {
    if (i != 0) out += ", ";
    append_repr(runtime, dict.items[i].first, out);
    out += ": ";
    append_repr(runtime, dict.items[i].second, out);
  }
  out += '}';
}

void append_range(const RangeObject& range, std::string& out) {
  out += "range(" + int_text(range.start) + ", " + int_text(range.stop);
  if (range.step != 1) out += ", " + int_text(range.step);
  out += ')';
}

}  // namespace

void append_text(Runtime& runtime, const Value& value, std::string& out) {
  if (value.is_string()) {
    runtime.charge_scan(value.text().size());
    runtime.check_size(static_cast<Int>(out.size() + value.text().size()));
    out += value.text();
  } else if (!value.is_undefined()) {
    append_repr(runtime, value, out);
  }
}

void append_repr(Runtime& runtime, const Value& value, std::string& out) {
  runtime.charge();
  runtime.check_size(static_cast<Int>(out.size()));
  const Runtime::Nesting nesting(runtime);
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      break;
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.integer() != 0 ? "True" : "False";
      break;
    case Kind::kInt:
      out += int_text(value.integer());
      break;
    case Kind::kFloat:
      out += float_text(value.number());
      break;
    case Kind::kString: {
      runtime.charge_scan(value.text().size());
      const bool markup = value.as<StringObject>().markup;
      if (markup) out += "Markup(";
      append_quoted(value.text(), out);
      if (markup) out += ')';
      break;
    }
    case Kind::kList:
      out += '[';
      append_items(runtime, value.as<ListObject>().items, out);
      out += ']';
      break;
    case Kind::kTuple:
      out += '(';
      append_items(runtime, value.as<ListObject>().items, out);
      out += value.as<ListObject>().items.size() == 1 ? ",)" : ")";
      break;
    case Kind::kDict:
      append_dict(runtime, value.as<DictObject>(), out);
      break;
    case Kind::kView:
      out += value.as<ViewObject>().type_name;
      out += "([";
      append_items(runtime, value.as<ViewObject>().items, out);
      out += "])";
      break;
    case Kind::kRange:
      append_range(value.as<RangeObject>(), out);
      break;
    case Kind::kNamespace:
      out += "<Namespace ";
      append_dict(runtime, value.as<NamespaceObject>().attributes, out);
      out += '>';
      break;
    case Kind::kLoop:
      out += "<LoopContext ";
      append_repr(runtime, value.as<LoopObject>().attribute(runtime, "index"), out);
      out += "/" + int_text(value.as<LoopObject>().length(runtime)) + ">";
      break;
    case Kind::kCallable:
      out += fmt::format("<function {}>", value.as<CallableObject>().name());
      break;
    case Kind::kIterator:
    case Kind::kCycler:
      out += fmt::format("<{} object>", type_name(value));
      break;
  }
}

std::string to_text(Runtime& runtime, const Value& value) {
  std::string out;
  append_text(runtime, value, out);
  return out;
}

std::string to_repr(Runtime& runtime, const Value& value) {
  std::string out;
  append_repr(runtime, value, out);
  return out;
}

}  // namespace ocelli::text::jinja
