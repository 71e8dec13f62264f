#pragma once

#include "ocelli/model/hf/family.h"

namespace ocelli::model::hf {

// One function a layout, each in the file of its name.

Family blip2();                 ///< transformers' Blip2ForConditionalGeneration
Family blip2_lavis();           ///< BLIP-2, InstructBLIP and VPGTrans' VL-Vicuna as LAVIS names them
Family instructblip();          ///< transformers' InstructBlipForConditionalGeneration
Family minigpt_v2();            ///< MiniGPT-v2: a Llama folder's config with a section of its own
Family internvl_original();     ///< InternVL 1.5, Mini-InternVL as their own code saves them
Family internvl();              ///< transformers' InternVLForConditionalGeneration
Family cogvlm();                ///< CogVLM and CogAgent as their own code saves them
Family llava_original();        ///< LLaVA 1.0-1.6, MobileVLM and Yi-VL as their own code saves them
Family llava();                 ///< transformers' LlavaForConditionalGeneration
Family llava_next();            ///< transformers' LlavaNextForConditionalGeneration
Family llava_onevision();       ///< transformers' LlavaOnevisionForConditionalGeneration
Family qwen2_vl();              ///< transformers' Qwen2VLForConditionalGeneration
Family qwen2_5_vl();            ///< transformers' Qwen2_5_VLForConditionalGeneration
Family idefics3();              ///< transformers' Idefics3ForConditionalGeneration
Family smolvlm();               ///< transformers' SmolVLMForConditionalGeneration
Family paligemma();             ///< transformers' PaliGemmaForConditionalGeneration
Family deepseek_vl_original();  ///< DeepSeek-VL as its own code saves it
Family deepseek_vl();           ///< transformers' DeepseekVLForConditionalGeneration
Family deepseek_vl_hybrid();    ///< transformers' DeepseekVLHybridForConditionalGeneration
Family mini_gemini();           ///< Mini-Gemini
Family next_chat();             ///< NExT-Chat, without its masks
Family minicpm_v();             ///< MiniCPM-V 1 and 2
Family qwen_vl();               ///< Qwen-VL and Qwen-VL-Chat
Family text_monkey();           ///< TextMonkey
Family qwen_text();             ///< the first Qwen without pictures
Family ocelli_family();         ///< parts spelled out
Family text_only();             ///< a decoder alone, by its `model_type`

/// Names of a decoder as its own checkpoints have them (`model.layers.0…`, `lm_head…`), ours without `language_model.`.
NameMap decoder_names(const language::DecoderConfig& config);
/// Names of its body alone, as transformers' base class has them (`layers.0…`, OPT's `decoder.layers.0…`); ours start with
/// `model.`.
NameMap decoder_body_names(const language::DecoderConfig& config);
/// Names of MobileVLM's projectors, below `mm_projector.` and ours below `multi_modal_projector.`.
NameMap ldp_names();
NameMap ldp_v2_names();
/// Names of a cross-attention resampler as its own code has them, ours without `multi_modal_projector.`.
NameMap resampler_names();
/// Names of a CLIP or SigLIP tower inside `vision_model.`, ours without `vision_tower.`.
NameMap transformer_tower_names();
/// Names of an InternViT as transformers has them, and as its own code has them; ours without `vision_tower.`.
NameMap internvl_vision_names();
NameMap intern_vit_names();
/// Names of a folder that holds a tower alone, by its config.json; nullopt when that is no tower's.
std::optional<NameMap> tower_names(const JsonView& config);

}  // namespace ocelli::model::hf
