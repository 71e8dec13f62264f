// The engine with an encoder-decoder, and with a connector that reads the question.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/infer/engine.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/tensor_io.h"
#include "ocelli/nn/test_tensors.h"

namespace ocelli::infer {
namespace {

using Ids = std::vector<int64_t>;

std::shared_ptr<model::Model> tiny(const std::string& type, bool t5) {
  Json text = test::tiny_text();
  if (t5) {
    text = {{"model_type", "t5"},
            {"vocab_size", 60},
            {"d_model", 32},
            {"d_kv", 6},
            {"d_ff", 40},
            {"num_layers", 2},
            {"num_heads", 4},
            {"feed_forward_proj", "gated-gelu"},
            {"tie_word_embeddings", false},
            {"eos_token_id", 59}};
  }
  const Json config = {{"model_type", type},
                       {"num_query_tokens", 3},
                       {"image_token_index", 5},
                       {"vision_config",
                        {{"hidden_size", 24},
                         {"intermediate_size", 40},
                         {"num_hidden_layers", 2},
                         {"num_attention_heads", 3},
                         {"image_size", 16},
                         {"patch_size", 4}}},
                       {"qformer_config",
                        {{"hidden_size", 16},
                         {"intermediate_size", 24},
                         {"num_hidden_layers", 2},
                         {"num_attention_heads", 2},
                         {"vocab_size", 30},
                         {"max_position_embeddings", 9}}},
                       {"text_config", text}};
  auto model = std::make_shared<model::Model>(test::config_from(config));
  test::randomize(*model, 3, at::kFloat);
  return model;
}

std::shared_ptr<const model::Processor> processor(bool reads) {
  model::Processor::Parts parts;
  parts.placeholder.token_id = 5;
  parts.reads_instruction = reads;
  parts.images.height = parts.images.width = parts.images.size = 16;
  return std::make_shared<const model::Processor>(std::move(parts));
}

Ids with_picture(const Ids& text) {
  const int64_t v = model::visual_id(5);
  Ids ids = {v, v, v};
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

constexpr SamplingOptions kGreedy{.temperature = 0, .max_tokens = 6};

/// Greedy decoding by one full pass a token.
Ids plain(model::Model& model, const Ids& ids, const model::PixelTiles& picture) {
  const at::NoGradGuard no_grad;
  nn::RunContext context;
  const auto inputs = processor(false)->make_inputs(ids, {picture});
  const model::Seen seen = model.see(inputs.pixels, inputs.pictures, context);
  language::DecoderInputs decoder;
  decoder.memory = model.encode(inputs, seen, context);
  Ids out = {0};
  for (int i = 0; i < 6; ++i) {
    const int64_t rows = static_cast<int64_t>(out.size());
    decoder.embeds = model.embed(nn::index_tensor(out), {}, {});
    decoder.layout = nn::AttentionLayout::uniform(1, rows, true);
    decoder.memory_layout = {};
    decoder.memory_layout.add({0, rows, 0, decoder.memory.size(0), false, 0});
    const int64_t next = model.head(model.decode(decoder, context))[rows - 1].argmax().item<int64_t>();
    if (next == 59) break;
    out.push_back(next);
  }
  out.erase(out.begin());
  return out;
}

TEST(EncoderDecoderEngine, AnswersEveryPromptAsAFullPassDoes) {
  const auto model = tiny("blip-2", true);
  Engine engine(model, processor(false), {.context = 64, .block_size = 4});
  const model::PixelTiles first = test::random_picture(1), second = test::random_picture(2);
  for (const auto& [text, picture] :
       {std::pair{Ids{7, 8, 9}, first}, {Ids{7, 8, 9, 10}, first}, {Ids{7, 8, 9, 10}, second}, {Ids{7, 8, 9}, first}}) {
    const Generation answer = engine.generate(with_picture(text), {picture}, kGreedy);
    EXPECT_EQ(answer.ids, plain(*model, with_picture(text), picture));
    EXPECT_EQ(answer.prompt_tokens, 3 + static_cast<int64_t>(text.size()));
    EXPECT_EQ(answer.image_tokens, 3);
  }
}

TEST(EncoderDecoderEngine, AnswersGroupsQuestionByQuestion) {
  const auto model = tiny("blip-2", true);
  Engine engine(model, processor(false), {.context = 64, .block_size = 4});
  const QuestionGroup groups[] = {{with_picture({}), {test::random_picture(1)}, {{7, 8}, {9}}},
                                  {with_picture({4}), {test::random_picture(2)}, {{10}}}};
  const auto answers = engine.answer(groups, 6);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0][0].ids, plain(*model, with_picture({7, 8}), groups[0].pictures[0]));
  EXPECT_EQ(answers[0][1].ids, plain(*model, with_picture({9}), groups[0].pictures[0]));
  EXPECT_EQ(answers[1][0].ids, plain(*model, with_picture({4, 10}), groups[1].pictures[0]));
}

TEST(EncoderDecoderEngine, AnotherInstructionIsAnotherLookAtThePicture) {
  const auto model = tiny("instructblip", false);
  const model::PixelTiles picture = test::random_picture(1);
  const Ids prompt = with_picture({7, 8, 9}), first = {1, 2, 3}, second = {20, 21};
  const auto asked = [&](Engine& engine, const Ids& instruction) {
    const QuestionGroup groups[] = {{{}, {picture}, {prompt}, {instruction}}};
    return engine.answer(groups, 6)[0][0].ids;
  };
  const auto fresh = [&](const Ids& instruction) {
    Engine engine(model, processor(true), {.context = 64, .block_size = 4});
    return asked(engine, instruction);
  };
  Engine engine(model, processor(true), {.context = 64, .block_size = 4});
  for (const Ids& instruction : {first, second, first}) EXPECT_EQ(asked(engine, instruction), fresh(instruction));
  EXPECT_NE(fresh(first), fresh(second));
}

}  // namespace
}  // namespace ocelli::infer
