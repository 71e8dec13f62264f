#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "ocelli/report/axis.h"

namespace ocelli::report {

/// The plotting area in SVG units; y grows downwards.
struct PlotArea {
  double left, top, right, bottom;
  double x(const Axis& axis, double value) const { return left + axis.position(value) * (right - left); }
  double y(const Axis& axis, double value) const { return bottom - axis.position(value) * (bottom - top); }
};

/// What the plots share: writing SVG elements, title and legend.
class SvgCanvas {
 public:
  /// `title` also names the picture for screen readers.
  SvgCanvas(int width, std::string_view title);

  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(body_), format, std::forward<Args>(args)...);
    body_ += '\n';
  }
  /// `anchor`: start, middle or end. `kind`: a class of the style, "t" text, "m" muted, "h" title.
  void text(double x, double y, std::string_view anchor, std::string_view kind, std::string_view text);

  /// Title, then a line of legend entries (wrapped) under it; returns the y below. Empty names aren't listed.
  struct LegendEntry {
    std::string name;
    int color;
    bool dashed;
  };
  double head(std::string_view title, const std::vector<LegendEntry>& entries, double left, bool lines);

  /// What is drawn between the two stays inside the area, with a little room for the width of lines. Done by a nested svg
  /// element: a clipPath would need an id, and ids of several plots in one page collide.
  void begin_clip(const PlotArea& area);
  void end_clip() { body_ += "</svg>\n"; }

  std::string finish(double height) const;

 private:
  int width_;
  std::string title_;
  std::string body_;
};

/// Grid lines, ticks and labels of both axes.
void draw_axes(SvgCanvas& canvas, const PlotArea& area, const Axis& x, const Axis& y, const AxisOptions& x_options,
               const AxisOptions& y_options);

/// Width of text at the plots' sizes, estimated (there is no font here): about right for sans-serif.
double text_width(std::string_view text, double font_size);

/// "label (unit)".
std::string axis_title(const AxisOptions& options);

/// A colour of the palette by number; the palette repeats.
std::string_view palette(int index);
constexpr int kPaletteSize = 8;

}  // namespace ocelli::report
