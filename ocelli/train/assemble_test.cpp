#include "ocelli/train/assemble.h"

#include <gmock/gmock.h>

#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/model/load.h"

namespace ocelli::train {
namespace {

namespace fs = std::filesystem;
using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kRecipe = R"(name = "parts"
[model.vision]
architecture = "ocelli_vision"
image_size = 16
patch_size = 4
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[model.connector]
type = "pixel_shuffle"
scale = 2
[model.decoder]
architecture = "llama"
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[tokenizer]
train = true
vocab_size = 280
[[data]]
path = "nowhere.jsonl"
)";

class Assembling : public ::testing::Test {
 protected:
  Recipe recipe(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    spill(folder / "r.toml", text);
    return Recipe::load(folder / "r.toml", overrides);
  }
  Recipe changed(const std::string& from, const std::string& to) const {
    std::string text = kRecipe;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return recipe(text.replace(text.find(from), from.size(), to));
  }
  TemporaryFolder folder;
};

/// A plain decoder's folder: tokenizer of bytes, two ends, a padding token; no chat template.
void write_base(const fs::path& folder) {
  fs::create_directories(folder);
  const Json tokenizer = text::train_byte_level_bpe({}, {.vocab_size = 259, .special_tokens = {"<s>", "</s>", "<pad>"}});
  spill(folder / "tokenizer.json", tokenizer.dump());
  spill(folder / "tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 77})");
  model::ModelConfig config;
  const Json decoder = {{"model_type", "llama"},    {"vocab_size", 259},      {"hidden_size", 16},
                        {"intermediate_size", 32},  {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                        {"num_key_value_heads", 2}, {"bos_token_id", 0},      {"tie_word_embeddings", true}};
  config.decoder = language::DecoderConfig::from_json(JsonView(decoder, "test"));
  config.eos_token_ids = {1};
  model::Model model(config);
  nn::initialize(model, 1);
  model::save_model(model, folder);
  spill(folder / "generation_config.json", R"({"eos_token_id": [1, 2]})");
}

TEST_F(Assembling, ConfiguresWithoutDataOrWeights) {
  const Configured out = configure(recipe(kRecipe));
  EXPECT_EQ(out.config.decoder.vocab_size, 280);
  ASSERT_TRUE(out.images.has_value());
  EXPECT_EQ(out.images->width, 16);
  EXPECT_EQ(model::Model(out.config).num_tokens(out.images->tiling(30, 20)), 4);
}

TEST_F(Assembling, NamesKeyPlaceAndTheNearestKeyOfAPart) {
  struct Case {
    std::string from, to;
    std::vector<std::string> expected;
  };
  for (const Case& c : std::vector<Case>{
           {"intermediate_size = 32\nnum_hidden_layers = 1\nnum_attention_heads = 2\n[tokenizer]",
            "intermediate_sise = 32\nnum_hidden_layers = 1\nnum_attention_heads = 2\n[tokenizer]",
            {"r.toml:16: model.decoder.intermediate_sise is not known", "did you mean \"intermediate_size\""}},
           {"patch_size = 4", "patchsize = 4", {"r.toml:5: model.vision.patchsize is not known", "\"patch_size\""}},
           {"scale = 2", "scales = 2", {"r.toml:12: model.connector.scales", "did you mean \"scale\""}},
           {"scale = 2", "scale = \"big\"", {"r.toml:12: model.connector.scale is \"big\", expected an integer"}},
           {"scale = 2", "scale = 3", {"r.toml:", "3"}},
           {"[model.decoder]", "[model.image]\nsise = 16\n[model.decoder]", {"r.toml:14: model.image.sise", "\"size\""}},
           {"[model.decoder]", "[model.image]\nsize = 8\n[model.decoder]", {"r.toml:14: model.image.size is 8 x 8", "16 x 16"}},
           {"image_size = 16\npatch_size = 4",
            "image_size = 18\npatch_size = 4\nstem_channels = [8, 16]\nstem_strides = [2, 2]",
            {"r.toml:4: model.vision.image_size is 18, expected a multiple of patch_size 4"}},
           {"image_size = 16\npatch_size = 4",
            "image_size = 16\npatch_size = 4\nstem_channels = [8.5, 16]\nstem_strides = [2, 2]",
            {"r.toml:6: model.vision.stem_channels[0] is 8.5, expected an integer"}},
           {"architecture = \"llama\"", "architecture = \"lama\"", {"r.toml:", "model_type is \"lama\"", "llama"}},
           {"architecture = \"llama\"", "", {"r.toml:13: model.decoder: give base or architecture"}},
           {"image_size = 16", "image_size = 16\nselect_layer = 1.5", {"r.toml:5: model.vision.select_layer is 1.5"}},
       }) {
    const Recipe made = changed(c.from, c.to);
    try {
      configure(made);
      ADD_FAILURE() << c.to << ": taken";
    } catch (const UsageError& error) {
      for (const std::string& part : c.expected) EXPECT_THAT(error.what(), HasSubstr(part)) << c.to;
    } catch (const Error& error) {
      ADD_FAILURE() << c.to << ": no UsageError: " << error.what();
    }
  }
  EXPECT_THAT(error_of([&] { configure(recipe(kRecipe, {"model.decoder.hidden_sise=3"})); }),
              HasSubstr("-o model.decoder.hidden_sise=3: model.decoder.hidden_sise is not known"));
}

/// A base without a template gets ours together with the tokens it writes, and answers end at each end there is.
TEST_F(Assembling, ABaseWithoutATemplateGetsOursWithItsTokens) {
  write_base(folder / "base");
  const Recipe made = recipe("[model]\ndecoder = { base = \"base\" }\n[[data]]\npath = \"nowhere.jsonl\"\n");
  const Assembled out = assemble(made, {});
  const text::Tokenizer& tokenizer = out.processor->tokenizer();
  for (const char* token : {"<|end|>", "<|user|>", "<|assistant|>", "<|system|>"}) {
    const auto id = tokenizer.id_of(token);
    ASSERT_TRUE(id.has_value()) << token;
    EXPECT_TRUE(tokenizer.is_special(*id));
  }
  const std::vector<int64_t> ids =
      out.processor->encode(out.processor->render(OrderedJson::array({{{"role", "user"}, {"content", "a"}}}), true));
  EXPECT_THAT(ids, ElementsAre(0, *tokenizer.id_of("<|user|>"), tokenizer.encode("a", false)[0], *tokenizer.id_of("<|end|>"),
                               *tokenizer.id_of("<|assistant|>")));
  EXPECT_THAT(out.model->config().eos_token_ids, ElementsAre(1, 2, *tokenizer.id_of("<|end|>")));
  EXPECT_EQ(out.model->config().decoder.vocab_size, tokenizer.vocab_size());
  out.processor->save(folder / "out");
  const Json config = read_json(folder / "out" / "tokenizer_config.json");
  EXPECT_EQ(config.at("pad_token"), "<pad>");
  EXPECT_EQ(config.at("model_max_length"), 77);
  EXPECT_EQ(config.at("eos_token"), "<|end|>");
}

TEST_F(Assembling, ABaseWithATemplateKeepsItsEnds) {
  write_base(folder / "base");
  spill(folder / "base" / "chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}");
  const Assembled out = assemble(recipe("[model]\ndecoder = { base = \"base\" }\n[[data]]\npath = \"nowhere.jsonl\"\n"), {});
  EXPECT_EQ(out.processor->tokenizer().vocab_size(), 259);
  EXPECT_THAT(out.model->config().eos_token_ids, ElementsAre(1, 2));
}

/// A tower's folder says how pictures are prepared in one of two files; one that says nothing is refused.
TEST_F(Assembling, ATowersPreprocessingIsReadFromEitherFile) {
  const Json images = {{"image_processor_type", "SiglipImageProcessor"},
                       {"size", {{"height", 16}, {"width", 16}}},
                       {"image_mean", {0.25, 0.25, 0.25}}};
  const Json tower = {{"model_type", "siglip_vision_model"},
                      {"image_size", 16},
                      {"patch_size", 4},
                      {"hidden_size", 16},
                      {"intermediate_size", 32},
                      {"num_hidden_layers", 1},
                      {"num_attention_heads", 2}};
  fs::create_directories(folder / "tower");
  spill(folder / "tower" / "config.json", tower.dump());
  std::string text = kRecipe;
  const size_t begin = text.find("architecture = \"ocelli_vision\""), end = text.find("[model.connector]");
  text.replace(begin, end - begin, "base = \"tower\"\n");
  const Recipe made = recipe(text);
  EXPECT_THAT(error_of([&] { configure(made); }), AllOf(HasSubstr("preprocessor_config.json"), HasSubstr("tower")));
  spill(folder / "tower" / "processor_config.json", Json{{"image_processor", images}}.dump());
  EXPECT_EQ(configure(made).images->mean[0], 0.25F);
  fs::remove(folder / "tower" / "processor_config.json");
  spill(folder / "tower" / "preprocessor_config.json", images.dump());
  EXPECT_EQ(configure(made).images->mean[0], 0.25F);
}

}  // namespace
}  // namespace ocelli::train
