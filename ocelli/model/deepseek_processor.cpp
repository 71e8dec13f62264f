#include <algorithm>
#include <string>

#include "ocelli/base/error.h"
#include "ocelli/model/image_processor.h"
#include "ocelli/model/preprocessor_keys.h"

namespace ocelli::model {
namespace {

int64_t square(const JsonView& config, std::string_view key, int64_t fallback) {
  if (!config.has(key)) return fallback;
  if (config.value().at(std::string(key)).is_number()) return config.integer_in(key, 1, kLargestSide);
  const JsonView size = config.object(key);
  const int64_t height = size.integer_in("height", 1, kLargestSide), width = size.integer_in("width", 1, kLargestSide);
  require(height == width, "{}.{} is {} x {}; DeepSeek-VL pads to a square", config.path(), key, width, height);
  return height;
}

/// int(mean * 255), in the numbers as the config has them.
std::array<uint8_t, 3> padding(const JsonView& config, std::string_view key, std::array<double, 3> fallback) {
  std::array<uint8_t, 3> out{};
  const std::vector<double> mean = config.has(key) ? config.numbers(key) : std::vector<double>(fallback.begin(), fallback.end());
  for (size_t c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>(std::clamp(mean.at(c) * 255.0, 0.0, 255.0));
  return out;
}

}  // namespace

bool is_deepseek_processor(std::string_view type) {
  return type == "VLMImageProcessor" || type.starts_with("DeepseekVL");
}

ImageProcessor read_deepseek_processor(const JsonView& config) {
  const std::string type = config.string("image_processor_type");
  const bool original = type == "VLMImageProcessor", hybrid = type.starts_with("DeepseekVLHybrid");
  for (const char* key : {"do_resize", "do_rescale", "do_pad"}) {
    require(config.boolean(key, true), "{}.{} is false; a tower needs pictures of one size and range", config.path(), key);
  }
  const bool normalises = config.boolean("do_normalize", true);
  require(original || normalises, "{}.do_normalize is false; a tower needs pictures of one range", config.path());
  ImageProcessor out;
  out.shape = ImageProcessor::Shape::kLongestPad;
  out.decode = image::DecodeOptions::pillow();
  out.rescale_factor = config.number("rescale_factor", 1.0 / 255.0);
  out.longest_side = original ? image::LongestSide::kTruncate : image::LongestSide::kRound;
  const std::string prefix = hybrid ? "high_res_" : "";
  const int64_t side =
      original ? config.integer_in("image_size", 1, kLargestSide) : square(config, prefix + "size", hybrid ? 1024 : 384);
  out.size = out.height = out.width = side;
  out.min_side = config.integer_in("min_size", 0, side, std::min<int64_t>(14, side));
  out.filter = filter_of(config, prefix + "resample", image::Filter::kBicubic);
  const std::string mean_key = prefix + "image_mean";
  out.mean = three_of(config, mean_key, kClipMean);
  out.std = deviations_of(config, prefix + "image_std", kClipStd);
  out.pad_colour = padding(config, mean_key, {0.48145466, 0.4578275, 0.40821073});
  if (!normalises) {
    out.mean = {0, 0, 0};
    out.std = {1, 1, 1};
  }
  if (hybrid) {
    SecondView second{.kind = SecondView::Kind::kShrunkBytes, .side = square(config, "size", 384)};
    second.filter = filter_of(config, "resample", image::Filter::kBicubic);
    second.mean = three_of(config, "image_mean", kClipMean);
    second.std = deviations_of(config, "image_std", kClipStd);
    out.second = second;
  }
  return out;
}

Json write_deepseek_processor(const ImageProcessor& processor) {
  const bool hybrid = processor.second.has_value();
  const auto square = [](int64_t side) { return Json{{"height", side}, {"width", side}}; };
  Json json = {{"image_processor_type", hybrid ? "DeepseekVLHybridImageProcessor" : "DeepseekVLImageProcessor"},
               {"do_resize", true},
               {"do_rescale", true},
               {"do_normalize", true},
               {"do_pad", true},
               {"min_size", processor.min_side},
               {"rescale_factor", processor.rescale_factor}};
  const std::string prefix = hybrid ? "high_res_" : "";
  json[prefix + "size"] = square(processor.height);
  json[prefix + "image_mean"] = processor.mean;
  json[prefix + "image_std"] = processor.std;
  json[prefix + "resample"] = pillow_number(processor.filter);
  if (hybrid) {
    json["size"] = square(processor.second->side);
    json["image_mean"] = processor.second->mean;
    json["image_std"] = processor.second->std;
    json["resample"] = pillow_number(processor.second->filter);
  }
  return json;
}

}  // namespace ocelli::model
