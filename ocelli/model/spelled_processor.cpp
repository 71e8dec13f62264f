#include "ocelli/model/spelled_processor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "ocelli/base/error.h"
#include "ocelli/base/named_values.h"
#include "ocelli/model/preprocessor_keys.h"

namespace ocelli::model {
namespace {

using Cut = ImageProcessor::Cut;
using Shape = ImageProcessor::Shape;
using Kind = SecondView::Kind;

constexpr std::pair<std::string_view, image::LongestSide> kRoundings[] = {
    {"truncate", image::LongestSide::kTruncate}, {"round", image::LongestSide::kRound}, {"half_up", image::LongestSide::kHalfUp}};
constexpr std::pair<std::string_view, Kind> kKinds[] = {
    {"shrunk", Kind::kShrunk}, {"shrunk_bytes", Kind::kShrunkBytes}, {"tiles", Kind::kTiles}};

void read_cut(const JsonView& cut, ImageProcessor& out) {
  const std::string type = cut.string("type");
  if (type == "anyres") {
    require(cut.has("image_grid_pinpoints") && cut.value()["image_grid_pinpoints"].is_array(),
            "{}.image_grid_pinpoints is missing: the canvases a picture may be cut into", cut.path());
    out.cut = Cut::kAnyRes;
    out.anyres.tile_side = out.height;
    out.anyres.canvases = canvases_from(cut.value()["image_grid_pinpoints"], cut.path(), image::PairOrder::kHeightWidth);
  } else if (type == "internvl") {
    out.cut = Cut::kInternVl;
    out.internvl.tile = {out.height, out.width};
    out.internvl.min_tiles = cut.integer_in("min_tiles", 1, 1024, 1);
    out.internvl.max_tiles = cut.integer_in("max_tiles", out.internvl.min_tiles, 1024, 12);
    out.internvl.thumbnail = cut.boolean("thumbnail", true);
  } else if (type == "uhd") {
    out.cut = Cut::kUhd;
    out.uhd.max_slice_nums = cut.integer_in("max_slice_nums", 1, 1024, out.uhd.max_slice_nums);
    out.uhd.scale_resolution = cut.integer_in("scale_resolution", 1, kLargestSide, out.uhd.scale_resolution);
    out.uhd.patch_size = cut.integer_in("patch_size", 1, out.uhd.scale_resolution, out.uhd.patch_size);
  } else {
    fail("{}.type is \"{}\"; known are anyres, internvl, uhd", cut.path(), type);
  }
}

Json cut_json(const ImageProcessor& images) {
  switch (images.cut) {
    case Cut::kAnyRes: {
      Json pairs = Json::array();
      for (const image::Size& canvas : images.anyres.canvases) pairs.push_back({canvas.height, canvas.width});
      return {{"type", "anyres"}, {"image_grid_pinpoints", pairs}};
    }
    case Cut::kInternVl:
      return {{"type", "internvl"},
              {"min_tiles", images.internvl.min_tiles},
              {"max_tiles", images.internvl.max_tiles},
              {"thumbnail", images.internvl.thumbnail}};
    case Cut::kUhd:
      return {{"type", "uhd"},
              {"max_slice_nums", images.uhd.max_slice_nums},
              {"scale_resolution", images.uhd.scale_resolution},
              {"patch_size", images.uhd.patch_size}};
    default:
      return {};
  }
}

SecondView read_second(const JsonView& config) {
  SecondView out;
  out.kind = named_value(config, "kind", kKinds);
  out.side = config.integer_in("side", 1, kLargestSide);
  out.grid = config.integer_in("grid", 1, 16, 1);
  out.whole = config.boolean("whole", false);
  out.filter = filter_of(config, "resample", out.filter);
  out.mean = three_of(config, "image_mean", out.mean);
  out.std = deviations_of(config, "image_std", out.std);
  return out;
}

Json second_json(const SecondView& second) {
  return {
      {"kind", name_of(second.kind, kKinds)},     {"side", second.side},       {"grid", second.grid},    {"whole", second.whole},
      {"resample", pillow_number(second.filter)}, {"image_mean", second.mean}, {"image_std", second.std}};
}

}  // namespace

void read_spelled_out(const JsonView& config, ImageProcessor& out) {
  if (!config.boolean("apply_orientation", true)) out.decode = image::DecodeOptions::pillow();
  if (config.has("pad_colour")) {
    const std::vector<int64_t> colour = config.integers("pad_colour");
    require(colour.size() == 3, "{}.pad_colour has {} numbers, expected 3", config.path(), colour.size());
    out.pad_colour.emplace();
    for (size_t c = 0; c < 3; ++c) {
      require(colour[c] >= 0 && colour[c] <= 255, "{}.pad_colour holds {}, expected 0 to 255", config.path(), colour[c]);
      (*out.pad_colour)[c] = static_cast<uint8_t>(colour[c]);
    }
  }
  if (out.shape == Shape::kLongestPad) {
    out.min_side = config.integer_in("min_side", 0, kLargestSide, std::min(out.min_side, out.size));
    if (config.has("longest_side")) out.longest_side = named_value(config, "longest_side", kRoundings);
  }
  if (config.has("cut")) read_cut(config.object("cut"), out);
  if (config.has("second_view")) out.second = read_second(config.object("second_view"));
  if (!config.has("aux")) return;
  require(!out.second, "{}: aux and second_view are both given; a second tower has one of them", config.path());
  const JsonView aux = config.object("aux");
  require(!aux.has("aux"), "{}.aux: there is no third tower", aux.path());
  out.aux = std::make_shared<const ImageProcessor>(ImageProcessor::from_json(aux));
}

bool needs_spelling_out(const ImageProcessor& images) {
  const bool second = images.second && (images.second->kind != Kind::kShrunkBytes || images.shape != Shape::kLongestPad);
  const bool colour = images.pad_colour && images.shape == Shape::kPad;
  const bool longest = images.shape == Shape::kLongestPad && images.longest_side != image::LongestSide::kRound;
  const bool own = images.decode.apply_orientation && (images.cut != Cut::kNone || images.shape == Shape::kLongestPad);
  return second || colour || longest || own || images.aux || images.cut == Cut::kUhd;
}

void write_spelled_out(const ImageProcessor& images, Json& json) {
  if (!images.decode.apply_orientation) json["apply_orientation"] = false;
  if (images.pad_colour) json["pad_colour"] = *images.pad_colour;
  if (images.shape == Shape::kLongestPad) {
    json["min_side"] = images.min_side;
    json["longest_side"] = name_of(images.longest_side, kRoundings);
  }
  if (const Json cut = cut_json(images); !cut.is_null()) json["cut"] = cut;
  if (images.second) json["second_view"] = second_json(*images.second);
  if (images.aux) json["aux"] = images.aux->to_json();
}

}  // namespace ocelli::model
