#include "ocelli/model/tile_markers.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::model {
namespace {

constexpr const char* kFake = "<fake_token_around_image>";

}  // namespace

PlacedIds TileMarkers::place(std::span<const int64_t> ids, int64_t token_id, std::span<const int64_t> counts,
                             std::span<const image::Tiling> tilings) const {
  const auto places = static_cast<size_t>(std::count(ids.begin(), ids.end(), token_id));
  require(places == counts.size(), "the text has {} {} placeholders, but {} pictures were given", places,
          tokenizer_.token_of(token_id), counts.size());
  require(tilings.size() == counts.size(), "tile markers: {} tilings for {} pictures", tilings.size(), counts.size());
  PlacedIds out;
  size_t picture = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto put = [&](int64_t id, int64_t times) {
      out.ids.insert(out.ids.end(), static_cast<size_t>(times), id);
      out.source.insert(out.source.end(), static_cast<size_t>(times), static_cast<int64_t>(i));
    };
    // Each piece lies between special tokens, so that it is encoded as it would be within the whole prompt.
    const auto write = [&](const std::string& text) {
      for (const int64_t id : tokenizer_.encode(text, false)) put(id, 1);
    };
    if (ids[i] != token_id) {
      put(ids[i], 1);
      continue;
    }
    const image::Tiling& tiling = tilings[picture];
    const int64_t each = counts[picture] / tiling.count();
    require(each * tiling.count() == counts[picture], "tile markers: {} visual tokens in {} views", counts[picture],
            tiling.count());
    ++picture;
    if (tiling.count() > 1) {
      for (int64_t row = 0; row < tiling.tiles.rows; ++row) {
        for (int64_t column = 0; column < tiling.tiles.columns; ++column) {
          write(fmt::format("{}<row_{}_col_{}>", kFake, row + 1, column + 1));
          put(visual_id(token_id), each);
        }
        write(row + 1 < tiling.tiles.rows ? "\n" : "\n\n");
      }
    }
    write(std::string(kFake) + "<global-img>");
    put(visual_id(token_id), each);
    write(kFake);
  }
  return out;
}

}  // namespace ocelli::model
