#include "ocelli/model/pixels.h"

#include <ATen/ATen.h>

#include <cstring>

#include "ocelli/base/error.h"

namespace ocelli::model {

int64_t Pixels::count() const {
  int64_t views = 0;
  for (const at::Tensor& batch : batches) views += batch.size(0);
  return views;
}

Pixels Pixels::to(at::ScalarType dtype) const {
  Pixels out;
  for (const at::Tensor& batch : batches) out.batches.push_back(batch.to(dtype));
  if (aux.defined()) out.aux = aux.to(dtype);
  return out;
}

Pixels stack_pixels(std::span<const PixelTiles* const> pictures) {
  struct Run {
    image::Size size;
    int64_t views;
  };
  std::vector<Run> runs;
  for (const PixelTiles* picture : pictures) {
    if (picture->pixels.empty()) continue;
    for (int64_t i = 0; i < picture->tiling.count(); ++i) {
      const image::Size size = picture->tiling.view_size(i);
      if (runs.empty() || !(runs.back().size == size)) runs.push_back({size, 0});
      ++runs.back().views;
    }
  }
  Pixels out;
  for (const Run& run : runs) out.batches.push_back(at::empty({run.views, 3, run.size.height, run.size.width}, at::kFloat));
  size_t batch = 0;
  int64_t within = 0;
  for (const PixelTiles* picture : pictures) {
    if (picture->pixels.empty()) continue;
    const float* source = picture->pixels.data();
    for (int64_t i = 0; i < picture->tiling.count(); ++i) {
      if (within == runs[batch].views) {
        ++batch;
        within = 0;
      }
      const int64_t numbers = 3 * runs[batch].size.height * runs[batch].size.width;
      std::memcpy(out.batches[batch].data_ptr<float>() + within * numbers, source, static_cast<size_t>(numbers) * sizeof(float));
      source += numbers;
      ++within;
    }
  }
  std::vector<at::Tensor> aux;
  for (const PixelTiles* picture : pictures) {
    if (picture->aux.empty()) continue;
    const PixelTiles& first = *pictures[0];
    require(picture->aux_height == first.aux_height && picture->aux_width == first.aux_width,
            "pictures of {} x {} and {} x {} pixels can't go into one pass of the second tower", first.aux_width,
            first.aux_height, picture->aux_width, picture->aux_height);
    at::Tensor one = at::empty({3, picture->aux_height, picture->aux_width}, at::kFloat);
    std::memcpy(one.data_ptr<float>(), picture->aux.data(), picture->aux.size() * sizeof(float));
    aux.push_back(one);
  }
  if (!aux.empty()) out.aux = at::stack(aux);
  return out;
}

}  // namespace ocelli::model
