#include "ocelli/data/rle.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"

namespace ocelli::data {
namespace {

void check_sides(int64_t height, int64_t width, const std::string& where) {
  constexpr int64_t kMostSide = 65'535;
  require(height > 0 && width > 0 && height <= kMostSide && width <= kMostSide && height * width <= kMostMaskPixels,
          "{}: a mask of {} x {} pixels; sides from 1 to {} and {} pixels at most are expected", where, height, width, kMostSide,
          kMostMaskPixels);
}

void check_sum(const Rle& rle, const std::string& where) {
  int64_t sum = 0;
  for (const uint32_t count : rle.counts) sum += count;
  require(sum == rle.height * rle.width, "{}: runs of {} pixels in all, but the mask has {} x {} = {}", where, sum, rle.height,
          rle.width, rle.height * rle.width);
}

/// The pixels the polygon's edges pass, in five times the resolution, as maskApi.c draws them.
struct Outline {
  std::vector<int> x, y;
};

Outline draw_outline(const std::vector<double>& points, const std::string& where) {
  constexpr double kScale = 5;
  const size_t corners = points.size() / 2;
  std::vector<int> x(corners + 1), y(corners + 1);
  for (size_t j = 0; j < corners; ++j) {
    x[j] = static_cast<int>(kScale * points[j * 2] + .5);
    y[j] = static_cast<int>(kScale * points[j * 2 + 1] + .5);
  }
  x[corners] = x[0];
  y[corners] = y[0];
  int64_t steps = 0;
  for (size_t j = 0; j < corners; ++j) steps += std::max(std::abs(x[j + 1] - x[j]), std::abs(y[j + 1] - y[j])) + 1;
  constexpr int64_t kMostSteps = 1 << 24;
  require(steps <= kMostSteps, "{}: a polygon whose edges pass {} pixels at {} times the resolution, the limit is {}", where,
          steps, kScale, kMostSteps);
  Outline out;
  for (size_t j = 0; j < corners; ++j) {
    int xs = x[j], xe = x[j + 1], ys = y[j], ye = y[j + 1];
    const int dx = std::abs(xe - xs), dy = std::abs(ys - ye);
    const bool flip = (dx >= dy && xs > xe) || (dx < dy && ys > ye);
    if (flip) {
      std::swap(xs, xe);
      std::swap(ys, ye);
    }
    // An edge without length divides 0 by 0 there, but then only its one point is drawn, whatever the slope.
    const double slope = dx >= dy ? static_cast<double>(ye - ys) / std::max(dx, 1) : static_cast<double>(xe - xs) / dy;
    if (dx >= dy) {
      for (int d = 0; d <= dx; ++d) {
        const int t = flip ? dx - d : d;
        out.x.push_back(t + xs);
        out.y.push_back(static_cast<int>(ys + slope * t + .5));
      }
    } else {
      for (int d = 0; d <= dy; ++d) {
        const int t = flip ? dy - d : d;
        out.y.push_back(t + ys);
        out.x.push_back(static_cast<int>(xs + slope * t + .5));
      }
    }
  }
  return out;
}

}  // namespace

Rle encode_rle(const std::vector<uint8_t>& mask, int64_t height, int64_t width) {
  Rle out{height, width, {}};
  uint32_t run = 0;
  bool set = false;
  for (const uint8_t value : mask) {
    if ((value != 0) != set) {
      out.counts.push_back(run);
      run = 0;
      set = !set;
    }
    ++run;
  }
  out.counts.push_back(run);
  return out;
}

std::vector<uint8_t> decode_rle(const Rle& rle) {
  std::vector<uint8_t> mask;
  mask.reserve(static_cast<size_t>(rle.height * rle.width));
  uint8_t value = 0;
  for (const uint32_t count : rle.counts) {
    mask.insert(mask.end(), count, value);
    value = 1 - value;
  }
  return mask;
}

Rle rle_from_text(std::string_view text, int64_t height, int64_t width, const std::string& where) {
  check_sides(height, width, where);
  Rle out{height, width, {}};
  for (size_t at = 0; at < text.size();) {
    int64_t value = 0;
    int shift = 0;
    bool more = true;
    while (more) {
      require(at < text.size(), "{}: its counts end inside a number; they were cut", where);
      const int64_t bits = static_cast<unsigned char>(text[at]) - 48;
      require(bits >= 0 && bits < 64 && shift < 35, "{}: byte {} of its counts is {:#04x}, which no count of COCO's holds there",
              where, at, static_cast<unsigned char>(text[at]));
      value |= (bits & 0x1F) << shift;
      more = (bits & 0x20) != 0;
      ++at;
      shift += 5;
      if (!more && (bits & 0x10) != 0) value |= -1LL << shift;
    }
    if (out.counts.size() > 2)
      value += out.counts[out.counts.size() - 2];  // from the third on: the difference to the last but one
    require(value >= 0 && value <= height * width, "{}: a run of {} pixels in a mask of {} x {}", where, value, height, width);
    out.counts.push_back(static_cast<uint32_t>(value));
  }
  check_sum(out, where);
  return out;
}

std::string rle_to_text(const Rle& rle) {
  std::string out;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    int64_t value = rle.counts[i];
    if (i > 2) value -= rle.counts[i - 2];
    for (bool more = true; more;) {
      int64_t bits = value & 0x1F;
      value >>= 5;
      more = (bits & 0x10) != 0 ? value != -1 : value != 0;
      if (more) bits |= 0x20;
      out += static_cast<char>(bits + 48);
    }
  }
  return out;
}

