#include "ocelli/train/recipe.h"

#include <gmock/gmock.h>

#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/train/schedule.h"

namespace ocelli::train {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kSmall = R"(name = "small"
[model]
decoder = { architecture = "llama", hidden_size = 8 }
[[data]]
name = "one"
path = "one.json"
[[data]]
name = "two"
path = "/somewhere/two.json"
weight = 0.5
[train]
learning_rate = { vision = 1e-4, decoder = 2e-3 }
batch_size = 16
[[stage]]
name = "align"
train = ["connector"]
data = { two = 2.0 }
max_steps = 7
[[stage]]
name = "all"
data = ["one", "two"]
learning_rate = 5e-4
)";

Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  spill(folder / "r.toml", text);
  return Recipe::load(folder / "r.toml", overrides);
}

TEST(Recipe, FillsDefaultsIntoEveryStage) {
  const TemporaryFolder folder;
  spill(folder / "r.toml", kSmall);
  const Recipe recipe = Recipe::load(folder / "r.toml");
  ASSERT_EQ(recipe.stages.size(), 2U);
  const StageRecipe &align = recipe.stages[0], &all = recipe.stages[1];
  EXPECT_EQ(align.batch_size, 16);
  EXPECT_EQ(align.max_steps, 7);
  EXPECT_EQ(align.learning_rate.at("vision"), 1e-4);
  EXPECT_EQ(align.learning_rate.at("connector"), 1e-3);
  EXPECT_EQ(align.learning_rate.at("decoder"), 2e-3);
  EXPECT_EQ(all.learning_rate.at("decoder"), 5e-4);
  EXPECT_THAT(all.train, ElementsAre("vision", "connector", "decoder"));
  EXPECT_THAT(align.data, ElementsAre(Pair("two", data::Portion{data::Portion::Kind::kPasses, 2.0})));
  EXPECT_EQ(all.data.at("one"), data::Portion());
  EXPECT_EQ(all.data.at("two"), (data::Portion{data::Portion::Kind::kPasses, 0.5}));
  EXPECT_EQ(recipe.data[0].options.path, folder / "one.json");
  EXPECT_EQ(recipe.data[1].options.path, "/somewhere/two.json");
}

TEST(Recipe, ExtendsABaseByName) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  spill(folder / "base.toml", kSmall);
  spill(folder / "sub" / "r.toml",
        "extends = \"../base.toml\"\nseed = 9\n[[data]]\nname = \"three\"\npath = \"three.json\"\n[[stage]]\nname = "
        "\"align\"\nmax_steps = 3\n");
  const Recipe recipe = Recipe::load(folder / "sub" / "r.toml");
  EXPECT_EQ(recipe.seed, 9U);
  ASSERT_EQ(recipe.data.size(), 3U);
  EXPECT_EQ(recipe.data[0].options.path, folder / "one.json");
  EXPECT_EQ(recipe.data[2].options.path, folder / "sub" / "three.json");
  ASSERT_EQ(recipe.stages.size(), 2U);
  EXPECT_EQ(recipe.stages[0].max_steps, 3);
  EXPECT_THAT(recipe.stages[0].train, ElementsAre("connector"));
  spill(folder / "loop.toml", "extends = \"loop.toml\"\n");
  EXPECT_THAT(error_of([&] { Recipe::load(folder / "loop.toml"); }), HasSubstr("extends"));
}

TEST(Recipe, MessagesNameTheFileAndLineThatSaidSo) {
  const TemporaryFolder folder;
  spill(folder / "base.toml", std::string(kSmall) + "[tokenizer]\nvocab_size = 300\n");
  spill(folder / "r.toml", "extends = \"base.toml\"\n\n\n[[stage]]\nname = \"align\"\nmax_steps = 3\n");
  const auto message = [&](const std::string& in, const std::string& from, const std::string& to,
                           const std::vector<std::string>& overrides = {}) {
    const std::string whole = read_file(folder / in);
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    spill(folder / in, text);
    const std::string out = error_of([&] { Recipe::load(folder / "r.toml", overrides); });
    spill(folder / in, whole);
    return out;
  };
  EXPECT_THAT(message("base.toml", "batch_size = 16", "batch_size = 0"), HasSubstr("base.toml:13: train.batch_size is 0"));
  EXPECT_THAT(message("base.toml", "vocab_size = 300", "vocab_size = 3"), HasSubstr("base.toml:24: tokenizer.vocab_size"));
  EXPECT_THAT(message("base.toml", "learning_rate = 5e-4", "learning_rate = -1"), HasSubstr("base.toml:22: stage.learning_rate"));
  EXPECT_THAT(message("r.toml", "max_steps = 3", "max_step = 3"), HasSubstr("r.toml:6: stage.max_step is not known"));
  EXPECT_THAT(message("r.toml", "x", "x", {"stage.all.batch_size=0"}),
              HasSubstr("-o stage.all.batch_size=0: stage.batch_size is 0"));
  EXPECT_THAT(message("r.toml", "x", "x", {"train.presicion=bf16"}), HasSubstr("-o train.presicion=bf16: train.presicion"));
}

TEST(Recipe, OverridesReachTablesByName) {
  const Recipe recipe = load(kSmall, {"stage.align.learning_rate=1e-5", "data.one.path=mine/x.json",
                                      "model.decoder.hidden_size=16", "train.precision=bf16", "stage.all.train=[\"decoder\"]"});
  EXPECT_EQ(recipe.stages[0].learning_rate.at("connector"), 1e-5);
  EXPECT_EQ(recipe.data[0].options.path, std::filesystem::current_path() / "mine/x.json");
  EXPECT_EQ(recipe.model.decoder.config["hidden_size"], 16);
  EXPECT_EQ(recipe.precision, "bf16");
  EXPECT_THAT(recipe.stages[1].train, ElementsAre("decoder"));
  EXPECT_THAT(error_of([] { load(kSmall, {"stage.last.max_steps=1"}); }), HasSubstr("no stage named \"last\""));
  EXPECT_THAT(error_of([] { load(kSmall, {"nonsense"}); }), HasSubstr("key=value"));
}

