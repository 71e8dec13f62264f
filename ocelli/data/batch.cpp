#include "ocelli/data/batch.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::data {
Batch make_batch(std::span<const std::shared_ptr<const EncodedSample>> samples, int64_t placeholder) {
  Batch batch;
  std::vector<int64_t> ids, positions, visual_rows, output_rows, labels;
  std::vector<const model::PixelTiles*> tiles;
  for (const auto& sample : samples) {
    const int64_t start = static_cast<int64_t>(ids.size());
    const int64_t prefix = static_cast<int64_t>(sample->prefix.size());
    for (int64_t i = 0; i < prefix; ++i) positions.push_back(i);
    ids.insert(ids.end(), sample->prefix.begin(), sample->prefix.end());
    if (prefix > 0) batch.inputs.layout.add({start, start + prefix, start, start + prefix, true, 0});
    for (const EncodedText& text : sample->continuations) {
      const int64_t begin = static_cast<int64_t>(ids.size());
      const int64_t length = static_cast<int64_t>(text.ids.size());
      ids.insert(ids.end(), text.ids.begin(), text.ids.end());
      for (int64_t i = 0; i < length; ++i) {
        positions.push_back(prefix + i);
        if (!text.trained[static_cast<size_t>(i)]) continue;
        require(i > 0, "sample {}: its first token is trained on, but no row predicts it", sample->id);
        output_rows.push_back(begin + i - 1);
        labels.push_back(text.ids[static_cast<size_t>(i)]);
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
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == placeholder && placeholder >= 0) visual_rows.push_back(static_cast<int64_t>(i));
  }
  batch.tokens = static_cast<int64_t>(ids.size());
  batch.pictures = static_cast<int64_t>(tiles.size());
  batch.inputs.input_ids = nn::index_tensor(ids);
  batch.inputs.positions = nn::index_tensor(positions);
  batch.inputs.visual_rows = nn::index_tensor(visual_rows);
  batch.inputs.output_rows = nn::index_tensor(output_rows);
  batch.labels = nn::index_tensor(labels);
  batch.inputs.pixel_values = model::stack_pixels(tiles);
  return batch;
}

}  // namespace ocelli::data
