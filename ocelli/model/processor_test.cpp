// Placeholders, model inputs, and the preprocessing table.
#include "ocelli/model/processor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ocelli/base/test_support.h"
#include "ocelli/model/test_models.h"
#include "ocelli/model/visual_ids.h"

namespace ocelli::model {
namespace {

using test::error_of;
using Ids = std::vector<int64_t>;

Ids plain(Ids ids) {
  for (int64_t& id : ids) id = plain_id(id);
  return ids;
}

TEST(Processor, ExpandsEachPlaceholderToItsTokens) {
  const auto processor = test::tiny_processor();
  const Ids expanded = processor->expand(Ids{1, 5, 8, 5, 9}, Ids{2, 3});
  EXPECT_EQ(plain(expanded), (Ids{1, 5, 5, 8, 5, 5, 5, 9}));
  EXPECT_EQ(expanded, (Ids{1, visual_id(5), visual_id(5), 8, visual_id(5), visual_id(5), visual_id(5), 9}));
  EXPECT_EQ(processor->expand(Ids{1, 8}, Ids{}), (Ids{1, 8}));
  EXPECT_EQ(error_of([&] {
              (void)processor->expand(Ids{1, 5, 8}, Ids{2, 3});
            }),
            "the text has 1 <image> placeholders, but 2 pictures were given");
  EXPECT_EQ(error_of([&] {
              (void)processor->expand(Ids{1, 5, 5}, Ids{});
            }),
            "the text has 2 <image> placeholders, but 0 pictures were given");
}

TEST(Processor, MakesTheInputsOfOneSequence) {
  const auto processor = test::tiny_processor();
  const auto a = test::random_picture(1), b = test::random_picture(2);
  const ModelInputs inputs = processor->make_inputs(Ids{1, visual_id(5), 8, visual_id(5)}, {a, b});
  EXPECT_TRUE(at::equal(inputs.input_ids, at::tensor({1, 5, 8, 5}, at::kLong)));
  EXPECT_TRUE(at::equal(inputs.positions, at::arange(4, at::kLong)));
  EXPECT_TRUE(at::equal(inputs.visual_rows, at::tensor({1, 3}, at::kLong)));
  EXPECT_EQ(inputs.layout.pairs(), 10);
  EXPECT_EQ(inputs.pictures.size(), 2U);
  ASSERT_EQ(inputs.pixels.batches.size(), 1U);
  const at::Tensor pixels = inputs.pixels.batches[0];
  ASSERT_EQ(pixels.sizes(), (at::IntArrayRef{2, 3, 16, 16}));
  EXPECT_EQ(pixels[1][2][15][15].item<float>(), b.pixels.back());
  EXPECT_EQ(pixels[0][0][0][1].item<float>(), a.pixels[1]);
  EXPECT_TRUE(processor->make_inputs(Ids{1, 8}, {}).pixels.empty());
  // Views of another size are a batch of their own, in order.
  const auto large = test::random_picture(3, 20);
  const Pixels mixed = processor->make_inputs(Ids{visual_id(5), visual_id(5), visual_id(5)}, {a, large, b}).pixels;
  ASSERT_EQ(mixed.batches.size(), 3U);
  EXPECT_EQ(mixed.batches[1].sizes(), (at::IntArrayRef{1, 3, 20, 20}));
  EXPECT_EQ(mixed.batches[2][0][2][15][15].item<float>(), b.pixels.back());
}

TEST(Processor, SaysWhatItLacks) {
  const auto processor = test::tiny_processor();
  EXPECT_NE(error_of([&] { (void)processor->tokenizer(); }).find("--input-ids"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)processor->render({}, true); }).find("no chat template"), std::string::npos);
}

TEST(Processor, RendersWhatItSaved) {
  const test::TemporaryFolder folder;
  Processor::Parts parts;
  parts.tokenizer_json = text::train_byte_level_bpe({"a cat sat on a mat", "a cat, a hat"},
                                                    {.vocab_size = 300, .special_tokens = {"<s>", "</s>", "<image>"}});
  parts.tokenizer = text::make_tokenizer(parts.tokenizer_json, "trained");
  parts.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}";
  parts.bos_token = "<s>";
  parts.eos_token = "</s>";
  parts.placeholder.token_id = 2;
  parts.images.height = parts.images.width = parts.images.size = 16;
  const Processor made(parts);
  made.save(folder.path());
  Json json = test::tiny_config("ocelli");
  json["image_token_id"] = 2;
  json["text_config"]["vocab_size"] = 300;
  const auto loaded = Processor::load(folder.path(), test::config_from(json));
  EXPECT_EQ(loaded->image_token(), "<image>");
  EXPECT_EQ(loaded->images().to_json(), made.images().to_json());
  const OrderedJson messages = {{{"role", "user"}, {"content", "<image> a cat"}}};
  const std::string text = loaded->render(messages, false);
  EXPECT_EQ(text, "<s>user: <image> a cat</s>");
  const Ids ids = loaded->encode(text);
  EXPECT_EQ(ids, made.encode(text));
  EXPECT_EQ(ids.front(), 0);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 1);
  // A table too small for the tokenizer, or another size than the tower takes.
  json["text_config"]["vocab_size"] = 250;
  EXPECT_NE(error_of([&] { Processor::load(folder.path(), test::config_from(json)); }).find("ids, the embedding 250 rows"),
            std::string::npos);
  json["text_config"]["vocab_size"] = 300;
  json["vision_config"]["image_size"] = 32;
  EXPECT_NE(error_of([&] {
              Processor::load(folder.path(), test::config_from(json));
            }).find("prepared at 16 x 16, the vision tower takes 32 x 32"),
            std::string::npos);
}

