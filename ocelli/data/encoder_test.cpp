#include "ocelli/data/encoder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "ocelli/base/test_support.h"
#include "ocelli/data/batch.h"
#include "ocelli/data/loader.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::data {
namespace {

using ocelli::test::error_of;
using ::testing::HasSubstr;

constexpr int64_t kVisual = 4;
const std::filesystem::path kPicture = std::filesystem::path(OCELLI_SOURCE_DIR) / "tests/fuzz/corpus/image/rgb.jpg";

std::shared_ptr<const model::Processor> make_processor() {
  model::Processor::Parts parts;
  parts.tokenizer_json = text::train_byte_level_bpe(
      {"What is this? A cat. A dog."},
      {.vocab_size = 270, .special_tokens = {"<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<image>"}});
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "tokenizer.json");
  parts.chat_template =
      "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{% if message.content is string %}{{ message.content }}"
      "{% else %}{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
      "{% endfor %}{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
  parts.bos_token = "<|bos|>";
  parts.eos_token = "<|end|>";
  parts.placeholder.token_id = *parts.tokenizer->id_of("<image>");
  parts.images.size = parts.images.height = parts.images.width = 16;
  return std::make_shared<const model::Processor>(std::move(parts));
}

class Encoding : public ::testing::Test {
 protected:
  SampleEncoder encoder(int64_t max_length = 512) const {
    return {processor, [](const image::Tiling&) { return kVisual; }, max_length};
  }
  std::vector<int64_t> ids(const std::string& text) const { return processor->tokenizer().encode(text, false); }
  /// The prompt chat would send, expanded.
  std::vector<int64_t> chat_prompt(const std::string& question, bool picture) const {
    OrderedJson content = OrderedJson::array();
    if (picture) content.push_back({{"type", "image"}});
    content.push_back({{"type", "text"}, {"text", question}});
    OrderedJson messages = OrderedJson::array();
    messages.push_back({{"role", "user"}, {"content", content}});
    const auto plain = processor->encode(processor->render(messages, true));
    return processor->expand(plain, picture ? std::vector<int64_t>{kVisual} : std::vector<int64_t>{});
  }
  static Sample conversation(std::vector<std::string> texts, bool picture) {
    Sample sample;
    sample.id = "s";
    for (size_t i = 0; i < texts.size(); ++i) {
      sample.turns.push_back({i % 2 == 0 ? Turn::Role::kUser : Turn::Role::kAssistant, std::move(texts[i])});
    }
    if (picture) sample.pictures = {kPicture};
    return sample;
  }
  static std::vector<int64_t> trained(const EncodedText& text) {
    std::vector<int64_t> out;
    for (size_t i = 0; i < text.ids.size(); ++i) {
      if (text.trained[i]) out.push_back(text.ids[i]);
    }
    return out;
  }

  std::shared_ptr<const model::Processor> processor = make_processor();
};

TEST_F(Encoding, ThePromptIsThatOfChatAndOnlyAnswersAreTrained) {
  const EncodedSample sample = encoder().encode(conversation({"<image>\nWhat is this?", "A cat."}, true));
  ASSERT_EQ(sample.continuations.size(), 1U);
  const EncodedText& text = sample.continuations[0];
  const std::vector<int64_t> prompt = chat_prompt("What is this?", true), answer = ids("A cat.<|end|>");
  std::vector<int64_t> whole = prompt;
  whole.insert(whole.end(), answer.begin(), answer.end());
  EXPECT_EQ(text.ids, whole);
  EXPECT_EQ(trained(text), answer);
  EXPECT_FALSE(text.trained[prompt.size() - 1]);
  EXPECT_EQ(std::count_if(text.ids.begin(), text.ids.end(), model::is_visual), kVisual);
}

TEST_F(Encoding, EveryAnswerOfAConversationIsTrained) {
  const EncodedSample sample = encoder().encode(conversation({"hello", "A cat.", "and?", "A dog."}, false));
  ASSERT_EQ(sample.continuations.size(), 1U);
  EXPECT_EQ(trained(sample.continuations[0]), ids("A cat.<|end|>A dog.<|end|>"));
}

TEST_F(Encoding, IndependentQuestionsShareThePrefix) {
  Sample together = conversation({"<image>\nWhat is this?", "A cat.", "Is it?", "yes", "Color?", "red"}, true);
  together.independent = true;
  const EncodedSample sample = encoder().encode(together);
  ASSERT_EQ(sample.continuations.size(), 3U);
  EXPECT_EQ(sample.prefix.back(), model::visual_id(processor->image_token_id()));
  EXPECT_EQ(std::count_if(sample.prefix.begin(), sample.prefix.end(), model::is_visual), kVisual);
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"What is this?", "A cat."}, {"Is it?", "yes"}, {"Color?", "red"}};
  for (size_t q = 0; q < 3; ++q) {
    // Prefix and continuation are what the question alone would be.
    std::vector<int64_t> whole = sample.prefix;
    whole.insert(whole.end(), sample.continuations[q].ids.begin(), sample.continuations[q].ids.end());
    const EncodedSample alone = encoder().encode(conversation({"<image>\n" + pairs[q].first, pairs[q].second}, true));
    EXPECT_EQ(whole, alone.continuations[0].ids);
    EXPECT_EQ(trained(sample.continuations[q]), ids(pairs[q].second + "<|end|>"));
  }
}

