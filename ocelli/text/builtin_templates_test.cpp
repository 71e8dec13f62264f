#include "ocelli/text/builtin_templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ocelli/base/json.h"
#include "ocelli/text/chat_template.h"

namespace ocelli::text {
namespace {

using ::testing::HasSubstr;

std::string render(std::string_view name, const OrderedJson& messages, bool generate = true) {
  return ChatTemplate(builtin_template(name)).render({{"messages", messages}, {"add_generation_prompt", generate}});
}

const OrderedJson kPicture = OrderedJson::parse(
    R"([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image", "path": "a.jpg"}]}])");

TEST(BuiltinTemplates, PutPicturesWhereTheSystemHasThem) {
  EXPECT_EQ(render("minigpt_v2", kPicture), "<s><s>[INST] <Img><ImageHere></Img> What is it? [/INST]");
  EXPECT_EQ(render("minicpm_v", kPicture), "<用户><image></image>\nWhat is it?<AI>");
  EXPECT_EQ(render("cogvlm_vqa", kPicture), "<image>Question: What is it? Short answer:");
  EXPECT_EQ(render("cogagent_chat", kPicture), "<image> [INST] What is it? [/INST] ");
  EXPECT_EQ(render("blip2", kPicture), "<image>Question: What is it? Answer:");
  EXPECT_EQ(render("vl_vicuna", kPicture), "###Human: <Img><ImageHere></Img> What is it? ###Assistant:");
  EXPECT_EQ(render("mistral_instruct", kPicture), "[INST] <image>\nWhat is it? [/INST]");
  EXPECT_THAT(render("qwen_vl", kPicture), HasSubstr("user\nPicture 1: <img>a.jpg</img>\nWhat is it?<|im_end|>\n"));
  EXPECT_EQ(render("monkey", kPicture), "<img>a.jpg</img> What is it? Answer: ");
  EXPECT_THAT(render("deepseek_vl", kPicture), HasSubstr("User: <image_placeholder>What is it?\n\nAssistant:"));
}

TEST(BuiltinTemplates, ALineEndBehindTheMarkIsTheSystemsOwn) {
  const OrderedJson messages = OrderedJson::parse(R"([{"role": "user", "content": "<image>\nCompare with <image>."}])");
  EXPECT_EQ(render("minigpt_v2", messages), "<s><s>[INST] <Img><ImageHere></Img> Compare with <Img><ImageHere></Img>. [/INST]");
  EXPECT_THAT(render("vicuna_v1", messages), HasSubstr("USER: <image>\nCompare with <image>. ASSISTANT:"));
  EXPECT_THAT(render("qwen_vl", messages), HasSubstr("Picture 1: <img></img>\nCompare with Picture 2: <img></img>."));
  EXPECT_EQ(render("cogvlm_chat", messages), "<image><image>Question: Compare with . Answer:");
}

TEST(BuiltinTemplates, APictureMayBeWrittenInTheModelsOwnTokens) {
  const auto with = [](std::string_view name, std::string_view picture, const OrderedJson& messages) {
    return ChatTemplate(builtin_template(name, picture)).render({{"messages", messages}, {"add_generation_prompt", true}});
  };
  EXPECT_THAT(with("internlm2-chat", "<img><IMG_CONTEXT></img>", kPicture),
              HasSubstr("<|im_start|>user\n<img><IMG_CONTEXT></img>\nWhat is it?<|im_end|><|im_start|>assistant\n"));
  EXPECT_EQ(with("cogvlm_chat", "", kPicture), "Question: What is it? Answer:");
  EXPECT_EQ(with("cogvlm_chat", "", OrderedJson::parse(R"([{"role": "user", "content": "<image>\nWhat?"}])")),
            "Question: What? Answer:");
}

TEST(BuiltinTemplates, EveryOneRendersTurnsAndRefusesOtherRoles) {
  const OrderedJson turns = OrderedJson::parse(
      R"([{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"}, {"role": "user", "content": "q2"}])");
  const OrderedJson other = OrderedJson::parse(R"([{"role": "tool", "content": "x"}])");
  EXPECT_GE(builtin_template_names().size(), 23U);
  for (const std::string_view name : builtin_template_names()) {
    const std::string text = render(name, turns);
    EXPECT_LT(text.find("q1"), text.find("a1")) << name;
    EXPECT_LT(text.find("a1"), text.find("q2")) << name;
    EXPECT_THROW(render(name, other), Error) << name;
    EXPECT_THAT(builtin_template(name), HasSubstr("{%- macro said(message) -%}")) << name;
    EXPECT_THAT(render(name, kPicture), HasSubstr(builtin_template_marker(name))) << name;
  }
}

TEST(BuiltinTemplates, AnUnknownNameListsTheKnown) {
  try {
    builtin_template("vicuna");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'vicuna' is unknown (known are llava_v0, llava_v1, vicuna_v1,"));
  }
}

}  // namespace
}  // namespace ocelli::text
