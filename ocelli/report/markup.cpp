#include "ocelli/report/markup.h"

#include "ocelli/report/utf8.h"

namespace ocelli::report {

std::string escape_markup(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = next_character(text.substr(at));
    const std::string_view raw = text.substr(at, character.bytes);
    at += character.bytes;
    const bool control = character.code < 0x20 && character.code != '\n' && character.code != '\t' && character.code != '\r';
    const bool forbidden = control || character.code == 0x7F || character.code == 0xFFFE || character.code == 0xFFFF;
    switch (character.code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (forbidden || !character.valid) {
          out += "\uFFFD";
        } else {
          out += raw;
        }
    }
  }
  return out;
}

}  // namespace ocelli::report
