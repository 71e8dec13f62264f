#include "ocelli/connector/arrange.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "ocelli/base/error.h"

namespace ocelli::connector {

Arrange::Arrange(const ArrangeConfig& config) : config_(config) {
  if (config.kind == ArrangeConfig::Kind::kConcat) return;
  image_newline_ = declare("image_newline", {config.width}, nn::Init::normal(1.0 / std::sqrt(static_cast<double>(config.width))));
}

image::Grid Arrange::kept(const image::Tiling& tiling, image::Grid tile) const {
  const image::Grid map{tile.rows * tiling.tiles.rows, tile.columns * tiling.tiles.columns};
  const image::Grid unpadded = image::unpadded_grid(map, {tiling.picture_height, tiling.picture_width}, config_.unpad);
  return config_.max_tiles > 0 ? image::anyres_max_grid(unpadded, config_.max_tiles, tile.rows) : unpadded;
}

int64_t Arrange::num_tokens(const image::Tiling& tiling, std::span<const int64_t> tokens_of_view, image::Grid grid) const {
  const int64_t all = std::accumulate(tokens_of_view.begin(), tokens_of_view.end(), int64_t{0});
  if (config_.kind == ArrangeConfig::Kind::kConcat) return all;
  if (tiling.count() == 1) return all + 1;
  const image::Grid map = kept(tiling, grid);
  return tokens_of_view[0] + map.rows * (map.columns + 1);
}

VisualTokens Arrange::forward(std::span<const at::Tensor> views, std::span<const image::Grid> grids,
                              std::span<const image::Tiling> pictures) const {
  int64_t expected = 0;
  for (const image::Tiling& picture : pictures) expected += picture.count();
  require(expected == static_cast<int64_t>(views.size()), "arrange: {} pictures have {} tiles, the connector gave {}",
          pictures.size(), expected, views.size());
  VisualTokens out;
  std::vector<at::Tensor> parts;
  size_t view = 0;
  for (const image::Tiling& picture : pictures) {
    const size_t first = view;
    const size_t count = static_cast<size_t>(picture.count());
    view += count;
    std::vector<at::Tensor> own;
    const at::Tensor newline =
        image_newline_.defined() ? image_newline_.to(views[first].scalar_type()).unsqueeze(0) : at::Tensor();
    if (config_.kind == ArrangeConfig::Kind::kUnpadNewline && count > 1) {
      own.push_back(views[first]);
      const image::Grid tile = grids[first + 1];
      const auto [tile_rows, tile_columns] = picture.tiles;
      const int64_t width = views[first + 1].size(1);
      const image::Grid map{tile.rows * tile_rows, tile.columns * tile_columns};
      at::Tensor joined = at::stack(at::TensorList(std::vector<at::Tensor>(views.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                                                                           views.begin() + static_cast<std::ptrdiff_t>(view))))
                              .view({tile_rows, tile_columns, tile.rows, tile.columns, width})
                              .permute({0, 2, 1, 3, 4})
                              .reshape({map.rows, map.columns, width});
      const image::Grid unpadded = image::unpadded_grid(map, {picture.picture_height, picture.picture_width}, config_.unpad);
      joined = joined.slice(0, (map.rows - unpadded.rows) / 2, (map.rows - unpadded.rows) / 2 + unpadded.rows)
                   .slice(1, (map.columns - unpadded.columns) / 2, (map.columns - unpadded.columns) / 2 + unpadded.columns);
      const image::Grid wanted = kept(picture, tile);
      if (!(wanted == unpadded)) {
        const std::array<int64_t, 2> size = {wanted.rows, wanted.columns};
        joined = at::upsample_bilinear2d(joined.permute({2, 0, 1}).unsqueeze(0), size, false).squeeze(0).permute({1, 2, 0});
      }
      own.push_back(at::cat({joined, newline.unsqueeze(0).expand({wanted.rows, 1, width})}, 1)
                        .reshape({wanted.rows * (wanted.columns + 1), width}));
    } else {
      own.assign(views.begin() + static_cast<std::ptrdiff_t>(first), views.begin() + static_cast<std::ptrdiff_t>(view));
      if (newline.defined()) own.push_back(newline);
    }
    int64_t tokens = 0;
    for (const at::Tensor& part : own) tokens += part.size(0);
    out.per_picture.push_back(tokens);
    parts.insert(parts.end(), own.begin(), own.end());
  }
  out.tokens = parts.size() == 1 ? parts[0] : at::cat(parts);
  return out;
}

}  // namespace ocelli::connector
