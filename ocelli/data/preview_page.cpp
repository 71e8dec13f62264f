#include "ocelli/data/preview_page.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/data/preview_pictures.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/report/format.h"

namespace ocelli::data {
namespace {

/// Pixels of the longest side of a picture on the page.
constexpr int64_t kLongestShown = 1024;

std::string png_of(const image::Image& picture) {
  const auto bytes = image::encode_png(picture);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Ids whose decoding can't fail.
std::string decoded(const text::Tokenizer& tokenizer, std::span<const int64_t> ids) {
  std::vector<int64_t> known;
  std::string out;
  for (const int64_t id : ids) {
    if (id >= 0 && id < tokenizer.vocab_size()) {
      known.push_back(id);
      continue;
    }
    out += tokenizer.decode(known, false) + fmt::format("<id {}>", id);
    known.clear();
  }
  return out + tokenizer.decode(known, false);
}

/// Text of ids[begin, end) as it reads behind ids[from, begin): some tokenizers drop the space in front of the first word.
std::string decoded_behind(const text::Tokenizer& tokenizer, std::span<const int64_t> ids, size_t from, size_t begin,
                           size_t end) {
  const std::string before = decoded(tokenizer, ids.subspan(from, begin - from));
  const std::string all = decoded(tokenizer, ids.subspan(from, end - from));
  return all.starts_with(before) ? all.substr(before.size()) : decoded(tokenizer, ids.subspan(begin, end - begin));
}

/// "29871 ▁" a line, trained ids with a "*", a run of visual rows as one line.
std::string listed_ids(const text::Tokenizer& tokenizer, const std::vector<int64_t>& ids, const std::vector<bool>& trained) {
  std::string out;
  for (size_t i = 0; i < ids.size();) {
    if (model::is_visual(ids[i])) {
      size_t end = i;
      while (end < ids.size() && ids[end] == ids[i]) ++end;
      out += fmt::format("  {} visual x {}\n", model::plain_id(ids[i]), end - i);
      i = end;
      continue;
    }
    const bool known = ids[i] >= 0 && ids[i] < tokenizer.vocab_size();
    out += fmt::format("{} {} {}\n", trained[i] ? '*' : ' ', ids[i], known ? tokenizer.token_of(ids[i]) : "");
    ++i;
  }
  return out;
}

}  // namespace

std::vector<report::TextRun> text_runs(const text::Tokenizer& tokenizer, const std::vector<int64_t>& ids,
                                       const std::vector<bool>& trained) {
  std::vector<report::TextRun> runs;
  size_t from = 0;  // of the text since the last visual row
  for (size_t i = 0; i < ids.size();) {
    size_t end = i;
    if (model::is_visual(ids[i])) {
      while (end < ids.size() && model::is_visual(ids[end])) ++end;
      runs.push_back({.text = fmt::format("[{} visual tokens]", end - i), .faint = true});
      from = end;
    } else {
      while (end < ids.size() && !model::is_visual(ids[end]) && trained[end] == trained[i]) ++end;
      runs.push_back({.text = decoded_behind(tokenizer, ids, from, i, end), .marked = trained[i]});
    }
    i = end;
  }
  return runs;
}

PreviewPage::PreviewPage(std::string title, std::shared_ptr<const model::Processor> processor,
                         std::function<int64_t(const image::Tiling&)> num_tokens, int64_t max_length)
    : page_(std::move(title), "What the model gets: the text it is trained to write is marked."),
      processor_(std::move(processor)),
      num_tokens_(std::move(num_tokens)),
      encoder_(processor_, num_tokens_, max_length) {}

void PreviewPage::add_pictures(const Sample& sample, const EncodedSample& encoded) {
  std::vector<report::Picture> shown;
  for (size_t i = 0; i < sample.pictures.size(); ++i) {
    const model::ImageProcessor& images = processor_->images().of_prompt(sample.pictures.size());
    const auto number = static_cast<int64_t>(i);
    const image::Image stored = sample.pictures[i].load(images.decode);
    image::Image small = reduced(stored, kLongestShown);
    draw_boxes(small, sample.regions, number, static_cast<double>(small.width) / static_cast<double>(stored.width));
    report::Picture as_stored{.encoded = png_of(small)};
    as_stored.lines.push_back({sample.pictures[i].name(), fmt::format("{} x {} pixels", stored.width, stored.height)});
    for (size_t r = 0; r < sample.regions.size(); ++r) {
      const Region& region = sample.regions[r];
      if (region.picture != number) continue;
      as_stored.lines.push_back({std::string(box_colours()[r % box_colours().size()].name),
                                 fmt::format("{} [{:.0f}, {:.0f}, {:.0f}, {:.0f}]", region.text, region.box[0], region.box[1],
                                             region.box[2], region.box[3])});
    }
    shown.push_back(std::move(as_stored));

    const model::PixelTiles& pixels = encoded.pictures[i];
    const image::Tiling& tiling = pixels.tiling;
    const SeenViews views = seen_views(pixels, images);
    report::Picture tiles{.encoded = png_of(reduced(views.tiles, kLongestShown))};
    const std::string size = fmt::format("{} x {} pixels", tiling.tile_width, tiling.tile_height);
    tiles.lines.push_back(
        {"as the tower sees it",
         tiling.tiles.count() == 1 ? size : fmt::format("{} x {} tiles of {}", tiling.tiles.columns, tiling.tiles.rows, size)});
    tiles.lines.push_back({"visual tokens", report::grouped(num_tokens_(tiling))});
    if (pixels.aux_height > 0) {
      tiles.lines.push_back({"second tower", fmt::format("{} x {} pixels", pixels.aux_width, pixels.aux_height)});
    }
    shown.push_back(std::move(tiles));
    if (views.overview.width > 0) {
      shown.push_back(
          {.encoded = png_of(reduced(views.overview, kLongestShown)),
           .lines = {{"overview", fmt::format("{} x {} pixels, {} the tiles", views.overview.width, views.overview.height,
                                              tiling.overview == image::Tiling::Overview::kFirst ? "before" : "behind")}}});
    }
  }
  if (!shown.empty()) page_.pictures(shown, report::PictureSize::kLarge);
}

void PreviewPage::add_text(const std::vector<int64_t>& ids, const std::vector<bool>& trained, const std::string& caption) {
  const text::Tokenizer& tokenizer = processor_->tokenizer();
  const auto visual = std::count_if(ids.begin(), ids.end(), model::is_visual);
  const auto learned = std::count(trained.begin(), trained.end(), true);
  page_.runs(text_runs(tokenizer, ids, trained),
             fmt::format("{}{} tokens: {} visual, {} of text, {} of them trained on", caption,
                         report::grouped(static_cast<int64_t>(ids.size())), report::grouped(visual),
                         report::grouped(static_cast<int64_t>(ids.size()) - visual), report::grouped(learned)));
  page_.folded("ids (* trained on)", listed_ids(tokenizer, ids, trained));
}

void PreviewPage::add(const Dataset& data, int64_t index) {
  try {
    const Sample sample = data.get(index);
    const EncodedSample encoded = encoder_.encode(sample);
    page_.heading(fmt::format("{}, sample {}: {}", data.name(), index, sample.id));
    add_pictures(sample, encoded);
    std::vector<bool> trained(encoded.prefix.size(), false);
    for (size_t i = 0; i < encoded.continuations.size(); ++i) {
      const EncodedText& text = encoded.continuations[i];
      if (encoded.prefix.empty()) {
        add_text(text.ids, text.trained, "");
        continue;
      }
      // Independent questions share the prefix; each sees it and itself alone.
      std::vector<int64_t> ids = encoded.prefix;
      ids.insert(ids.end(), text.ids.begin(), text.ids.end());
      trained.resize(encoded.prefix.size());
      trained.insert(trained.end(), text.trained.begin(), text.trained.end());
      add_text(ids, trained,
               fmt::format("question {} of {}, {} tokens shared with the others; ", i + 1, encoded.continuations.size(),
                           encoded.prefix.size()));
    }
  } catch (const Error& error) {
    ++faults_;
    page_.heading(fmt::format("{}, sample {}", data.name(), index));
    page_.note(error.what());
  }
}

}  // namespace ocelli::data