void expect_equal(const ImageProcessor& a, const ImageProcessor& b) {
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.filter, b.filter);
  EXPECT_EQ(a.rescale_factor, b.rescale_factor);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.std, b.std);
  EXPECT_EQ(a.decode.apply_orientation, b.decode.apply_orientation);
  EXPECT_EQ(a.decode.alpha, b.decode.alpha);
  EXPECT_EQ(a.decode.sixteen_bit, b.decode.sixteen_bit);
}

ImageProcessor parsed(const Json& json) {
  return ImageProcessor::from_json(JsonView(json, "p.json"));
}

TEST(ImageProcessor, WritesWhatItReads) {
  const Json crop = {{"height", 16}, {"width", 24}}, square = {{"height", 16}, {"width", 16}}, shortest = {{"shortest_edge", 20}};
  const Json configs[] = {
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", shortest}, {"crop_size", crop}},
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", 20}, {"crop_size", 16}, {"resample", 2}},
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", square}, {"do_center_crop", false}},
      {{"image_processor_type", "LlavaImageProcessor"},
       {"size", {{"shortest_edge", 16}}},
       {"crop_size", square},
       {"do_pad", true}},
      {{"image_processor_type", "SiglipImageProcessor"},
       {"size", crop},
       {"image_mean", {0.1, 0.2, 0.3}},
       {"image_std", {0.5, 0.6, 0.7}}},
      {{"image_processor_type", "OcelliImageProcessor"},
       {"size", crop},
       {"shape", "squash"},
       {"resample", 1},
       {"rescale_factor", 0.5}},
      {{"image_processor_type", "OcelliImageProcessor"}, {"size", square}, {"shape", "pad"}},
      {{"image_processor_type", "OcelliImageProcessor"}, {"size", shortest}, {"shape", "shortest_edge"}, {"crop_size", crop}},
  };
  for (const Json& json : configs) {
    SCOPED_TRACE(json.dump());
    const ImageProcessor one = parsed(json);
    expect_equal(parsed(one.to_json()), one);
    if (json.contains("crop_size") && json["crop_size"] == crop) {
      EXPECT_EQ(one.height, 16);
      EXPECT_EQ(one.width, 24);
    }
  }
  // What a published processor leaves out.
  const ImageProcessor clip = parsed({{"image_processor_type", "CLIPImageProcessor"}});
  EXPECT_EQ(clip.shape, ImageProcessor::Shape::kShortestEdge);
  EXPECT_EQ(clip.size, 224);
  EXPECT_EQ(clip.filter, image::Filter::kBicubic);
  EXPECT_EQ(clip.mean[0], 0.48145466F);
  EXPECT_FALSE(clip.decode.apply_orientation);
  EXPECT_TRUE(parsed({{"image_processor_type", "OcelliImageProcessor"}}).decode.apply_orientation);
}

TEST(ImageProcessor, NamesWhatItCannotTake) {
  EXPECT_NE(error_of([] {
              parsed({{"image_processor_type", "PixtralImageProcessor"}});
            }).find("\"PixtralImageProcessor\"; known are"),
            std::string::npos);
  EXPECT_NE(error_of([] { parsed({{"resample", 5}}); }).find("resample is 5; known are 0 nearest"), std::string::npos);
  EXPECT_NE(error_of([] { parsed({{"do_resize", false}}); }).find("do_resize is false"), std::string::npos);
  EXPECT_NE(error_of([] { parsed({{"image_std", {1.0, 0.0, 1.0}}}); }).find("image_std holds 0"), std::string::npos);
  EXPECT_NE(error_of([] {
              parsed({{"image_mean", {1.0, 0.0}}});
            }).find("image_mean has 2 numbers, expected 3"),
            std::string::npos);
  EXPECT_NE(error_of([] { parsed({{"size", 0}}); }).find("size is 0"), std::string::npos);
}

TEST(ImageProcessor, ShapesPicturesAsItSays) {
  image::Image picture(40, 20);
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 120; ++x) picture.row(y)[x] = 255;  // white
  }
  ImageProcessor table;
  table.height = table.width = table.size = 16;
  for (const auto shape : {ImageProcessor::Shape::kSquash, ImageProcessor::Shape::kShortestEdge}) {
    table.shape = shape;
    const PixelTiles tiles = table.process(picture);
    EXPECT_EQ(tiles.tiling, table.tiling(40, 20));
    ASSERT_EQ(tiles.pixels.size(), 3U * 16 * 16);
    for (const float value : tiles.pixels) EXPECT_FLOAT_EQ(value, 1);  // (1 - 0.5) / 0.5
  }
  table.shape = ImageProcessor::Shape::kPad;
  const PixelTiles padded = table.process(picture);
  EXPECT_NEAR(padded.pixels[0], -0.004, 0.01);  // the mean colour stands above and below
  EXPECT_FLOAT_EQ(padded.pixels[8 * 16 + 8], 1);
}

}  // namespace
}  // namespace ocelli::model
