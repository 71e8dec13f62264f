#include "ocelli/data/batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "ocelli/base/error.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::data {
Batch make_batch(std::span<const std::shared_ptr<const EncodedSample>> samples, const model::Processor& processor,
                 const TokenGrids& token_grids) {
  Batch batch;
  std::vector<int64_t> ids, output_rows, labels;
  std::vector<std::array<int64_t, 3>> positions;
  std::vector<const model::PixelTiles*> tiles;
  for (const auto& sample : samples) {
    const int64_t start = static_cast<int64_t>(ids.size());
    const int64_t prefix = static_cast<int64_t>(sample->prefix.size());
    const std::vector<image::Grid> grids = token_grids(sample->pictures);
    const auto place = [&](std::span<const int64_t> rows, std::span<const image::Grid> of, int64_t from) {
      const model::Positions places = model::positions_of(processor.positions(), rows, of, from);
      positions.insert(positions.end(), places.rows.begin(), places.rows.end());
      return places.next;
    };
    // A prefix holds all pictures or none.
    const int64_t behind = place(sample->prefix, grids, 0);
    ids.insert(ids.end(), sample->prefix.begin(), sample->prefix.end());
    if (prefix > 0) batch.inputs.layout.add({start, start + prefix, start, start + prefix, true, 0});
    for (const EncodedText& text : sample->continuations) {
      const int64_t begin = static_cast<int64_t>(ids.size());
      const int64_t length = static_cast<int64_t>(text.ids.size());
      ids.insert(ids.end(), text.ids.begin(), text.ids.end());
      place(text.ids, prefix > 0 ? std::span<const image::Grid>() : std::span<const image::Grid>(grids), behind);
      for (int64_t i = 0; i < length; ++i) {
        if (!text.trained[static_cast<size_t>(i)]) continue;
        require(i > 0, "sample {}: its first token is trained on, but no row predicts it", sample->id);
        output_rows.push_back(begin + i - 1);
        labels.push_back(text.ids[static_cast<size_t>(i)]);
      }
      if (processor.bidirectional_prompt()) {
        require(prefix == 0, "sample {}: the model's prompts see themselves both ways, so questions can't share a picture's rows",
                sample->id);
        const int64_t asked = std::find(text.trained.begin(), text.trained.end(), true) - text.trained.begin();
        batch.inputs.layout.add({begin, begin + asked, begin, begin + asked, false, 0});
        batch.inputs.layout.add({begin + asked, begin + length, begin, begin + length, true, 0});
        ++batch.samples;
        continue;
      }
      if (prefix > 0) batch.inputs.layout.add({begin, begin + length, start, start + prefix, false, 0});
      batch.inputs.layout.add({begin, begin + length, begin, begin + length, true, 0});
      ++batch.samples;
    }
    for (const model::PixelTiles& picture : sample->pictures) {
      tiles.push_back(&picture);
      batch.inputs.pictures.push_back(picture.tiling);
    }
  }
  batch.tokens = static_cast<int64_t>(ids.size());
  batch.pictures = static_cast<int64_t>(tiles.size());
  model::set_rows(batch.inputs, ids, processor.visual_expert());
  batch.inputs.positions = model::position_tensor(processor.positions(), positions);
  batch.inputs.output_rows = nn::index_tensor(output_rows);
  batch.labels = nn::index_tensor(labels);
  batch.inputs.pixels = model::stack_pixels(tiles);
  return batch;
}

}  // namespace ocelli::data
