#include "ocelli/data/sample_filter.h"

#include <algorithm>
#include <numeric>

#include "ocelli/base/error.h"
#include "ocelli/data/in_order.h"

namespace ocelli::data {
namespace {

struct Looked {
  std::optional<Sample> sample;
  CheckedSample facts;
  std::string fault;  ///< why there is no sample
};

struct Reason {
  std::string name, text;
};

/// Remembers what was kept.
class Judge {
 public:
  explicit Judge(const FilterOptions& options) : options_(options), pictures_(options.near_duplicates) {}

  std::optional<Reason> reason_against(const Looked& looked) const {
    if (!looked.sample) return Reason{"record", looked.fault};
    for (const auto& picture : looked.facts.pictures) {
      if (picture->state != PictureFacts::State::kGood) return Reason{"picture", picture->fault};
      const std::string size = fmt::format("{}: {} x {} pixels", picture->name, picture->width, picture->height);
      if (std::min(picture->width, picture->height) < options_.min_side) return Reason{"side", size};
      if (options_.max_aspect > 0 && picture->aspect() > options_.max_aspect) return Reason{"aspect", size};
    }
    const int64_t words = looked.facts.words;
    if (words < options_.min_words || (options_.max_words > 0 && words > options_.max_words)) {
      return Reason{"words", fmt::format("{} words", words)};
    }
    if (options_.exact_duplicates && samples_.contains(key_of(looked.facts))) {
      return Reason{"duplicate", "its questions, answers and pictures are those of a sample before it"};
    }
    if (options_.near_duplicates >= 0) {
      for (const auto& picture : looked.facts.pictures) {
        const auto match = pictures_.find(*picture);
        if (!match || (match->exact && match->name == picture->name)) continue;
        return Reason{"near_duplicate", match->exact ? fmt::format("{} has the bytes of {}", picture->name, match->name)
                                                     : fmt::format("{} looks like {} ({} of 64 bits differ)", picture->name,
                                                                   match->name, match->distance)};
      }
    }
    return std::nullopt;
  }

  void keep(const CheckedSample& facts) {
    if (options_.exact_duplicates) samples_.insert(key_of(facts));
    if (options_.near_duplicates < 0) return;
    for (const auto& picture : facts.pictures) pictures_.add(*picture);
  }

 private:
  /// Turns' hashes joined: conversations are the same when all their questions and answers are.
  static std::string key_of(const CheckedSample& facts) {
    std::string key;
    for (const CheckedSample::Question& question : facts.questions) key += fmt::format("{:x} ", question.sample);
    return key;
  }

  const FilterOptions& options_;
  PictureIndex pictures_;
  std::unordered_set<std::string> samples_;
};

}  // namespace

OrderedJson Dropped::to_json() const {
  return {{"index", index}, {"id", id}, {"reason", reason}, {"text", text}};
}

int64_t FilterResult::dropped_in_all() const {
  return std::accumulate(dropped.begin(), dropped.end(), int64_t{0},
                         [](int64_t sum, const auto& one) { return sum + one.second; });
}

FilterResult filter_dataset(const Dataset& data, const FilterOptions& options, const std::function<void(const Sample&)>& keep,
                            const std::function<void(const Dropped&)>& drop, const std::function<void()>& on_sample) {
  const SampleChecker checker({});
  const auto look = [&](int64_t index) {
    Looked out;
    try {
      out.sample = data.get(index);
      out.facts = checker.look(*out.sample);
    } catch (const Error& error) {
      out.sample.reset();
      out.fault = error.what();
    }
    return out;
  };
  FilterResult result;
  Judge judge(options);
  const auto use = [&](int64_t index, const Looked& looked) {
    std::optional<Reason> reason = judge.reason_against(looked);
    if (!reason) {
      try {
        keep(*looked.sample);
        judge.keep(looked.facts);
        ++result.kept;
      } catch (const Error& error) {
        reason = Reason{"format", error.what()};
      }
    }
    if (reason) {
      ++result.dropped[reason->name];
      drop({.index = index, .id = looked.facts.id, .reason = reason->name, .text = reason->text});
    }
    if (on_sample) on_sample();
  };
  for_each_in_order(data.size(), options.threads, look, use);
  return result;
}

}  // namespace ocelli::data
