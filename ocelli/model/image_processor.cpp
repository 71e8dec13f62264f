#include "ocelli/model/image_processor.h"

#include <algorithm>
#include <utility>

namespace ocelli::model {
namespace {

/// Pillow's numbers for its filters, as preprocessor configs give them.
constexpr std::array<std::pair<int64_t, image::Filter>, 5> kFilters = {{{0, image::Filter::kNearest},
                                                                        {1, image::Filter::kLanczos},
                                                                        {2, image::Filter::kBilinear},
                                                                        {3, image::Filter::kBicubic},
                                                                        {4, image::Filter::kBox}}};
constexpr int64_t kLargestSide = 1 << 14;

std::array<float, 3> three(const JsonView& config, std::string_view key, std::array<float, 3> fallback) {
  if (!config.has(key)) return fallback;
  const std::vector<double> values = config.numbers(key);
  require(values.size() == 3, "{}.{} has {} numbers, expected 3", config.path(), key, values.size());
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

/// A size as published configs give it: a number, {height, width} or {shortest_edge}.
std::pair<int64_t, int64_t> height_width(const JsonView& config, std::string_view key) {
  if (config.value().at(std::string(key)).is_number()) {
    const int64_t side = config.integer_in(key, 1, kLargestSide);
    return {side, side};
  }
  const JsonView size = config.object(key);
  if (size.has("shortest_edge")) {
    const int64_t side = size.integer_in("shortest_edge", 1, kLargestSide);
    return {side, side};
  }
  return {size.integer_in("height", 1, kLargestSide), size.integer_in("width", 1, kLargestSide)};
}

}  // namespace

ImageProcessor ImageProcessor::from_json(const JsonView& config) {
  ImageProcessor out;
  const std::string type = config.string("image_processor_type", "CLIPImageProcessor");
  const bool ours = type == "OcelliImageProcessor";
  const bool clip = type.starts_with("CLIPImageProcessor") || type.starts_with("LlavaImageProcessor");
  const bool siglip = type.starts_with("SiglipImageProcessor") || type.starts_with("ViTImageProcessor");
  require(ours || clip || siglip,
          "{}.image_processor_type is \"{}\"; known are CLIPImageProcessor, LlavaImageProcessor, SiglipImageProcessor, "
          "ViTImageProcessor, "
          "OcelliImageProcessor",
          config.path(), type);
  for (const char* key : {"do_resize", "do_rescale", "do_normalize"}) {
    require(config.boolean(key, true), "{}.{} is false; a tower needs pictures of one size and range", config.path(), key);
  }
  const int64_t resample = config.integer("resample", clip || ours ? 3 : 2);
  bool known = false;
  for (const auto& [number, filter] : kFilters) {
    if (number != resample) continue;
    out.filter = filter;
    known = true;
  }
  require(known, "{}.resample is {}; known are 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box", config.path(), resample);
  if (config.has("size")) std::tie(out.height, out.width) = height_width(config, "size");
  out.size = std::min(out.height, out.width);
  if (clip) {
    const bool shortest = !config.has("size") || config.value()["size"].is_number() || config.object("size").has("shortest_edge");
    out.shape = shortest ? Shape::kShortestEdge : Shape::kSquash;
    if (config.boolean("do_pad", false)) out.shape = Shape::kPad;
    if (config.boolean("do_center_crop", true)) {
      if (config.has("crop_size")) std::tie(out.height, out.width) = height_width(config, "crop_size");
      require(out.shape == Shape::kShortestEdge || (out.height == out.size && out.width == out.size),
              "{}.crop_size {} x {} differs from size {} without a shortest edge", config.path(), out.width, out.height,
              out.size);
    }
    out.mean = {0.48145466F, 0.4578275F, 0.40821073F};
    out.std = {0.26862954F, 0.26130258F, 0.27577711F};
  }
  out.rescale_factor = static_cast<float>(config.number("rescale_factor", 1.0 / 255.0));
  out.mean = three(config, "image_mean", out.mean);
  out.std = three(config, "image_std", out.std);
  for (const float deviation : out.std)
    require(deviation > 0, "{}.image_std holds {}, expected positive numbers", config.path(), deviation);
  if (!ours) {
    out.decode = image::DecodeOptions::pillow();
  } else {
    const std::string shape = config.string("shape", "squash");
    require(shape == "squash" || shape == "pad" || shape == "shortest_edge",
            "{}.shape is \"{}\"; known are squash, pad, shortest_edge", config.path(), shape);
    out.shape = shape == "pad" ? Shape::kPad : shape == "squash" ? Shape::kSquash : Shape::kShortestEdge;
    if (out.shape == Shape::kShortestEdge && config.has("crop_size"))
      std::tie(out.height, out.width) = height_width(config, "crop_size");
  }
  return out;
}

Json ImageProcessor::to_json() const {
  Json json = {{"do_convert_rgb", true},        {"do_resize", true},  {"do_rescale", true}, {"do_normalize", true},
               {"rescale_factor", 1.0 / 255.0}, {"image_mean", mean}, {"image_std", std}};
  if (rescale_factor != 1.0F / 255.0F) json["rescale_factor"] = rescale_factor;
  for (const auto& [number, value] : kFilters) {
    if (value == filter) json["resample"] = number;
  }
  const bool published = !decode.apply_orientation;
  if (shape == Shape::kShortestEdge) {
    json["image_processor_type"] = "CLIPImageProcessor";
    json["size"] = {{"shortest_edge", size}};
    json["do_center_crop"] = true;
    json["crop_size"] = {{"height", height}, {"width", width}};
  } else if (published && shape == Shape::kPad) {
    json["image_processor_type"] = "LlavaImageProcessor";
    json["do_pad"] = true;
    json["size"] = {{"shortest_edge", size}};
    json["do_center_crop"] = true;
    json["crop_size"] = {{"height", height}, {"width", width}};
  } else {
    json["image_processor_type"] = "SiglipImageProcessor";
    json["size"] = {{"height", height}, {"width", width}};
  }
  if (!published) {
    json["image_processor_type"] = "OcelliImageProcessor";
    json["shape"] = shape == Shape::kPad ? "pad" : shape == Shape::kSquash ? "squash" : "shortest_edge";
  }
  return json;
}

image::Tiling ImageProcessor::tiling(int64_t, int64_t) const {
  return {.tile_height = height, .tile_width = width};
}

PixelTiles ImageProcessor::process(const image::Image& picture) const {
  image::Image shaped;
  const image::Image* result = &shaped;
  switch (shape) {
    case Shape::kSquash:
      if (picture.width == width && picture.height == height) {
        result = &picture;
      } else {
        shaped = image::resize(picture, width, height, filter);
      }
      break;
    case Shape::kPad: {
      const int64_t side = std::max(picture.width, picture.height);
      std::array<uint8_t, 3> colour{};
      for (size_t c = 0; c < 3; ++c) colour[c] = static_cast<uint8_t>(mean[c] * 255.0F);
      const image::Image square =
          image::pad(picture, side, side, (side - picture.width) / 2, (side - picture.height) / 2, colour);
      shaped = image::resize(square, width, height, filter);
      break;
    }
    case Shape::kShortestEdge: {
      const int64_t shorter = std::min(picture.width, picture.height), longer = std::max(picture.width, picture.height);
      const int64_t other =
          static_cast<int64_t>(static_cast<double>(size) * static_cast<double>(longer) / static_cast<double>(shorter));
      require(other <= 64 * kLargestSide, "picture {} x {}: its longer side would be {} pixels after resizing", picture.width,
              picture.height, other);
      const int64_t new_width = picture.width <= picture.height ? size : other;
      const int64_t new_height = picture.width <= picture.height ? other : size;
      shaped = image::resize(picture, new_width, new_height, filter);
      // Half a pixel goes as in transformers' center_crop: the offset is rounded down.
      const int64_t left = (new_width - width) >= 0 ? (new_width - width) / 2 : -((width - new_width + 1) / 2);
      const int64_t top = (new_height - height) >= 0 ? (new_height - height) / 2 : -((height - new_height + 1) / 2);
      shaped = image::crop(shaped, left, top, width, height);
      break;
    }
  }
  PixelTiles out;
  out.tiling = tiling(picture.width, picture.height);
  out.pixels.resize(static_cast<size_t>(3 * width * height));
  image::normalize(*result, mean, std, rescale_factor, out.pixels);
  return out;
}

}  // namespace ocelli::model
