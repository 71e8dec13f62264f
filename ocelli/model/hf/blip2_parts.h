#pragma once

#include "ocelli/model/hf/family.h"

namespace ocelli::model::hf {

// What the families around BLIP-2 share: EVA-g, Q-Former, T5.

/// An EVA as it is stored; by default the published g.
struct EvaSizes {
  int64_t hidden_size = 1408;
  int64_t intermediate_size = 6144;
  int64_t blocks = 40;
  int64_t patch_size = 14;
  int64_t positions_side = 16;  ///< rows, and columns, of the stored table of positions
};

/// An EVA-g in LAVIS' own layout, names starting with `prefix` (`visual_encoder.` or none): its sizes are the tensors' shapes, in
/// a folder without any `otherwise`. The features are `ln_vision` of the last block, class token in front. `blocks`: how many of
/// them run, counted from the end when negative: -1 all but the last; 0: all.
vision::VisionConfig eva_tower(const Source& source, std::string_view prefix, int64_t image_size, int64_t heads, int64_t blocks,
                               const EvaSizes& otherwise);
/// Names of that tower, `ln_vision` left out. One block more than `layers` may be stored.
NameMap eva_names(std::string_view prefix, int64_t layers);

/// Pictures stretched to side x side, CLIP's mean and deviation: LAVIS' blip_image_eval.
ImageProcessor blip_images(int64_t side);

/// Sets the language part to a T5; `decoder` repeats the sizes that caches, vocabularies and connectors ask for.
void set_encoder_decoder(ModelConfig& config, const language::EncoderDecoderConfig& t5);
/// The language part's own names (`model.layers.0…` or `encoder.block.0…`), ours without `language_model.`.
NameMap language_names(const ModelConfig& config);

/// Chat template that says nothing but the text.
extern const char* const kPlainTemplate;
/// `Question: … Answer:` (BLIP-2).
extern const char* const kQuestionTemplate;

}  // namespace ocelli::model::hf
