#include "ocelli/eval/task.h"

#include <gmock/gmock.h>

#include "ocelli/base/file.h"
#include "ocelli/base/test_support.h"
#include "ocelli/image/image.h"
#include "ocelli/model/test_models.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::eval {
namespace {

using ocelli::test::error_of;
using ocelli::test::spill;
using ocelli::test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A model that sees and knows bytes, with `positions` positions.
infer::Engine make_engine(int64_t positions) {
  Json json = test::tiny_config("ocelli");
  json["text_config"]["vocab_size"] = 300;
  json["text_config"]["max_position_embeddings"] = positions;
  const model::ModelConfig config = test::config_from(json);
  auto model = std::make_shared<model::Model>(config);
  nn::initialize(*model, 1);
  model::Processor::Parts parts;
  parts.tokenizer_json = text::train_byte_level_bpe(
      {}, {.vocab_size = 262, .special_tokens = {"<pad>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>"}});
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "test");
  parts.chat_template =
      "{% for m in messages %}<|{{ m.role }}|>{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
      "{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}<|end|>{% endfor %}"
      "{% if add_generation_prompt %}<|assistant|>{% endif %}";
  parts.placeholder = config.placeholder;
  parts.images.height = parts.images.width = parts.images.size = 16;
  return {model, std::make_shared<const model::Processor>(std::move(parts))};
}

std::string turns(int count, const std::string& answer) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += fmt::format(R"({}{{"from":"human","value":"{}q{}?"}},{{"from":"gpt","value":"{}"}})", i == 0 ? "" : ",",
                       i == 0 ? "<image>\\n" : "", i, answer);
  }
  return out;
}

class Evaluating : public ::testing::Test {
 protected:
  Evaluating() {
    const std::vector<std::byte> png = image::encode_png(image::Image(16, 16));
    spill(folder / "p.png", {reinterpret_cast<const char*>(png.data()), png.size()});
  }
  std::string record(const std::string& id, int questions, const std::string& answer, const std::string& more = "") const {
    return fmt::format(R"({{"id":"{}","image":"p.png","conversations":[{}]{}}})", id, turns(questions, answer), more) + "\n";
  }
  EvalOptions options(const std::string& lines) const {
    spill(folder / "data.jsonl", lines);
    EvalOptions out;
    out.data = folder / "data.jsonl";
    out.max_tokens = 3;
    return out;
  }
  TemporaryFolder folder;
};

TEST_F(Evaluating, AConversationIsAskedTurnByTurn) {
  infer::Engine engine = make_engine(128);
  const EvalResult result = evaluate(engine, options(record("a", 3, "yes") + record("b", 1, "no")));
  EXPECT_EQ(result.predictions.size(), 4U);
  EXPECT_EQ(result.faults, 0);
  EXPECT_EQ(result.predictions[2].question, "q2?");
}

/// Questions behind the model's last position can't be asked; the record is named and counted, the others go on.
TEST_F(Evaluating, AConversationLongerThanTheModelIsAFault) {
  infer::Engine engine = make_engine(40);
  const EvalResult result = evaluate(engine, options(record("long", 6, "yes") + record("short", 2, "no")));
  EXPECT_EQ(result.faults, 1);
  ASSERT_EQ(result.predictions.size(), 2U);
  EXPECT_EQ(result.predictions[0].id, "short");
}

TEST_F(Evaluating, VqaNeedsTheAnswersOfSeveralPeople) {
  infer::Engine engine = make_engine(128);
  EvalOptions how = options(record("a", 1, "yes"));
  how.task = "vqa";
  EXPECT_THROW(evaluate(engine, how), UsageError);
  EXPECT_THAT(error_of([&] { evaluate(engine, how); }), HasSubstr("sample a has no answers of several people"));
  how = options(record("a", 1, "yes", R"(,"answers":[["yes","yes","no"]])"));
  how.task = "vqa";
  EXPECT_EQ(evaluate(engine, how).predictions.size(), 1U);
  how.task = "bleu";
  EXPECT_THAT(error_of([&] { evaluate(engine, how); }), HasSubstr("known are exact, vqa"));
}

/// What is answered together is cut by the memory it takes, and answers don't depend on the cuts.
TEST_F(Evaluating, BatchesAreCutByTheirCache) {
  infer::Engine engine = make_engine(128);
  std::string lines;
  for (int i = 0; i < 7; ++i) lines += record(std::to_string(i), 1 + i % 3, "yes");
  EvalOptions how = options(lines);
  const EvalResult together = evaluate(engine, how);
  how.max_cache_bytes = 1;
  const EvalResult apart = evaluate(engine, how);
  ASSERT_EQ(together.predictions.size(), apart.predictions.size());
  for (size_t i = 0; i < apart.predictions.size(); ++i) {
    EXPECT_EQ(together.predictions[i].prediction, apart.predictions[i].prediction);
  }
  how.max_tokens = int64_t{1} << 40;  // no more than the model has positions
  how.limit = 1;
  EXPECT_EQ(evaluate(engine, how).predictions.size(), 1U);
}

TEST_F(Evaluating, AResultReadsBackAsWritten) {
  infer::Engine engine = make_engine(128);
  EvalOptions how = options(record("a", 2, "yes", R"(,"question_types":["x","y"])") + "{}\n");
  EvalResult result = evaluate(engine, how);
  how.blind = true;
  add_blind(result, evaluate(engine, how));
  result.name = "a set";
  result.by_type["x"].blind = 0.25;
  write_result(result, folder / "out");
  const EvalResult back = read_result(folder / "out");
  EXPECT_EQ(back.name, "a set");
  EXPECT_EQ(back.task, "exact");
  EXPECT_EQ(back.faults, 1);
  EXPECT_EQ(back.score, result.score);
  EXPECT_EQ(back.blind, result.blind);
  EXPECT_EQ(back.by_type.at("x").blind, 0.25);
  EXPECT_EQ(back.by_type.at("y").samples, 1);
  ASSERT_EQ(back.predictions.size(), 2U);
  EXPECT_EQ(back.predictions[1].type, "y");
  EXPECT_EQ(back.predictions[1].prediction, result.predictions[1].prediction);
  EXPECT_THAT(back.predictions[0].references, ElementsAre("yes"));
  EXPECT_THAT(back.predictions[0].pictures, ElementsAre(folder / "p.png"));
  spill(folder / "out" / "result.json", R"({"task": 3})");
  EXPECT_THAT(error_of([&] { read_result(folder / "out"); }), HasSubstr("result.json: task is 3"));
}

}  // namespace
}  // namespace ocelli::eval
