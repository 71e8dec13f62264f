#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ocelli::text {

/// Chat templates (Jinja) of systems that publish none, word for word after their own code:
///
/// - `llava_v0`, `llava_v1` (LLaVA 1.0, 1.1), `vicuna_v1` (LLaVA-1.5 and 1.6 with Vicuna, MobileVLM, Mini-Gemini with Vicuna),
///   `mistral_instruct`, `chatml_direct` (LLaVA-1.6 with Mistral; 34B): haotian-liu/LLaVA llava/conversation.py
/// - `qwen_vl` (Qwen-VL-Chat): qwen_generation_utils.py and, for pictures, tokenization_qwen.py of Qwen/Qwen-VL-Chat
/// - `monkey` (Monkey, TextMonkey): Yuliang-Liu/Monkey README.md
/// - `minicpm_v` (MiniCPM-V 1 and 2): modeling_minicpmv.py of openbmb/MiniCPM-V-2
/// - `minigpt_v2` (task tags such as `[vqa]` are the user's text): Vision-CAIR/MiniGPT-4
///   minigpt4/conversation/conversation.py
/// - `cogvlm_chat`, `cogvlm_vqa`: modeling_cogvlm.py of THUDM/cogvlm-chat-hf
/// - `cogagent_chat`, `cogagent_vqa`: modeling_cogagent.py of THUDM/cogagent-chat-hf
/// - `internlm2-chat`, `Hermes-2`, `phi3-chat` (InternVL 1.5, Mini-InternVL: `template` of config.json): OpenGVLab/InternVL
///   internvl_chat/internvl/conversation.py
/// - `deepseek_vl`: deepseek-ai/DeepSeek-VL deepseek_vl/utils/conversation.py
/// - `gemma`, `llama_3` (Mini-Gemini 2B; 8B, whose answers do stand under "system"): dvlab-research/MGM mgm/conversation.py
/// - `yi_vl`: 01-ai/Yi VL/llava/conversation.py
/// - `blip2` (questions): salesforce/LAVIS examples/blip2_instructed_generation.ipynb
/// - `instructblip` (the text alone): salesforce/LAVIS lavis/models/blip2_models/blip2_vicuna_instruct.py
/// - `vl_vicuna`: VPGTrans/VPGTrans lavis/conversation/conversation.py, which also trims every message
///
/// What they take: `messages` whose content is a string, in which `<image>` marks a picture, or a list of {"type": "image"} and
/// {"type": "text", "text"}, of which the pictures come first. A first message of role "system" stands for the system's own text,
/// where it has one; elsewhere it is an error, as is any role but user and assistant.
/// What a picture becomes is builtin_template_marker(); Qwen-VL and Monkey write the picture's "path" (of its part; empty for
/// `<image>`) between `<img>` and `</img>`. Begin-of-text tokens are the tokenizer's, but where the source writes them.
///
/// Throws Error for another name, listing the known ones.
std::string builtin_template(std::string_view name);
/// The same with `picture` where a picture's text stands, for a model that writes it in its own tokens.
std::string builtin_template(std::string_view name, std::string_view picture);

/// The text that stands for one picture: `<image>`, `<image_placeholder>`, `<ImageHere>` …, for the processor to find.
std::string builtin_template_marker(std::string_view name);

std::vector<std::string_view> builtin_template_names();

}  // namespace ocelli::text
