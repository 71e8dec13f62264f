#include "ocelli/report/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ocelli/base/error.h"

namespace ocelli::report {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(LinePlot, IsOneSvgWithTitleLegendTicksAndUnits) {
  const PlotOptions options{.title = "Loss", .x = {.label = "step"}, .y = {.label = "loss", .unit = "nats"}};
  const std::vector<LineSeries> series = {{.name = "train", .x = {0, 1, 2}, .y = {2, 1, 0.5}},
                                          {.name = "test", .x = {0, 2}, .y = {2, 1}}};
  const std::string svg = line_plot(series, options);
  EXPECT_THAT(svg, AllOf(StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""), EndsWith("</svg>\n")));
  for (const char* text :
       {">Loss</text>", ">train</text>", ">test</text>", ">step</text>", ">loss (nats)</text>", ">0.5</text>", ">2.0</text>"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_EQ(count(svg, "<path"), 2U);
  EXPECT_EQ(svg, line_plot(series, options));
}

TEST(LinePlot, PutsPointsWhereTheAxesSay) {
  const std::string svg = line_plot({{.x = {0, 10}, .y = {0, 1}}}, {.y = {.low = 0, .high = 1}, .width = 400, .height = 200});
  // "0.0" … "1.0" are 3 characters of 12 * 0.56: left = 14 + 20.2; top = 8 + 8; right = 400 - 20; bottom = 200 - 28.
  EXPECT_THAT(svg, HasSubstr("d=\"M34.2 172.0L380.0 16.0\""));
}

TEST(LinePlot, EndsAtTheTickJustBehindTheData) {
  LineSeries series;
  for (int step = 0; step < 5000; ++step) {
    series.x.push_back(step);
    series.y.push_back(1);
  }
  EXPECT_THAT(line_plot({series}, {}), HasSubstr(">5000</text>"));
  EXPECT_THAT(line_plot({{.x = {0, 4500}, .y = {0, 1}}}, {}), Not(HasSubstr(">5000</text>")));
}

TEST(LinePlot, WhatCantBeDrawnLeavesAGap) {
  EXPECT_EQ(count(line_plot({{.x = {0, 1, 2, 3, 4}, .y = {1, 2, kNan, 2, 1}}}, {}), "<path"), 2U);
  EXPECT_EQ(count(line_plot({{.x = {0, 1, 2, 3, 4}, .y = {1, 2, 0, 2, 1}}}, {.y = {.log = true}}), "<path"), 2U);
  EXPECT_EQ(count(line_plot({{.x = {0, 1, 2}, .y = {1, kNan, 2}}}, {}), "<circle"), 2U);
}

TEST(LinePlot, WithoutDataSaysSo) {
  EXPECT_THAT(line_plot({}, {.title = "t"}), HasSubstr("no data"));
  EXPECT_THAT(line_plot({{.x = {1}, .y = {kNan}}}, {}), HasSubstr("no data"));
}

TEST(LinePlot, ThinsLongSeriesButKeepsPeaks) {
  LineSeries series;
  for (int i = 0; i < 200'000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 123'457 ? 100 : i == 50'001 ? -100 : std::sin(i * 0.1));
  }
  const std::string svg = line_plot({series}, {.y = {.low = -100, .high = 100}});
  EXPECT_LT(svg.size(), 60'000U);
  // The peaks touch the top and the bottom of the area.
  EXPECT_THAT(svg, testing::ContainsRegex("L[0-9.]+ 16\\.0L"));
  EXPECT_THAT(svg, testing::ContainsRegex("L[0-9.]+ 312\\.0L"));
}

TEST(LinePlot, NamesAreEscaped) {
  EXPECT_THAT(line_plot({{.name = "<b>&", .x = {0, 1}, .y = {0, 1}}}, {.title = "a\"<"}),
              AllOf(HasSubstr("&lt;b&gt;&amp;"), HasSubstr("aria-label=\"a&quot;&lt;\""), Not(HasSubstr("<b>"))));
}

TEST(LinePlot, LengthsMustAgree) {
  EXPECT_THROW(line_plot({{.name = "s", .x = {0, 1}, .y = {0}}}, {}), Error);
}

TEST(Smoothed, StartsAtTheFirstValueAndPassesOverNan) {
  const std::vector<double> out = smoothed({4, 4, kNan, 0}, 0.5);
  EXPECT_DOUBLE_EQ(out[0], 4);
  EXPECT_DOUBLE_EQ(out[1], 4);
  EXPECT_DOUBLE_EQ(out[2], 4);
  EXPECT_DOUBLE_EQ(out[3], 0.75 / 0.875 * 4 / 2);  // (0.5 * 3 + 0) / (0.5 * 0.75 + 0.5)
  EXPECT_THROW(smoothed({1}, 1), Error);
}

TEST(ScatterPlot, LabelsPointsAndConnectsFrontiers) {
  const std::string svg = scatter_plot({{.name = "models", .points = {{1, 2, "small"}, {10, 3, "large"}}},
                                        {.name = "frontier", .points = {{1, 2, ""}, {10, 3, ""}}, .connected = true}},
                                       {.x = {.label = "cost", .unit = "GFLOP", .log = true}});
  EXPECT_THAT(svg, AllOf(HasSubstr(">small</text>"), HasSubstr(">large</text>"), HasSubstr(">cost (GFLOP)</text>")));
  EXPECT_EQ(count(svg, "<circle"), 4U);
  EXPECT_EQ(count(svg, "<path"), 1U);
}

TEST(ScatterPlot, ALabelNeverCoversAnother) {
  // Twenty points in one place: only as many labels as fit around it, the rest in tooltips.
  std::vector<ScatterPoint> points;
  for (int i = 0; i < 20; ++i) points.push_back({1, 1, "model " + std::to_string(i)});
  const std::string svg = scatter_plot({{.points = points}}, {});
  EXPECT_EQ(count(svg, ">model "), 4U + 20U);
}

TEST(BarPlot, WritesValuesAndScalesFromZero) {
  const std::string svg =
      bar_plot({{"shape", {96.02, 50}}, {"colour", {99.8, kNan}}},
               {.title = "Accuracy", .value = {.label = "accuracy", .unit = "%", .high = 100}, .series = {"model", "blind"}});
  for (const char* text : {">shape</text>", ">colour</text>", ">96.0</text>", ">50.0</text>", ">99.8</text>",
                           ">accuracy (%)</text>", ">blind</text>"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_EQ(count(svg, "<title>"), 3U);  // no bar for NaN
  EXPECT_THAT(svg, HasSubstr(">0</text>"));
}

TEST(BarPlot, NegativeValuesGoLeft) {
  const std::string svg = bar_plot({{"a", {-2}}, {"b", {3}}}, {});
  EXPECT_THAT(svg, AllOf(HasSubstr(">-2.0</text>"), HasSubstr(">3.0</text>")));
}

TEST(BarPlot, AGroupNeedsAValueForEachSeries) {
  EXPECT_THROW(bar_plot({{"a", {1, 2}}}, {}), Error);
  EXPECT_THAT(bar_plot({}, {}), HasSubstr("no data"));
}

}  // namespace
}  // namespace ocelli::report
