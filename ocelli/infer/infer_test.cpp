// Choosing tokens, and the engine against plain passes without a cache.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "ocelli/base/test_support.h"
#include "ocelli/infer/engine.h"
#include "ocelli/infer/sampler.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::infer {
namespace {

using test::error_of;
using Ids = std::vector<int64_t>;

// ---- Sampler

std::set<int64_t> chosen_of(const SamplingOptions& options, const std::vector<float>& logits, int times = 400) {
  Sampler sampler(options);
  std::set<int64_t> seen;
  for (int i = 0; i < times; ++i) seen.insert(sampler.choose(logits));
  return seen;
}

TEST(Sampler, TemperatureZeroTakesTheLikeliestAndTheLowerIdOfTwo) {
  EXPECT_EQ(chosen_of({.temperature = 0}, {0.5F, 3, 3, -1}), (std::set<int64_t>{1}));
  EXPECT_EQ(chosen_of({.temperature = 0, .seed = 9}, {-5, -7}), (std::set<int64_t>{0}));
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  const std::vector<float> logits = {1, 1.2F, 0.9F, 1.1F, 1.1F};
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 2, .top_p = 1}, logits), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 1, .top_p = 1}, logits), (std::set<int64_t>{1}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 0, .top_p = 1}, logits), (std::set<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 99, .top_p = 1}, logits).size(), 5U);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatHoldsTheProbability) {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits = {std::log(0.15F), std::log(0.5F), std::log(0.05F), std::log(0.3F)};
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 0, .top_p = 0.45}, logits), (std::set<int64_t>{1}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 0, .top_p = 0.7}, logits), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 0, .top_p = 0.9}, logits), (std::set<int64_t>{0, 1, 3}));
  EXPECT_EQ(chosen_of({.temperature = 1, .top_k = 0, .top_p = 1}, logits), (std::set<int64_t>{0, 1, 2, 3}));
}

/// As in llama.cpp, whose temperature comes last: however hot, what top-p cut off stays off.
TEST(Sampler, TopPLooksAtProbabilitiesBeforeTheTemperature) {
  const std::vector<float> logits = {std::log(0.15F), std::log(0.5F), std::log(0.05F), std::log(0.3F)};
  for (const double temperature : {0.1, 1.0, 50.0}) {
    const auto seen = chosen_of({.temperature = temperature, .top_k = 0, .top_p = 0.7}, logits);
    EXPECT_FALSE(seen.contains(0) || seen.contains(2)) << temperature;
  }
  EXPECT_EQ(chosen_of({.temperature = 50, .top_k = 0, .top_p = 0.7}, logits), (std::set<int64_t>{1, 3}));
}

TEST(Sampler, DrawsByTheProbabilitiesAtItsTemperature) {
  const std::vector<float> logits = {std::log(0.2F), std::log(0.8F)};
  for (const auto& [temperature, expected] : {std::pair{1.0, 0.8}, {0.5, 0.64 / 0.68}, {2.0, 2.0 / 3.0}}) {
    Sampler sampler({.temperature = temperature, .top_k = 0, .top_p = 1});
    int ones = 0;
    for (int i = 0; i < 20000; ++i) ones += static_cast<int>(sampler.choose(logits));
    EXPECT_NEAR(ones / 20000.0, expected, 0.015);
  }
}

TEST(Sampler, TheNthChoiceDependsOnSeedAndLogitsAlone) {
  const std::vector<float> logits(50, 1);
  const auto drawn = [&](uint64_t seed) {
    Sampler sampler({.seed = seed});
    Ids out;
    for (int i = 0; i < 30; ++i) out.push_back(sampler.choose(logits));
    return out;
  };
  EXPECT_EQ(drawn(3), drawn(3));
  EXPECT_NE(drawn(3), drawn(4));
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const double temperature : {0.0, 1.0}) {
    const auto choose = [&](std::vector<float> logits) { return Sampler({.temperature = temperature}).choose(logits); };
    for (const std::vector<float>& logits :
         std::vector<std::vector<float>>{{1, nan}, {nan, 1}, {-infinity, -infinity}, {infinity, 1}, {}}) {
      EXPECT_EQ(error_of([&] { choose(logits); }), "sampler: the logits are not finite");
    }
    EXPECT_EQ(choose({-infinity, 2, -infinity}), 1);  // a masked token is no fault
  }
}

