#include "ocelli/data/dataset_stats.h"

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/base/rng.h"
#include "ocelli/data/in_order.h"
#include "ocelli/data/quality_check.h"
#include "ocelli/data/text_facts.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::data {
namespace {

/// The samples looked at, rising.
std::vector<int64_t> draw(int64_t size, const StatsOptions& options) {
  std::vector<int64_t> out;
  if (options.limit > 0 && options.limit < size) {
    out = Rng::named(options.seed, "data stats").permutation(size);
    out.resize(static_cast<size_t>(options.limit));
    std::sort(out.begin(), out.end());
  } else {
    for (int64_t i = 0; i < size; ++i) out.push_back(i);
  }
  return out;
}

struct Counted {
  std::string fault;  ///< empty: none
  int64_t turns = 0, pictures = 0, words = 0;
  std::shared_ptr<const EncodedSample> encoded;
};

Counted count(const Dataset& data, int64_t index, const SampleEncoder* encoder) {
  Counted out;
  try {
    const Sample sample = data.get(index);
    out.turns = static_cast<int64_t>(sample.turns.size());
    out.pictures = static_cast<int64_t>(sample.pictures.size());
    for (const Turn& turn : sample.turns) out.words += count_words(turn.text);
    if (encoder != nullptr) {
      EncodedSample encoded = encoder->encode(sample);
      // Their tilings are all that is asked for; several samples wait at a time.
      for (model::PixelTiles& picture : encoded.pictures) {
        picture.pixels = {};
        picture.aux = {};
      }
      out.encoded = std::make_shared<const EncodedSample>(std::move(encoded));
    }
  } catch (const Error& error) {
    out.fault = error.what();
  }
  return out;
}

int64_t visual_rows(const EncodedSample& sample) {
  auto rows = std::count_if(sample.prefix.begin(), sample.prefix.end(), model::is_visual);
  for (const EncodedText& text : sample.continuations) rows += std::count_if(text.ids.begin(), text.ids.end(), model::is_visual);
  return rows;
}

}  // namespace

double SourceStats::total(double counted) const {
  if (looked_at == 0) return 0;
  // Divided at the end: exact when all were seen.
  return counted * static_cast<double>(samples) / static_cast<double>(looked_at);
}

double SourceStats::token_error() const {
  const auto n = static_cast<double>(looked_at);
  const double mean = tokens.sum() / n;
  if (all_seen() || looked_at < 2 || mean == 0) return 0;
  // A broken sample counts as one of no tokens.
  const double variance = std::max(0.0, tokens.sum_of_squares() / n - mean * mean) * n / (n - 1);
  const double unseen = 1 - n / static_cast<double>(samples);
  return 1.96 * std::sqrt(variance * unseen / n) / mean;
}

OrderedJson SourceStats::to_json() const {
  OrderedJson out = {{"name", name},
                     {"samples", samples},
                     {"looked_at", looked_at},
                     {"estimated", !all_seen()},
                     {"faults", faults},
                     {"turns", total(static_cast<double>(turns))},
                     {"pictures", total(static_cast<double>(pictures))},
                     {"words", total(static_cast<double>(words))}};
  if (tokens.count() > 0) {
    const auto all = static_cast<double>(text_tokens + visual_tokens);
    out["text_tokens"] = total(static_cast<double>(text_tokens));
    out["visual_tokens"] = total(static_cast<double>(visual_tokens));
    out["trained_tokens"] = total(static_cast<double>(trained_tokens));
    out["trained_share"] = all > 0 ? static_cast<double>(trained_tokens) / all : 0;
    out["token_error"] = token_error();
    out["tokens_per_sample"] = tokens.to_json(length_edges());
  }
  return out;
}

SourceStats count_source(const Dataset& data, const StatsOptions& options) {
  SourceStats out;
  out.name = data.name();
  out.samples = data.size();
  const std::vector<int64_t> drawn = draw(data.size(), options);
  for_each_in_order(
      static_cast<int64_t>(drawn.size()), options.threads,
      [&](int64_t i) { return count(data, drawn[static_cast<size_t>(i)], options.encoder); },
      [&](int64_t, const Counted& sample) {
        ++out.looked_at;
        if (!sample.fault.empty()) {
          if (out.faults++ == 0) out.first_fault = sample.fault;
        } else {
          out.turns += sample.turns;
          out.pictures += sample.pictures;
          out.words += sample.words;
        }
        if (sample.encoded) {
          const int64_t visual = visual_rows(*sample.encoded), tokens = sample.encoded->tokens();
          out.visual_tokens += visual;
          out.text_tokens += tokens - visual;
          out.trained_tokens += sample.encoded->trained_tokens();
          out.tokens.add(tokens);
          if (options.flops) {
            const std::vector<double> flops = options.flops(sample.encoded);
            out.flops.resize(std::max(out.flops.size(), flops.size()));
            for (size_t i = 0; i < flops.size(); ++i) out.flops[i] += flops[i];
          }
        }
        if (options.on_sample) options.on_sample();
      });
  return out;
}

}  // namespace ocelli::data
