#include "ocelli/model/image_processor.h"

#include <algorithm>
#include <span>
#include <utility>

#include "ocelli/image/tile_views.h"
#include "ocelli/model/preprocessor_keys.h"
#include "ocelli/model/spelled_processor.h"
#include "ocelli/model/tiled_processors.h"

namespace ocelli::model {
namespace {

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

constexpr std::pair<std::string_view, ImageProcessor::Shape> kShapes[] = {
    {"squash", ImageProcessor::Shape::kSquash},
    {"pad", ImageProcessor::Shape::kPad},
    {"longest_pad", ImageProcessor::Shape::kLongestPad},
    {"shortest_edge", ImageProcessor::Shape::kShortestEdge},
};

ImageProcessor::Shape shape_from_name(const JsonView& config) {
  const std::string given = config.string("shape", "squash");
  for (const auto& [name, shape] : kShapes) {
    if (name == given) return shape;
  }
  fail("{}.shape is \"{}\"; known are squash, pad, longest_pad, shortest_edge", config.path(), given);
}

/// A picture whose shorter side becomes `size`. Throws Error for one too long to be held.
image::Size shortest_side(image::Size picture, int64_t size) {
  const int64_t shorter = std::min(picture.width, picture.height), longer = std::max(picture.width, picture.height);
  const double exact = static_cast<double>(size) * static_cast<double>(longer) / static_cast<double>(shorter);
  require(exact * static_cast<double>(size) <= static_cast<double>(image::kMaxViewPixels),
          "picture {} x {}: its longer side would be {:.0f} pixels after resizing", picture.width, picture.height, exact);
  const int64_t other = static_cast<int64_t>(exact);
  return picture.width <= picture.height ? image::Size{other, size} : image::Size{size, other};
}

}  // namespace

std::vector<image::Size> canvases_from(const Json& pinpoints, const std::string& path, image::PairOrder order) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (const Json& pair : pinpoints) {
    require(pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() && pair[1].is_number_integer(),
            "{}: image_grid_pinpoints holds {}, expected pairs of numbers", path, pair.dump());
    pairs.emplace_back(pair[0].get<int64_t>(), pair[1].get<int64_t>());
    for (const int64_t side : {pairs.back().first, pairs.back().second}) {
      require(side >= 1 && side <= kLargestSide, "{}: image_grid_pinpoints holds a side of {}, expected 1 to {}", path, side,
              kLargestSide);
    }
  }
  require(!pairs.empty() && pairs.size() <= 4096, "{}: image_grid_pinpoints has {} pairs, expected 1 to 4096", path,
          pairs.size());
  return image::canvases_of(pairs, order);
}