TEST_F(Encoding, CutsTextButNeverPictures) {
  const Sample sample = conversation({"What <image>\nis this?", "A cat. A dog. A cat. A dog."}, true);
  const int64_t full = encoder().encode(sample).tokens();
  const EncodedSample cut = encoder(full - 3).encode(sample);
  EXPECT_EQ(cut.tokens(), full - 3);
  EXPECT_THAT(error_of([&] { encoder(4).encode(sample); }), HasSubstr("would cut its pictures"));
  const int64_t prompt = full - encoder().encode(sample).trained_tokens();
  EXPECT_THAT(error_of([&] { encoder(prompt).encode(sample); }), HasSubstr("no token to learn from"));
}

TEST_F(Encoding, NamesAPictureThatCannotBeRead) {
  Sample sample = conversation({"<image>\nq", "a"}, true);
  sample.pictures = {std::filesystem::path("/nowhere/x.png")};
  EXPECT_THAT(error_of([&] { encoder().encode(sample); }), HasSubstr("/nowhere/x.png"));
}

TEST_F(Encoding, ABatchKeepsContinuationsApart) {
  Sample questions = conversation({"<image>\nWhat is this?", "A cat.", "Is it?", "yes"}, true);
  questions.independent = true;
  const auto first = std::make_shared<const EncodedSample>(encoder().encode(questions));
  const auto second = std::make_shared<const EncodedSample>(encoder().encode(conversation({"hello", "A dog."}, false)));
  const std::vector<std::shared_ptr<const EncodedSample>> samples = {first, second};
  const Batch batch =
      make_batch(samples, *processor, [](std::span<const model::PixelTiles>) { return std::vector<image::Grid>(); });
  const int64_t rows = first->tokens() + second->tokens();
  EXPECT_EQ(batch.tokens, rows);
  EXPECT_EQ(batch.samples, 3);
  EXPECT_EQ(batch.pictures, 1);
  EXPECT_EQ(batch.labels.numel(), first->trained_tokens() + second->trained_tokens());
  EXPECT_EQ(batch.inputs.visual_rows.numel(), kVisual);
  batch.inputs.layout.validate(rows, rows);

  // Who sees whom, written out: the owner of each row is (sample, continuation), -1 for a prefix.
  std::vector<std::pair<int64_t, int64_t>> owner;
  std::vector<int64_t> positions, labels, outputs;
  for (size_t s = 0; s < samples.size(); ++s) {
    const auto prefix = static_cast<int64_t>(samples[s]->prefix.size());
    for (int64_t i = 0; i < prefix; ++i) {
      owner.emplace_back(s, -1);
      positions.push_back(i);
    }
    for (size_t c = 0; c < samples[s]->continuations.size(); ++c) {
      const EncodedText& text = samples[s]->continuations[c];
      for (size_t i = 0; i < text.ids.size(); ++i) {
        if (text.trained[i]) {
          outputs.push_back(static_cast<int64_t>(owner.size()) - 1);
          labels.push_back(text.ids[i]);
        }
        owner.emplace_back(s, c);
        positions.push_back(prefix + static_cast<int64_t>(i));
      }
    }
  }
  const auto list = [](const at::Tensor& t) {
    return std::vector<int64_t>(t.data_ptr<int64_t>(), t.data_ptr<int64_t>() + t.numel());
  };
  EXPECT_EQ(list(batch.inputs.positions), positions);
  EXPECT_EQ(list(batch.inputs.output_rows), outputs);
  EXPECT_EQ(list(batch.labels), labels);
  std::vector<std::vector<int>> sees(static_cast<size_t>(rows), std::vector<int>(static_cast<size_t>(rows)));
  for (const nn::Span& span : batch.inputs.layout.spans()) {
    for (int64_t q = span.query_begin; q < span.query_end; ++q) {
      const int64_t last = span.causal ? span.key_end - (span.query_end - 1 - q) : span.key_end;
      for (int64_t k = span.key_begin; k < last; ++k) ++sees[static_cast<size_t>(q)][static_cast<size_t>(k)];
    }
  }
  for (size_t q = 0; q < owner.size(); ++q) {
    for (size_t k = 0; k < owner.size(); ++k) {
      const bool related = owner[k] == owner[q] || (owner[k].first == owner[q].first && owner[k].second == -1);
      EXPECT_EQ(sees[q][k], related && k <= q ? 1 : 0) << q << " and " << k;
    }
  }
}

/// Texts, every seventh broken.
class Texts final : public Dataset {
 public:
  int64_t size() const override { return 50; }
  Sample get(int64_t index) const override {
    require(index % 7 != 3, "texts, record {}: broken", index);
    Sample sample;
    sample.id = std::to_string(index);
    sample.turns = {{Turn::Role::kUser, "question " + std::to_string(index)}, {Turn::Role::kAssistant, "A cat."}};
    return sample;
  }
  const std::string& name() const override { return name_; }

 private:
  std::string name_ = "texts";
};

TEST_F(Encoding, TheLoadersOrderIsThatOfTheMixtureWhateverTheThreads) {
  const Mixture mixture({{std::make_shared<Texts>(), 1.0}}, 5);
  const SampleEncoder encode = encoder();
  for (const int threads : {1, 2, 4}) {
    Loader loader(mixture, encode, 20, threads, 9);
    for (int64_t position = 20; position < 150; ++position) {
      const Loader::Item item = loader.next();
      const int64_t index = mixture.at(position).index;
      ASSERT_EQ(item.position, position);
      ASSERT_EQ(item.draw.index, index);
      if (index % 7 == 3) {
        ASSERT_EQ(item.sample, nullptr);
        ASSERT_THAT(item.fault, HasSubstr("record " + std::to_string(index)));
      } else {
        ASSERT_NE(item.sample, nullptr);
        ASSERT_EQ(item.sample->id, std::to_string(index));
      }
    }
  }
}

}  // namespace
}  // namespace ocelli::data