TEST(SamplingOptions, NamesTheOptionItsValueAndRange) {
  const auto fault = [](const SamplingOptions& options) {
    try {
      options.validate();
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(fault({}), "");
  EXPECT_EQ(fault({.temperature = -0.5}), "--temp -0.5: expected 0 to 100");
  EXPECT_EQ(fault({.temperature = std::nan("")}), "--temp nan: expected 0 to 100");
  EXPECT_EQ(fault({.top_k = -1}), "--top-k -1: expected 0 (all) or more");
  EXPECT_EQ(fault({.top_p = 0}), "--top-p 0: expected a number above 0, at most 1");
  EXPECT_EQ(fault({.top_p = 1.5}), "--top-p 1.5: expected a number above 0, at most 1");
  EXPECT_EQ(fault({.max_tokens = 0}), "-n 0: expected at least 1");
  EXPECT_THROW(Sampler({.top_k = -1}), UsageError);
}

// ---- Engine

constexpr SamplingOptions kGreedy{.temperature = 0, .max_tokens = 12};

/// In fp64, so that a cached pass and a full one choose alike.
std::shared_ptr<model::Model> made(uint64_t seed, std::vector<int64_t> ends = {2}) {
  Json json = test::tiny_config("ocelli");
  json["eos_token_id"] = ends;
  auto model = std::make_shared<model::Model>(test::config_from(json));
  test::randomize(*model, seed, at::kDouble, 0.5);
  return model;
}

Engine engine_of(const std::shared_ptr<model::Model>& model, int64_t context = 256) {
  return {model, test::tiny_processor(), {.context = context, .block_size = 4}};
}

/// Every step the whole sequence anew.
Ids plain_answer(model::Model& model, Ids ids, const std::vector<model::PixelTiles>& pictures, int64_t max_tokens) {
  const at::NoGradGuard no_grad;
  Ids out;
  while (static_cast<int64_t>(out.size()) < max_tokens) {
    model::ModelInputs inputs = test::tiny_processor()->make_inputs(ids, pictures);
    inputs.pixels = inputs.pixels.to(at::kDouble);
    nn::RunContext context;
    const int64_t token = model.head(model.forward(inputs, context)[-1]).argmax().item<int64_t>();
    const Ids& ends = model.config().eos_token_ids;
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) break;
    out.push_back(token);
    ids.push_back(token);
  }
  return out;
}

Ids joined(std::initializer_list<Ids> parts) {
  Ids out;
  for (const Ids& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

const Ids kPicture(4, model::visual_id(5));  ///< one picture's rows

TEST(Engine, GreedyAnswersEqualAPlainLoopWithoutCache) {
  int stopped = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const auto model = made(seed, {2, 7, 11, 30, 31, 32});
    Engine engine = engine_of(model);
    const auto picture = test::random_picture(seed);
    Ids heard;
    const Ids prompt = joined({{1, 9}, kPicture, {20, 21}});
    const Generation answer = engine.generate(prompt, {picture}, kGreedy, [&](int64_t id) { heard.push_back(id); });
    EXPECT_EQ(answer.ids, plain_answer(*model, prompt, {picture}, 12)) << seed;
    EXPECT_EQ(heard, answer.ids);
    EXPECT_EQ(answer.stopped, answer.ids.size() < 12);
    EXPECT_EQ(answer.prompt_tokens, 8);
    EXPECT_EQ(answer.image_tokens, 4);
    EXPECT_EQ(answer.cached_tokens, 0);
    stopped += answer.stopped ? 1 : 0;
    const Ids text = {1, 40, 41, 42};
    EXPECT_EQ(engine_of(model).generate(text, {}, kGreedy).ids, plain_answer(*model, text, {}, 12)) << seed;
  }
  EXPECT_GT(stopped, 0);
  EXPECT_LT(stopped, 6);
}

TEST(Engine, ASecondTurnPaysOnlyForWhatIsNew) {
  const auto model = made(3, {2});
  const auto picture = test::random_picture(1), second = test::random_picture(2);
  Engine engine = engine_of(model);
  Ids prompt = joined({{1}, kPicture, {20, 21}});
  const Generation first = engine.generate(prompt, {picture}, kGreedy);
  ASSERT_EQ(first.ids.size(), 12U);
  const size_t before = prompt.size();
  prompt = joined({prompt, first.ids, {22, 23}});
  const Generation follow = engine.generate(prompt, {picture}, kGreedy);
  EXPECT_EQ(follow.cached_tokens, static_cast<int64_t>(before + first.ids.size()) - 1);  // the last token was never fed
  EXPECT_EQ(follow.ids, engine_of(model).generate(prompt, {picture}, kGreedy).ids);
  // A further picture in the next turn; the first stays.
  prompt = joined({prompt, follow.ids, {24}, kPicture, {25}});
  const Generation third = engine.generate(prompt, {picture, second}, kGreedy);
  EXPECT_GT(third.cached_tokens, static_cast<int64_t>(before + first.ids.size()));
  EXPECT_EQ(third.ids, engine_of(model).generate(prompt, {picture, second}, kGreedy).ids);
  // The same again: all but one row are there.
  const Generation again = engine.generate(prompt, {picture, second}, kGreedy);
  EXPECT_EQ(again.cached_tokens, static_cast<int64_t>(prompt.size()) - 1);
  EXPECT_EQ(again.ids, third.ids);
}

TEST(Engine, AnotherPictureInTheSamePlaceIsSeen) {
  const auto model = made(4, {2});
  const auto a = test::random_picture(1), b = test::random_picture(2), c = test::random_picture(3);
  Engine engine = engine_of(model);
  const Ids prompt = joined({{1, 8}, kPicture, {20}, kPicture, {21}});
  const Ids with_ab = engine.generate(prompt, {a, b}, kGreedy).ids;
  const Generation changed = engine.generate(prompt, {a, c}, kGreedy);
  EXPECT_EQ(changed.cached_tokens, 7);  // up to the second picture
  EXPECT_EQ(changed.ids, engine_of(model).generate(prompt, {a, c}, kGreedy).ids);
  EXPECT_NE(changed.ids, with_ab);
  const Generation both = engine.generate(prompt, {b, c}, kGreedy);
  EXPECT_EQ(both.cached_tokens, 2);
  EXPECT_EQ(both.ids, engine_of(model).generate(prompt, {b, c}, kGreedy).ids);
  // Back to text alone, with the same beginning.
  const Ids text = {1, 8, 30};
  EXPECT_EQ(engine.generate(text, {}, kGreedy).ids, engine_of(model).generate(text, {}, kGreedy).ids);
}

TEST(Engine, SampledAnswersRepeatWithTheirSeed) {
  const auto model = made(5, {2});
  const SamplingOptions sampling{.temperature = 2, .top_k = 0, .top_p = 1, .seed = 3, .max_tokens = 20};
  const auto answer = [&](uint64_t seed) {
    SamplingOptions options = sampling;
    options.seed = seed;
    return engine_of(model).generate({1, 9, 10}, {}, options).ids;
  };
  EXPECT_EQ(answer(3), answer(3));
  EXPECT_NE(answer(3), answer(4));
}

TEST(Engine, GroupsOfQuestionsAreAnsweredAsEachAlone) {
  const auto model = made(6, {2, 7, 11, 30, 31, 32});
  const auto picture = [](uint64_t seed) { return test::random_picture(seed); };
  std::vector<QuestionGroup> groups(4);
  groups[0] = {joined({{1}, kPicture}), {picture(1)}, {{20, 21}, {22}, {23, 24, 25, 26, 27}}};
  groups[1] = {{}, {}, {{1, 40}, {1, 41, 42}}};
  groups[2] = {joined({{1}, kPicture, {9}, kPicture}), {picture(2), picture(3)}, {{20, 21}}};
  groups[3] = {joined({{1}, kPicture}), {picture(4)}, {}};
  Engine engine = engine_of(model);
  for (const int64_t most : {1, 9}) {
    const auto answers = engine.answer(groups, most);
    ASSERT_EQ(answers.size(), groups.size());
    for (size_t g = 0; g < groups.size(); ++g) {
      ASSERT_EQ(answers[g].size(), groups[g].questions.size());
      for (size_t q = 0; q < answers[g].size(); ++q) {
        SamplingOptions sampling = kGreedy;
        sampling.max_tokens = most;
        const Generation alone =
            engine_of(model).generate(joined({groups[g].prefix, groups[g].questions[q]}), groups[g].pictures, sampling);
        EXPECT_EQ(answers[g][q].ids, alone.ids) << g << ", " << q;
        EXPECT_EQ(answers[g][q].stopped, alone.stopped);
        EXPECT_EQ(answers[g][q].prompt_tokens, alone.prompt_tokens);
      }
    }
  }
  EXPECT_TRUE(engine.answer({}, 5).empty());
  groups[0].questions[1].clear();
  EXPECT_EQ(error_of([&] { engine.answer(groups, 5); }), "a question is empty");
}

TEST(Engine, APromptBeyondTheContextIsAnError) {
  const auto model = made(3, {});
  Engine engine = engine_of(model, 10);
  EXPECT_EQ(error_of([&] { engine.generate(Ids(10, 9), {}, kGreedy); }),
            "the prompt has 10 tokens, the context holds 10; raise it with -c");
  EXPECT_EQ(error_of([&] { engine.generate({}, {}, kGreedy); }), "the prompt is empty");
  // An answer ends where the context does, and the engine goes on working.
  const Generation answer = engine.generate(Ids(6, 9), {}, kGreedy);
  EXPECT_FALSE(answer.stopped);
  EXPECT_GE(answer.ids.size(), 4U);
  EXPECT_LE(answer.ids.size(), 5U);
  EXPECT_EQ(engine.generate({1, 9}, {}, kGreedy).ids, engine_of(model, 10).generate({1, 9}, {}, kGreedy).ids);
  EXPECT_EQ(error_of([&] { engine_of(model, 0); }), "context 0: expected 1 to 16777216");
}

TEST(Engine, AFaultInAPromptLeavesTheConversationUsable) {
  const auto model = made(4, {2});
  Engine engine = engine_of(model);
  const auto picture = test::random_picture(1);
  const Ids prompt = joined({{1}, kPicture, {20}});
  const Ids expected = engine.generate(prompt, {picture}, kGreedy).ids;
  // Two placeholders too few for the picture.
  EXPECT_NE(error_of([&] {
              engine.generate({1, model::visual_id(5), model::visual_id(5), 20}, {test::random_picture(2)}, kGreedy);
            }).find("2 placeholders for 4 visual tokens"),
            std::string::npos);
  EXPECT_EQ(engine.generate(prompt, {picture}, kGreedy).ids, expected);
}

}  // namespace
}  // namespace ocelli::infer
