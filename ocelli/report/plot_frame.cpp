#include "ocelli/report/plot_frame.h"

namespace ocelli::report {

PlotFrame make_frame(SvgCanvas& canvas, const PlotOptions& options, const std::vector<SvgCanvas::LegendEntry>& legend,
                     const ValueRange& x_range, const ValueRange& y_range, bool tight_x) {
  Axis y(options.y, y_range.low, y_range.high, std::max(2, options.height / 60));
  const int x_ticks = std::max(2, options.width / 100);
  AxisOptions x_options = options.x;
  if (tight_x && x_range.high > x_range.low) {
    // Steps 0 to 4,999 still end at the tick of 5,000.
    const Axis round(options.x, x_range.low, x_range.high, x_ticks);
    const bool near = round.position(x_range.high) > 0.98;
    if (!x_options.low) x_options.low = x_range.low;
    if (!x_options.high) x_options.high = near ? round.high() : x_range.high;
  }
  Axis x(x_options, x_range.low, x_range.high, x_ticks);
  double labels = 0;
  for (const Tick& tick : y.ticks()) labels = std::max(labels, text_width(tick.label, 12));
  const double left = labels + 14 + (axis_title(options.y).empty() ? 0 : 20);
  const double top = canvas.head(options.title, legend, left, tight_x) + 8;
  const double bottom = options.height - (axis_title(options.x).empty() ? 28.0 : 48.0);
  PlotFrame frame{{left, top, options.width - 20.0, std::max(bottom, top + 40)}, std::move(x), std::move(y)};
  draw_axes(canvas, frame.area, frame.x, frame.y, options.x, options.y);
  return frame;
}

std::string empty_plot(SvgCanvas& canvas, const PlotOptions& options) {
  canvas.head(options.title, {}, 14, true);
  canvas.text(options.width / 2.0, options.height / 2.0, "middle", "m", "no data");
  return canvas.finish(options.height);
}

}  // namespace ocelli::report
