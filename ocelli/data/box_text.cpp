#include "ocelli/data/box_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ocelli::data {
namespace {

constexpr std::array<const char*, 4> kSides = {"x0", "y0", "x1", "y1"};

/// Without a fraction that is none: 12, 12.5, 12.25.
std::string pixels(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string share_of(double share) {
  return fmt::format("{:.2f}", std::clamp(share, 0.0, 1.0));
}

std::string whole(double share, int64_t most) {
  return std::to_string(std::llround(std::clamp(share, 0.0, 1.0) * static_cast<double>(most)));
}

}  // namespace

const std::set<std::string, std::less<>>& box_fields() {
  static const std::set<std::string, std::less<>> all = [] {
    std::set<std::string, std::less<>> names;
    for (const char* side : kSides) {
      for (const char* scale : {"", "/1", "/square", "/999", "/1000"}) names.insert(std::string(side) + scale);
    }
    return names;
  }();
  return all;
}

std::string box_text(const PromptForms& forms, int64_t number, const std::array<double, 4>& box, int64_t width, int64_t height) {
  std::map<std::string, std::string> fields;
  const auto square = static_cast<double>(std::max(width, height));
  for (size_t i = 0; i < kSides.size(); ++i) {
    const std::string side = kSides[i];
    const auto length = static_cast<double>(i % 2 == 0 ? width : height);
    const double share = length > 0 ? box[i] / length : 0;
    fields[side] = pixels(box[i]);
    fields[side + "/1"] = share_of(share);
    fields[side + "/square"] = share_of(square > 0 ? (box[i] + (square - length) / 2) / square : 0);
    fields[side + "/999"] = whole(share, 999);
    fields[side + "/1000"] = whole(share, 1000);
  }
  return forms.fill("box", number, fields);
}

std::string boxes_text(const PromptForms& forms, int64_t number, const std::vector<std::array<double, 4>>& boxes, int64_t width,
                       int64_t height) {
  const std::string separator = forms.fill("box_separator", number, {});
  std::string text;
  for (const auto& box : boxes) {
    if (!text.empty()) text += separator;
    text += box_text(forms, number, box, width, height);
  }
  return text;
}

}  // namespace ocelli::data
