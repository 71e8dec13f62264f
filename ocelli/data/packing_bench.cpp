// Packing at 4,096 tokens over lengths as LLaVA-1.5's mixture has them: one line of JSON for each window of samples, with lengths
// a second (the median of several runs over different lengths) and the least fill among them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/json.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/data/packer.h"

namespace ocelli::data {
namespace {

constexpr int64_t kTokens = 4096;
constexpr int64_t kWindows[] = {1024, 8192, 65'536, 1'000'000};

/// 94 % with one picture: 576 visual tokens, the prompt's frame, and a text whose length is log-normal; the others text alone.
std::vector<PackItem> llava_like(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<PackItem> items(static_cast<size_t>(count));
  for (PackItem& item : items) {
    item.pictures = random() % 100 < 94 ? 1 : 0;
    const double text = item.pictures > 0 ? 596 + 90 * std::exp(0.9 * normal(random)) : 400 * std::exp(0.9 * normal(random));
    item.tokens = std::clamp<int64_t>(std::llround(text), 8, 2048);
  }
  return items;
}

int run(int repeats) {
  for (const int64_t window : kWindows) {
    std::vector<double> speeds;
    double least = 1;
    for (int i = 0; i <= repeats; ++i) {
      const std::vector<PackItem> items = llava_like(window, static_cast<uint64_t>(i));
      const Stopwatch watch;
      const auto packs = pack(items, {.tokens = kTokens});
      const double seconds = watch.seconds();
      if (i == 0) continue;  // warms up
      speeds.push_back(static_cast<double>(window) / seconds);
      least = std::min(least, fill(items, packs, kTokens));
    }
    std::sort(speeds.begin(), speeds.end());
    const Json line = {{"name", "pack/" + std::to_string(kTokens) + "/" + std::to_string(window)},
                       {"window", window},
                       {"tokens", kTokens},
                       {"lengths_per_second", speeds[speeds.size() / 2]},
                       {"fill", least}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace ocelli::data

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 5;
  if (repeats < 1) {
    std::fputs("packing_bench [REPEATS >= 1]\n", stderr);
    return 2;
  }
  try {
    return ocelli::data::run(repeats);
  } catch (const ocelli::Error& error) {
    std::fprintf(stderr, "packing_bench: %s\n", error.what());
    return 1;
  }
}