ImageProcessor ImageProcessor::from_json(const JsonView& config) {
  ImageProcessor out;
  const std::string type = config.string("image_processor_type", "CLIPImageProcessor");
  if (is_deepseek_processor(type)) return read_deepseek_processor(config);
  if (std::optional<ImageProcessor> tiled = read_tiled_processor(config)) return *std::move(tiled);
  const bool ours = type == "OcelliImageProcessor";
  const bool next = type.starts_with("LlavaNextImageProcessor");
  const bool clip = next || type.starts_with("CLIPImageProcessor") || type.starts_with("LlavaImageProcessor") ||
                    type.starts_with("CLIPFeatureExtractor") || type.starts_with("BitImageProcessor");
  const bool siglip = type.starts_with("SiglipImageProcessor");
  const bool blip = type.starts_with("BlipImageProcessor");
  const bool vit = type.starts_with("ViTImageProcessor");
  const bool got = type.starts_with("GotOcr2ImageProcessor");
  require(ours || clip || siglip || blip || vit || got,
          "{}.image_processor_type is \"{}\"; known are CLIPImageProcessor, LlavaImageProcessor, LlavaNextImageProcessor, "
          "LlavaOnevisionImageProcessor, SiglipImageProcessor, BlipImageProcessor, ViTImageProcessor, Qwen2VLImageProcessor, "
          "Idefics3ImageProcessor, "
          "SmolVLMImageProcessor, GotOcr2ImageProcessor, OcelliImageProcessor",
          config.path(), type);
  for (const char* key : {"do_resize", "do_rescale", "do_normalize"}) {
    require(config.boolean(key, true), "{}.{} is false; a tower needs pictures of one size and range", config.path(), key);
  }
  out.filter = filter_of(config, "resample", vit ? image::Filter::kBilinear : image::Filter::kBicubic);
  if (config.has("size")) std::tie(out.height, out.width) = height_width(config, "size");
  out.size = std::min(out.height, out.width);
  if (clip) {
    const bool shortest = !config.has("size") || config.value()["size"].is_number() || config.object("size").has("shortest_edge");
    out.shape = shortest ? Shape::kShortestEdge : Shape::kSquash;
    if (!next && config.boolean("do_pad", false)) out.shape = Shape::kPad;
    if (config.boolean("do_center_crop", true)) {
      if (config.has("crop_size")) std::tie(out.height, out.width) = height_width(config, "crop_size");
      require(out.shape == Shape::kShortestEdge || (out.height == out.size && out.width == out.size),
              "{}.crop_size {} x {} differs from size {} without a shortest edge", config.path(), out.width, out.height,
              out.size);
    }
    out.mean = kClipMean;
    out.std = kClipStd;
  }
  if (got) {  // InternVL in transformers
    if (!config.has("size")) out.size = out.height = out.width = 384;
    out.mean = kClipMean;
    out.std = kClipStd;
    out.internvl.tile = {out.height, out.width};
    out.internvl.min_tiles = config.integer_in("min_patches", 1, 1024, 1);
    out.internvl.max_tiles = config.integer_in("max_patches", out.internvl.min_tiles, 1024, 12);
    out.internvl.thumbnail = config.boolean("use_thumbnail", true);
    if (config.boolean("crop_to_patches", false)) out.cut = Cut::kInternVl;
  }
  if (blip) {
    out.mean = kClipMean;
    out.std = kClipStd;
  }
  if (next) {
    require(config.has("image_grid_pinpoints") && config.value()["image_grid_pinpoints"].is_array(),
            "{}.image_grid_pinpoints is missing: the canvases a picture may be cut into", config.path());
    out.cut = Cut::kAnyRes;
    out.anyres.tile_side = out.height;
    out.anyres.canvases = canvases_from(config.value()["image_grid_pinpoints"], config.path(), image::PairOrder::kHeightWidth);
  }
  out.rescale_factor = config.number("rescale_factor", 1.0 / 255.0);
  out.rows_first = config.boolean("rows_first", false);
  out.mean = three_of(config, "image_mean", out.mean);
  out.std = deviations_of(config, "image_std", out.std);
  if (!ours) {
    out.decode = image::DecodeOptions::pillow();
  } else {
    out.shape = shape_from_name(config);
    if (out.shape == Shape::kShortestEdge && config.has("crop_size"))
      std::tie(out.height, out.width) = height_width(config, "crop_size");
    read_spelled_out(config, out);
  }
  return out;
}

Json ImageProcessor::to_json() const {
  Json json = {{"do_convert_rgb", true}, {"do_resize", true},  {"do_rescale", true},
               {"do_normalize", true},   {"image_mean", mean}, {"image_std", std}};
  json["rescale_factor"] = rescale_factor;
  if (rows_first) json["rows_first"] = true;
  json["resample"] = pillow_number(filter);
  const bool published = !decode.apply_orientation && !needs_spelling_out(*this);
  if (published && shape == Shape::kLongestPad) return write_deepseek_processor(*this);
  if (std::optional<Json> tiled; published && (tiled = write_tiled_processor(*this))) return *std::move(tiled);
  if (published && cut == Cut::kInternVl) {
    json["image_processor_type"] = "GotOcr2ImageProcessor";
    json["size"] = {{"height", height}, {"width", width}};
    json["crop_to_patches"] = true;
    json["min_patches"] = internvl.min_tiles;
    json["max_patches"] = internvl.max_tiles;
    if (!internvl.thumbnail) json["use_thumbnail"] = false;
    return json;
  }
  if (published && cut == Cut::kAnyRes) {
    json["image_processor_type"] = "LlavaNextImageProcessor";
    json["size"] = {{"shortest_edge", size}};
    json["do_center_crop"] = true;
    json["do_pad"] = true;
    json["crop_size"] = {{"height", height}, {"width", width}};
    json["image_grid_pinpoints"] = Json::array();
    for (const image::Size& canvas : anyres.canvases) json["image_grid_pinpoints"].push_back({canvas.height, canvas.width});
    return json;
  }
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
    for (const auto& [name, value] : kShapes) {
      if (value == shape) json["shape"] = name;
    }
    write_spelled_out(*this, json);
  }
  return json;
}

