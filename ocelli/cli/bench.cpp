#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>

#include "ocelli/base/error.h"
#include "ocelli/base/rng.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/picture_size.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/infer/engine.h"
#include "ocelli/nn/memory.h"
#include "ocelli/report/format.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {
namespace {

struct BenchOptions {
  std::string model, encode, image;
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t repeats = 5;
  bool json = false;
  RunOptions run;
};

/// Median, smallest and largest of several measurements.
struct Spread {
  explicit Spread(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    median = values[values.size() / 2];
    if (values.size() % 2 == 0) median = (median + values[values.size() / 2 - 1]) / 2;
    least = values.front();
    most = values.back();
  }
  OrderedJson json() const { return {{"median", median}, {"min", least}, {"max", most}}; }
  double median = 0, least = 0, most = 0;
};

/// A picture of noise: no decoder or resizer finds it easier than a photograph.
image::Image noise(int64_t width, int64_t height) {
  image::Image picture(width, height);
  std::vector<float> values(picture.pixels.size());
  Rng(1).fill_uniform(values.data(), static_cast<int64_t>(values.size()), 0, 255);
  std::transform(values.begin(), values.end(), picture.pixels.begin(), [](float value) { return static_cast<uint8_t>(value); });
  return picture;
}

int bench(const BenchOptions& options) {
  if (options.encode.empty() && options.image.empty() && options.prompt_tokens == 0 && options.generated_tokens == 0) {
    throw UsageError("bench: say what to measure: --encode WxH, --image FILE, --pp N or --tg N");
  }
  const Stopwatch loading;
  const LoadedModel loaded = open_model(options.model, options.run);
  const double load_ms = loading.milliseconds();
  const at::InferenceMode inference;
  nn::reset_peak_memory();
  report::Table table({"what", "median", "min", "max", "unit"});
  OrderedJson out = {{"load_ms", load_ms}, {"threads", at::get_num_threads()}, {"repeats", options.repeats}};
  const auto add = [&](const char* key, const std::string& what, const Spread& spread, const char* unit) {
    out[key] = spread.json();
    const auto shown = [](double value) { return fmt::format("{:.4g}", value); };
    table.add_row({what, shown(spread.median), shown(spread.least), shown(spread.most), unit});
  };
  // One run to warm up, then the measured ones.
  const auto measured = [&](const auto& work) {
    work();
    std::vector<double> values;
    for (int64_t i = 0; i < options.repeats; ++i) {
      const Stopwatch watch;
      work();
      values.push_back(watch.milliseconds());
    }
    return values;
  };

  if (!options.encode.empty() || !options.image.empty()) {
    if (!loaded.model->has_pictures()) throw UsageError("bench: this model sees no pictures");
    image::Image picture;
    if (options.image.empty()) {
      const auto [width, height] = size_of_picture("--encode", options.encode);
      picture = noise(width, height);
    } else {
      const image::DecodeOptions& decode = loaded.processor->images().decode;
      add("decode_ms", "picture file to pixels", Spread(measured([&] { picture = image::load(options.image, decode); })), "ms");
    }
    model::PixelTiles tiles;
    add("preprocess_ms", "resize, cut and normalize",
        Spread(measured([&] { tiles = loaded.processor->images().process(picture); })), "ms");
    const model::PixelTiles* one = &tiles;
    const model::Pixels pixels = model::stack_pixels({&one, 1}).to(options.run.dtype());
    nn::RunContext context;
    int64_t tokens = 0;
    add("encode_ms", "views to visual tokens", Spread(measured([&] {
          tokens = loaded.model->see(pixels, {&tiles.tiling, 1}, context).tokens.size(0);
        })),
        "ms");
    out["views"] = pixels.count();
    out["visual_tokens"] = tokens;
  }
  if (options.prompt_tokens > 0 || options.generated_tokens > 0) {
    const int64_t prompt = std::max<int64_t>(options.prompt_tokens, 1), answer = std::max<int64_t>(options.generated_tokens, 1);
    const int64_t vocabulary = loaded.model->config().decoder.vocab_size;
    std::vector<double> prefill, decode;
    for (int64_t i = 0; i <= options.repeats; ++i) {
      infer::Engine engine(loaded.model, loaded.processor, {.context = prompt + answer + 1});
      std::vector<int64_t> ids;
      for (int64_t k = 0; k < prompt; ++k) ids.push_back((k * 7919 + i) % vocabulary);
      const infer::Generation done = engine.generate(ids, {}, {.temperature = 0, .max_tokens = answer});
      if (i == 0) continue;  // warms up
      prefill.push_back(static_cast<double>(prompt) / done.timings.prefill * 1000);
      // An end token may come early; the rate counts the steps that ran.
      if (done.ids.size() > 1) decode.push_back(static_cast<double>(done.ids.size() - 1) / done.timings.decode * 1000);
    }
    if (options.prompt_tokens > 0)
      add("prefill_tokens_per_second", fmt::format("prefill of {} tokens", prompt), Spread(prefill), "tokens/s");
    if (options.generated_tokens > 0 && !decode.empty()) {
      add("decode_tokens_per_second", fmt::format("decode of {} tokens", answer), Spread(decode), "tokens/s");
    }
  }
  out["peak_bytes"] = nn::memory_use().peak;
  out["peak_resident_bytes"] = nn::peak_resident_bytes();
  if (options.json) {
    print_json(out);
    return 0;
  }
  std::printf("%sloaded in %.0f ms, %d threads, %ld repeats, peak of tensors %s, of the process %s\n", table.text().c_str(),
              load_ms, at::get_num_threads(), static_cast<long>(options.repeats),
              report::bytes(static_cast<double>(nn::memory_use().peak)).c_str(),
              report::bytes(static_cast<double>(nn::peak_resident_bytes())).c_str());
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* verb = app.add_subcommand("bench", "measure a model: encoding a picture, prefill and decoding");
  verb->add_option("model", options->model, "model folder or org/name")->required();
  auto* encode = verb->add_option("--encode", options->encode, "a picture of noise, WIDTHxHEIGHT");
  verb->add_option("--image", options->image, "a picture file; its decoding is timed too")->type_name("FILE")->excludes(encode);
  verb->add_option("--pp", options->prompt_tokens, "tokens of a prompt to prefill")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  verb->add_option("--tg", options->generated_tokens, "tokens to generate")->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  verb->add_option("-r", options->repeats, "measured runs, after one that warms up")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "one line of JSON");
  options->run.add_to(*verb);
  verb->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace ocelli::cli