Rle rle_from_polygon(const std::vector<double>& points, int64_t height, int64_t width, const std::string& where) {
  check_sides(height, width, where);
  require(points.size() >= 6 && points.size() % 2 == 0, "{}: a polygon of {} numbers, expected x and y of at least three points",
          where, points.size());
  const auto side = static_cast<double>(std::max(height, width));
  for (const double value : points) {
    require(std::isfinite(value) && value >= -side && value <= 2 * side,
            "{}: a polygon's point at {}, far outside {} x {} pixels", where, value, width, height);
  }
  const Outline line = draw_outline(points, where);
  // Where the outline steps to another column, a run of the mask begins or ends: at the row where it does.
  constexpr double kScale = 5;
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  std::vector<uint32_t> places;
  for (size_t j = 1; j < line.x.size(); ++j) {
    if (line.x[j] == line.x[j - 1]) continue;
    double column = line.x[j] < line.x[j - 1] ? line.x[j] : line.x[j] - 1;
    column = (column + .5) / kScale - .5;
    if (std::floor(column) != column || column < 0 || column > w - 1) continue;
    double row = line.y[j] < line.y[j - 1] ? line.y[j] : line.y[j - 1];
    row = std::ceil(std::clamp((row + .5) / kScale - .5, 0.0, h));
    places.push_back(static_cast<uint32_t>(static_cast<int64_t>(column) * height + static_cast<int64_t>(row)));
  }
  places.push_back(static_cast<uint32_t>(height * width));
  std::sort(places.begin(), places.end());
  std::vector<uint32_t> runs;
  uint32_t last = 0;
  for (const uint32_t place : places) {
    runs.push_back(place - last);
    last = place;
  }
  // A run of nothing joins its neighbours.
  Rle out{height, width, {runs[0]}};
  for (size_t j = 1; j < runs.size();) {
    if (runs[j] > 0) {
      out.counts.push_back(runs[j++]);
    } else if (++j < runs.size()) {
      out.counts.back() += runs[j++];
    }
  }
  return out;
}

Rle unite(const Rle& a, const Rle& b) {
  Rle out{a.height, a.width, {}};
  size_t next_a = 0, next_b = 0;
  uint32_t left_a = 0, left_b = 0, run = 0;
  bool in_a = true, in_b = true, in_out = false;
  const auto end = static_cast<uint64_t>(a.height * a.width);
  for (uint64_t at = 0; at < end;) {
    while (left_a == 0 && next_a < a.counts.size()) {
      left_a = a.counts[next_a++];
      in_a = !in_a;
    }
    while (left_b == 0 && next_b < b.counts.size()) {
      left_b = b.counts[next_b++];
      in_b = !in_b;
    }
    const uint32_t step = std::min(left_a, left_b);
    if (step == 0) break;
    if ((in_a || in_b) != in_out) {
      out.counts.push_back(run);
      run = 0;
      in_out = !in_out;
    }
    run += step;
    left_a -= step;
    left_b -= step;
    at += step;
  }
  out.counts.push_back(run);
  return out;
}

int64_t area(const Rle& rle) {
  int64_t sum = 0;
  for (size_t i = 1; i < rle.counts.size(); i += 2) sum += rle.counts[i];
  return sum;
}

std::array<double, 4> box_around(const Rle& rle) {
  int64_t x0 = rle.width, x1 = -1, y0 = rle.height, y1 = -1, at = 0;
  for (size_t i = 0; i < rle.counts.size(); ++i) {
    const int64_t first = at;
    at += rle.counts[i];
    if (i % 2 == 0 || at == first) continue;
    const int64_t last = at - 1;
    const int64_t first_column = first / rle.height, last_column = last / rle.height;
    x0 = std::min(x0, first_column);
    x1 = std::max(x1, last_column);
    const bool one_column = first_column == last_column;  // a run over a column's end touches top and bottom
    y0 = std::min(y0, one_column ? first % rle.height : 0);
    y1 = std::max(y1, one_column ? last % rle.height : rle.height - 1);
  }
  if (x1 < 0) return {};
  return {static_cast<double>(x0), static_cast<double>(y0), static_cast<double>(x1 - x0 + 1), static_cast<double>(y1 - y0 + 1)};
}

Rle rle_from_segmentation(const Json& segmentation, int64_t height, int64_t width, const std::string& where) {
  if (segmentation.is_array()) {
    require(!segmentation.empty(), "{}: segmentation is an empty list", where);
    Rle out;
    for (const Json& polygon : segmentation) {
      require(polygon.is_array(), "{}: segmentation: expected lists of x, y", where);
      std::vector<double> points;
      for (const Json& value : polygon) {
        require(value.is_number(), "{}: segmentation: expected numbers", where);
        points.push_back(value.get<double>());
      }
      Rle one = rle_from_polygon(points, height, width, where);
      out = out.counts.empty() ? std::move(one) : unite(out, one);
    }
    return out;
  }
  require(segmentation.is_object(), "{}: segmentation: expected polygons, or \"size\" and \"counts\"", where);
  const JsonView view(segmentation, where + ": segmentation");
  require(view.integers("size") == std::vector<int64_t>{height, width}, "{}: segmentation.size isn't the picture's {} x {}",
          where, height, width);
  if (!segmentation.contains("counts") || !segmentation["counts"].is_array())
    return rle_from_text(view.string("counts"), height, width, where);
  check_sides(height, width, where);
  Rle out{height, width, {}};
  for (const int64_t count : view.integers("counts")) {
    require(count >= 0 && count <= height * width, "{}: segmentation.counts holds {}, expected 0 to {}", where, count,
            height * width);
    out.counts.push_back(static_cast<uint32_t>(count));
  }
  check_sum(out, where);
  return out;
}

}  // namespace ocelli::data
