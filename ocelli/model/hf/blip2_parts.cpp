#include "ocelli/model/hf/blip2_parts.h"

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {

// Content is a string or a list of parts; pictures stand in front, where the placeholder's rule puts them.
#define OCELLI_TEXT_OF_MESSAGE                                        \
  "{% if message.content is string %}{{ message.content }}{% else %}" \
  "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}{% endif %}"
const char* const kPlainTemplate = "{% for message in messages %}" OCELLI_TEXT_OF_MESSAGE "{% endfor %}";
const char* const kQuestionTemplate =
    "{% for message in messages %}{% if message.role == 'user' %}{% if not loop.first %}. {% endif "
    "%}Question: " OCELLI_TEXT_OF_MESSAGE " Answer:{% else %} " OCELLI_TEXT_OF_MESSAGE "{% endif %}{% endfor %}";
#undef OCELLI_TEXT_OF_MESSAGE

namespace {

EvaSizes eva_shapes(const Source& source, const std::string& start) {
  const auto shape = [&](const std::string& name, size_t dimensions) {
    const std::vector<int64_t>& sizes = source.shape(start + name);
    require(sizes.size() == dimensions, "{}{} has {} dimensions, expected {}", start, name, sizes.size(), dimensions);
    return sizes;
  };
  EvaSizes out;
  out.hidden_size = shape("cls_token", 3)[2];
  out.intermediate_size = shape("blocks.0.mlp.fc1.weight", 2)[0];
  out.blocks = source.count(start + "blocks.", ".norm1.weight");
  out.patch_size = shape("patch_embed.proj.weight", 4)[2];
  const int64_t places = shape("pos_embed", 3)[1] - 1;
  out.positions_side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(places))));
  require(out.positions_side > 0 && out.positions_side * out.positions_side == places,
          "{}pos_embed has {} rows, expected a square and one", start, places + 1);
  return out;
}

}  // namespace

vision::VisionConfig eva_tower(const Source& source, std::string_view prefix, int64_t image_size, int64_t heads, int64_t blocks,
                               const EvaSizes& otherwise) {
  const EvaSizes sizes = source.has_weights() ? eva_shapes(source, std::string(prefix)) : otherwise;
  vision::VisionConfig out;
  out.hidden_size = sizes.hidden_size;
  out.intermediate_size = sizes.intermediate_size;
  out.num_hidden_layers = blocks > 0 ? blocks : sizes.blocks + blocks;
  require(out.num_hidden_layers > 0 && out.num_hidden_layers <= sizes.blocks,
          "{}: {} blocks of the vision tower are stored, {} are to run", source.config().path(), sizes.blocks,
          out.num_hidden_layers);
  out.num_attention_heads = heads;
  require(heads > 0 && out.hidden_size % heads == 0, "{}: the tower's width {} is no multiple of {} heads",
          source.config().path(), out.hidden_size, heads);
  out.image_size = image_size;
  out.patch_size = sizes.patch_size;
  out.position_grid = {sizes.positions_side, sizes.positions_side};
  out.position_resize = vision::PositionResize::kBicubic;
  out.class_embedding = true;
  out.key_bias = false;
  out.layer_norm_eps = 1e-6;
  out.apply_post_layernorm = true;
  out.post_layernorm_eps = 1e-5;  // ln_vision is a LayerNorm of torch's default
  out.keep_class_token = true;
  return out;
}

NameMap eva_names(std::string_view prefix, int64_t layers) {
  NameMap names;
  names.add({"cls_token", {"embeddings.class_embedding"}, Transform::kSqueeze, 2});
  names.add({"pos_embed", {"embeddings.position_embedding.weight"}, Transform::kSqueeze, 1});
  names.add({"patch_embed.proj.**", {"embeddings.patch_embedding.**"}});
  const auto block = [&](const char* published, std::vector<std::string> ours, Transform transform = Transform::kSame) {
    for (std::string& name : ours) name = "encoder.layers.*." + name;
    names.add({std::string("blocks.*.") + published, std::move(ours), transform});
  };
  names.add({"blocks." + std::to_string(layers) + ".**", {}, Transform::kIgnore});
  block("attn.q_bias", {"self_attn.q_proj.bias"});
  block("attn.v_bias", {"self_attn.v_proj.bias"});
  block("attn.qkv.weight", {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}, Transform::kSplit);
  block("attn.proj.**", {"self_attn.out_proj.**"});
  block("norm1.**", {"layer_norm1.**"});
  block("norm2.**", {"layer_norm2.**"});
  block("mlp.**", {"mlp.**"});
  // What the whole classifier has and a feature tower does not use.
  for (const char* unused : {"norm.**", "fc_norm.**", "head.**", "rope.**", "mask_token"})
    names.add({unused, {}, Transform::kIgnore});
  NameMap out;
  out.add(names, prefix, "vision_tower.");
  return out;
}

ImageProcessor blip_images(int64_t side) {
  ImageProcessor images;
  images.shape = ImageProcessor::Shape::kSquash;
  images.size = images.height = images.width = side;
  images.filter = image::Filter::kBicubic;
  images.mean = kClipMean;
  images.std = kClipStd;
  images.decode = image::DecodeOptions::pillow();
  return images;
}

void set_encoder_decoder(ModelConfig& config, const language::EncoderDecoderConfig& t5) {
  config.encoder_decoder = t5;
  language::DecoderConfig& sizes = config.decoder;
  sizes.model_type = "t5";
  sizes.vocab_size = t5.vocab_size;
  sizes.hidden_size = t5.d_model;
  sizes.intermediate_size = t5.d_ff;
  sizes.num_hidden_layers = t5.num_decoder_layers;
  sizes.num_attention_heads = sizes.num_key_value_heads = t5.num_heads;
  sizes.head_dim = t5.d_kv;
  sizes.tie_word_embeddings = t5.tie_word_embeddings;
  sizes.eos_token_ids = t5.eos_token_ids;
}

NameMap language_names(const ModelConfig& config) {
  if (!config.encoder_decoder) return decoder_names(config.decoder);
  NameMap names;
  // Copies of `shared`, and a table older T5 wrote but never read.
  for (const char* unused : {"encoder.embed_tokens.**", "decoder.embed_tokens.**",
                             "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.**"}) {
    names.add({unused, {}, Transform::kIgnore});
  }
  names.add({"shared.**", {"shared.**"}});
  names.add({"encoder.**", {"encoder.**"}});
  names.add({"decoder.**", {"decoder.**"}});
  names.add({"lm_head.**", {"lm_head.**"}});
  return names;
}

}  // namespace ocelli::model::hf
