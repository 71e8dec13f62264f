#include <fmt/format.h>

#include "ocelli/model/model.h"

namespace ocelli::model {

std::string Model::reason(const image::Tiling& tiling) const {
  using Overview = image::Tiling::Overview;
  using Kind = connector::ArrangeConfig::Kind;
  const auto tokens = [&](int64_t height, int64_t width) { return connector_->num_tokens(vision_tower_->grid(height, width)); };
  const int64_t tiles = tiling.tiles.count();
  const int64_t each = tokens(tiling.tile_height, tiling.tile_width);
  std::string out = tiles == 1 ? fmt::format("one view of {} x {} pixels: {}", tiling.tile_width, tiling.tile_height, each)
                               : fmt::format("{} x {} tiles (columns x rows) of {} x {} pixels, {} each", tiling.tiles.columns,
                                             tiling.tiles.rows, tiling.tile_width, tiling.tile_height, each);
  const bool one_map = config_.arrange.kind == Kind::kUnpadNewline && tiling.count() > 1;
  if (one_map) {
    const image::Grid tile = connector_->token_grid(vision_tower_->grid(tiling.tile_height, tiling.tile_width));
    const image::Grid kept = arrange_->kept(tiling, tile);
    out += fmt::format("; of their map of {} x {} without padding {} x {}, and a newline behind each of {} rows: {}",
                       tile.columns * tiling.tiles.columns, tile.rows * tiling.tiles.rows, kept.columns, kept.rows, kept.rows,
                       kept.rows * (kept.columns + 1));
  }
  if (tiling.overview != Overview::kNone) {
    out = fmt::format("{}; the whole picture at {} x {} pixels {}: {}", out, tiling.overview_width, tiling.overview_height,
                      tiling.overview == Overview::kFirst ? "in front" : "behind",
                      tokens(tiling.overview_height, tiling.overview_width));
  }
  const bool newline = config_.arrange.kind == Kind::kUnpadNewline && tiling.count() == 1;
  return newline ? out + "; one newline" : out;
}

}  // namespace ocelli::model
