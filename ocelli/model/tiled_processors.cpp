#include "ocelli/model/tiled_processors.h"

#include <algorithm>
#include <string>

#include "ocelli/base/error.h"
#include "ocelli/model/preprocessor_keys.h"

namespace ocelli::model {
namespace {

/// Pixels of one picture at most, whatever a table says.
constexpr int64_t kMostPixels = image::kMaxViewPixels;

void require_steps(const JsonView& config) {
  for (const char* key : {"do_resize", "do_rescale", "do_normalize"}) {
    require(config.boolean(key, true), "{}.{} is false; a tower needs pictures of known sides and range", config.path(), key);
  }
}

void read_values(const JsonView& config, image::Filter filter, ImageProcessor& out) {
  out.filter = filter_of(config, "resample", filter);
  out.rescale_factor = config.number("rescale_factor", 1.0 / 255.0);
  out.mean = three_of(config, "image_mean", out.mean);
  out.std = deviations_of(config, "image_std", out.std);
  out.decode = image::DecodeOptions::pillow();
}

ImageProcessor read_onevision(const JsonView& config) {
  ImageProcessor out;
  out.mean = kClipMean;
  out.std = kClipStd;
  read_values(config, image::Filter::kBicubic, out);
  int64_t side = 384;
  if (config.has("size")) {
    const JsonView size = config.object("size");
    side = size.has("shortest_edge") ? size.integer_in("shortest_edge", 1, kLargestSide)
                                     : size.integer_in("height", 1, kLargestSide);
    require(size.has("shortest_edge") || size.integer("width") == side, "{}.size is {} x {}; expected a square", config.path(),
            size.integer("width", 0), side);
  }
  require(!config.boolean("do_center_crop", false), "{}.do_center_crop is true; LLaVA-OneVision takes whole tiles",
          config.path());
  require(config.has("image_grid_pinpoints") && config.value()["image_grid_pinpoints"].is_array(),
          "{}.image_grid_pinpoints is missing: the canvases a picture may be cut into", config.path());
  out.size = out.height = out.width = side;
  out.shape = ImageProcessor::Shape::kSquash;
  // Several pictures of one prompt are not cut: each lies on a square of the mean's colour.
  ImageProcessor several = out;
  several.shape = ImageProcessor::Shape::kPad;
  out.several = std::make_shared<const ImageProcessor>(several);
  out.cut = ImageProcessor::Cut::kAnyRes;
  out.anyres.tile_side = side;
  out.anyres.canvases = canvases_from(config.value()["image_grid_pinpoints"], config.path(), image::PairOrder::kHeightWidth);
  return out;
}

ImageProcessor read_qwen2(const JsonView& config) {
  ImageProcessor out;
  out.mean = kClipMean;
  out.std = kClipStd;
  read_values(config, image::Filter::kBicubic, out);
  int64_t least = 56 * 56, most = 28 * 28 * 1280;
  if (config.has("size")) {
    const JsonView size = config.object("size");
    least = size.integer_in("shortest_edge", 1, kMostPixels, least);
    most = size.integer_in("longest_edge", 1, kMostPixels, most);
  }
  least = config.integer_in("min_pixels", 1, kMostPixels, least);
  most = config.integer_in("max_pixels", 1, kMostPixels, most);
  require(least <= most, "{}: at least {} pixels and at most {}", config.path(), least, most);
  const int64_t patch = config.integer_in("patch_size", 1, 1 << 10, 14), merge = config.integer_in("merge_size", 1, 16, 2);
  config.integer_in("temporal_patch_size", 1, 16, 2);
  out.cut = ImageProcessor::Cut::kSmart;
  out.smart = {.factor = patch * merge, .min_pixels = least, .max_pixels = most};
  out.smart_patch = patch;
  out.height = out.width = out.size = patch * merge;
  return out;
}

ImageProcessor read_idefics3(const JsonView& config) {
  ImageProcessor out;
  read_values(config, image::Filter::kLanczos, out);
  const JsonView size = config.has("size") ? config.object("size") : config;
  out.cut = ImageProcessor::Cut::kIdefics3;
  out.idefics3.longest_edge = config.has("size") ? size.integer_in("longest_edge", 1, kLargestSide) : 4 * 364;
  out.idefics3.tile_side =
      config.has("max_image_size") ? config.object("max_image_size").integer_in("longest_edge", 1, kLargestSide) : 364;
  out.idefics3.split = config.boolean("do_image_splitting", true);
  out.size = out.height = out.width = out.idefics3.tile_side;
  return out;
}

}  // namespace

std::optional<ImageProcessor> read_tiled_processor(const JsonView& config) {
  const std::string type = config.string("image_processor_type", "");
  ImageProcessor (*read)(const JsonView&) = nullptr;
  if (type.starts_with("LlavaOnevisionImageProcessor")) read = read_onevision;
  if (type.starts_with("Qwen2VLImageProcessor") || type.starts_with("Qwen2_5_VLImageProcessor")) read = read_qwen2;
  if (type.starts_with("Idefics3ImageProcessor") || type.starts_with("SmolVLMImageProcessor")) read = read_idefics3;
  if (read == nullptr) return std::nullopt;
  require_steps(config);
  return read(config);
}

std::optional<Json> write_tiled_processor(const ImageProcessor& images) {
  Json json = {{"do_convert_rgb", true}, {"do_resize", true},         {"do_rescale", true},
               {"do_normalize", true},   {"image_mean", images.mean}, {"image_std", images.std}};
  json["rescale_factor"] = images.rescale_factor;
  json["resample"] = pillow_number(images.filter);
  switch (images.cut) {
    case ImageProcessor::Cut::kAnyRes:
      if (!images.several) return std::nullopt;
      json["image_processor_type"] = "LlavaOnevisionImageProcessor";
      json["size"] = {{"height", images.height}, {"width", images.width}};
      json["do_pad"] = true;
      json["image_grid_pinpoints"] = Json::array();
      for (const image::Size& canvas : images.anyres.canvases) {
        json["image_grid_pinpoints"].push_back({canvas.height, canvas.width});
      }
      return json;
    case ImageProcessor::Cut::kSmart:
      json["image_processor_type"] = "Qwen2VLImageProcessor";
      json["size"] = {{"shortest_edge", images.smart.min_pixels}, {"longest_edge", images.smart.max_pixels}};
      json["patch_size"] = images.smart_patch;
      json["merge_size"] = images.smart.factor / images.smart_patch;
      json["temporal_patch_size"] = 2;
      return json;
    case ImageProcessor::Cut::kIdefics3:
      json["image_processor_type"] = "Idefics3ImageProcessor";
      json["size"] = {{"longest_edge", images.idefics3.longest_edge}};
      json["max_image_size"] = {{"longest_edge", images.idefics3.tile_side}};
      json["do_image_splitting"] = images.idefics3.split;
      json["do_pad"] = true;
      return json;
    default:
      return std::nullopt;
  }
}

}  // namespace ocelli::model
