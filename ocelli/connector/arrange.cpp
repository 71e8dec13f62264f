#include "ocelli/connector/arrange.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::connector {

VisualTokens arrange_tiles(const at::Tensor& tile_tokens, std::span<const image::Tiling> pictures) {
  VisualTokens out;
  int64_t tiles = 0;
  for (const image::Tiling& picture : pictures) {
    tiles += picture.count();
    out.per_picture.push_back(picture.count() * tile_tokens.size(1));
  }
  require(tiles == tile_tokens.size(0), "arrange: {} pictures have {} tiles, the connector gave {}", pictures.size(), tiles,
          tile_tokens.size(0));
  out.tokens = tile_tokens.reshape({tile_tokens.size(0) * tile_tokens.size(1), tile_tokens.size(2)});
  return out;
}

}  // namespace ocelli::connector