TEST(Recipe, AWholeModelStandsAlone) {
  EXPECT_THAT(error_of([] { load(kSmall, {"model.base=\"x\""}); }), HasSubstr("model.decoder"));
  const Recipe whole = load(kSmall, {"model={base=\"some/model\"}"});
  EXPECT_EQ(whole.model.base, "some/model");
  EXPECT_EQ(load(whole.to_toml()).model.base, "some/model");
  EXPECT_THAT(error_of([] { load(kSmall, {"model={base=\"x\"}", "tokenizer.train=true"}); }), HasSubstr("brings its own"));
  EXPECT_THAT(error_of([] { load(kSmall, {"model={base=\"x\",image={size=3}}"}); }), HasSubstr("model.image"));
  EXPECT_THAT(error_of([] { load(kSmall, {"model.connector.type=mlp"}); }), HasSubstr("nothing to connect"));
}

TEST(Recipe, NamesKeyLineAndTheNearestKey) {
  struct Case {
    std::string from, to;
    std::vector<std::string> expected;
  };
  for (const Case& c : std::vector<Case>{
           {"batch_size = 16", "batch_sise = 16", {"r.toml:13: train.batch_sise", "did you mean \"batch_size\""}},
           {"batch_size = 16", "batch_size = \"many\"", {"r.toml:13: train.batch_size", "expected an integer"}},
           {"batch_size = 16", "batch_size = 0", {"r.toml:13: train.batch_size", "is 0"}},
           {"batch_size = 16", "warmup_ratio = 1.5", {"r.toml:13: train.warmup_ratio", "is 1.5"}},
           {"batch_size = 16", "learning_rates = nan", {"r.toml:13:", "learning_rate"}},
           {"batch_size = 16", "weight_decay = nan", {"r.toml:13: train.weight_decay"}},
           {"batch_size = 16", "lr_scheduler_type = \"cosin\"", {"r.toml:13:", "did you mean \"cosine\""}},
           {"train = [\"connector\"]", "train = [\"connectors\"]", {"r.toml:16:", "vision, connector, decoder"}},
           {"data = { two = 2.0 }", "data = { too = 2.0 }", {"r.toml:17:", "too", "did you mean \"two\""}},
           {"data = { two = 2.0 }", "data = [\"too\"]", {"r.toml:17:", "did you mean \"two\""}},
           {"max_steps = 7", "max_steps = 7.5", {"r.toml:18: stage.max_steps", "expected an integer"}},
           {"name = \"all\"", "name = \"align\"", {"given twice"}},
           {"weight = 0.5", "weight = 0", {"r.toml:10: data.weight"}},
           {"path = \"one.json\"", "", {"data.path", "missing"}},
           {"name = \"small\"", "name = \"small", {"r.toml:1"}},
           {"[train]", "[trane]", {"trane", "did you mean \"train\""}},
       }) {
    std::string text = kSmall;
    ASSERT_NE(text.find(c.from), std::string::npos);
    text.replace(text.find(c.from), c.from.size(), c.to);
    const std::string message = error_of([&] { load(text); });
    for (const std::string& part : c.expected) EXPECT_THAT(message, HasSubstr(part)) << c.to;
  }
}

TEST(Recipe, ItsTomlReadsBackTheSame) {
  const std::string text = load(kSmall, {"tokenizer.chat_template='''a \"b\"\\n\nc'''", "train.adam_epsilon=1e-9"}).to_toml();
  const std::string again = load(text).to_toml();
  EXPECT_EQ(text, again);
  EXPECT_THAT(differences(text, again), ElementsAre());
}

TEST(Recipe, DifferencesNameTheKeys) {
  const TemporaryFolder folder;
  spill(folder / "r.toml", kSmall);
  const auto toml = [&](const std::vector<std::string>& overrides) {
    return Recipe::load(folder / "r.toml", overrides).to_toml();
  };
  EXPECT_THAT(differences(toml({}), toml({"seed=2", "stage.align.batch_size=3"})),
              ElementsAre(AllOf(HasSubstr("seed"), HasSubstr("1 -> 2")),
                          AllOf(HasSubstr("stage.align.batch_size"), HasSubstr("16 -> 3"))));
}

TEST(Schedule, IsThatOfTransformers) {
  // get_{cosine,linear,constant}_schedule_with_warmup(optimizer, 3, 10) of transformers 5.23, steps 0 … 10.
  const std::vector<double> cosine = {0,
                                      1.0 / 3,
                                      2.0 / 3,
                                      1,
                                      0.9504844339512095,
                                      0.8117449009293668,
                                      0.6112604669781572,
                                      0.38873953302184283,
                                      0.1882550990706332,
                                      0.04951556604879043,
                                      0};
  for (int64_t step = 0; step <= 10; ++step) {
    EXPECT_NEAR(learning_rate_share("cosine", 0.3, step, 10), cosine[static_cast<size_t>(step)], 1e-12);
    const double warm = std::min(1.0, static_cast<double>(step) / 3);
    EXPECT_NEAR(learning_rate_share("constant", 0.3, step, 10), warm, 1e-12);
    EXPECT_NEAR(learning_rate_share("linear", 0.3, step, 10), step < 3 ? warm : static_cast<double>(10 - step) / 7, 1e-12);
  }
  EXPECT_EQ(learning_rate_share("cosine", 0, 0, 10), 1.0);
}

}  // namespace
}  // namespace ocelli::train