image::Tiling ImageProcessor::tiling(int64_t picture_width, int64_t picture_height) const {
  const image::Size picture{picture_height, picture_width};
  image::Tiling one;
  one.tile_height = height;
  one.tile_width = width;
  if (second) one = second_view_tiling(*this);
  switch (cut) {
    case Cut::kNone:
      require_shapeable(picture);
      break;
    case Cut::kAnyRes:
      return image::anyres(anyres, picture);
    case Cut::kInternVl:
      return image::internvl_tiles(internvl, picture);
    case Cut::kUhd:
      return image::uhd_slices(uhd, picture);
    case Cut::kIdefics3:
      return image::idefics3_tiles(idefics3, picture);
    case Cut::kSmart: {
      const image::Size size_of_view = image::smart_resize(smart, picture);
      one.tile_height = size_of_view.height;
      one.tile_width = size_of_view.width;
      break;
    }
  }
  one.picture_height = picture_height;
  one.picture_width = picture_width;
  return one;
}

void ImageProcessor::require_shapeable(image::Size picture) const {
  if (aux) aux->tiling(picture.width, picture.height);
  switch (shape) {
    case Shape::kSquash:
      break;
    case Shape::kPad:
      image::require_paddable(picture, width);
      break;
    case Shape::kLongestPad:
      image::longest_side(picture, size, min_side, longest_side);
      break;
    case Shape::kShortestEdge:
      shortest_side(picture, size);
      break;
  }
}

image::Image ImageProcessor::shaped(const image::Image& picture) const {
  std::array<uint8_t, 3> colour{};
  for (size_t c = 0; c < 3; ++c) colour[c] = pad_colour ? (*pad_colour)[c] : static_cast<uint8_t>(mean[c] * 255.0F);
  switch (shape) {
    case Shape::kSquash:
      return rows_first ? image::resize_rows_first(picture, width, height, filter)
                        : image::resize(picture, width, height, filter);
    case Shape::kPad: {
      require(width == height, "image processor: a padded picture is square, but {} x {} is asked for", width, height);
      return image::pad_square(picture, width, colour, filter);
    }
    case Shape::kLongestPad: {
      const image::Size fitted = image::longest_side({picture.height, picture.width}, size, min_side, longest_side);
      return image::centred(image::resize(picture, fitted.width, fitted.height, filter), {height, width}, colour);
    }
    case Shape::kShortestEdge: {
      const auto [new_height, new_width] = shortest_side({picture.height, picture.width}, size);
      // Half a pixel goes as in transformers' center_crop: the offset is rounded down.
      const int64_t left = (new_width - width) >= 0 ? (new_width - width) / 2 : -((width - new_width + 1) / 2);
      const int64_t top = (new_height - height) >= 0 ? (new_height - height) / 2 : -((height - new_height + 1) / 2);
      return image::crop(image::resize(picture, new_width, new_height, filter), left, top, width, height);
    }
  }
  fail("image processor: unknown shape");
}

PixelTiles ImageProcessor::process(const image::Image& picture) const {
  PixelTiles out;
  out.tiling = tiling(picture.width, picture.height);
  std::vector<image::Image> views;
  const bool as_it_is = cut == Cut::kNone && shape == Shape::kSquash && picture.width == width && picture.height == height;
  if (second) return second_view_pixels(*this, as_it_is ? picture : shaped(picture), out.tiling);
  switch (cut) {
    case Cut::kNone:
      if (!as_it_is) views.push_back(shaped(picture));
      break;
    case Cut::kAnyRes:
      views = image::anyres_views(picture, out.tiling, filter);
      break;
    case Cut::kIdefics3:
      views = image::idefics3_views(picture, idefics3, out.tiling, filter);
      break;
    case Cut::kInternVl:
    case Cut::kUhd:
    case Cut::kSmart:
      views = image::stretched_views(picture, out.tiling, filter);
      break;
  }
  const std::span<const image::Image> all = as_it_is ? std::span(&picture, 1) : std::span<const image::Image>(views);
  size_t numbers = 0;
  for (const image::Image& view : all) numbers += view.pixels.size();
  out.pixels.reserve(numbers);
  for (const image::Image& view : all) {
    // Room is made view by view: zeros that the vector writes are still in the cache when the numbers replace them.
    const size_t done = out.pixels.size();
    out.pixels.resize(done + view.pixels.size());
    image::normalize(view, mean, std, rescale_factor, std::span(out.pixels).subspan(done));
  }
  if (aux) {
    PixelTiles second = aux->process(picture);
    out.aux = std::move(second.pixels);
    out.aux_height = second.tiling.tile_height;
    out.aux_width = second.tiling.tile_width;
  }
  return out;
}

}  // namespace ocelli::model
