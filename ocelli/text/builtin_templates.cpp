#include "ocelli/text/builtin_templates.h"

#include <algorithm>
#include <array>

#include "ocelli/base/error.h"

namespace ocelli::text {

namespace {

/// Where a conversation's own system text goes.
enum class System {
  kNone,     ///< nowhere: a system message is an error
  kBefore,   ///< first of all
  kInFirst,  ///< in the first question, when there is one (Llama-2's form)
};
/// Where pictures go.
enum class Pictures {
  kInPlace,
  kFront,     ///< before the whole text, however many turns
  kPath,      ///< in place, as their paths
  kNumbered,  ///< in place, "Picture 1: " and so on before their paths
};

/// All published formats are texts put around what is said. `\n` is written as in a Jinja string.
struct Format {
  std::string_view name;
  std::string_view begin, system, after_system;  ///< `system`: the default text
  std::string_view before_user, after_user;
  std::string_view before_answer, after_answer;
  std::string_view generation;  ///< what is there when an answer is asked for
  std::string_view picture, after_picture;
  System place = System::kNone;
  Pictures pictures = Pictures::kInPlace;
  std::string_view marker = "<image>";
};

constexpr std::string_view kUserSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite "
    "answers to the user\\'s questions.";
constexpr std::string_view kHumanSystem =
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite "
    "answers to the human\\'s questions.";
constexpr std::string_view kVisionSystem =
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and "
    "assist the user with a variety of tasks using natural language.";
constexpr std::string_view kInternvlSystem =
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。";
constexpr std::string_view kYiSystem =
    "This is a chat between an inquisitive human and an AI assistant. Assume the role of the AI assistant. Read all the images "
    "carefully, and respond to the human\\'s questions with informative, helpful, detailed and polite answers. "
    "这是一个好奇的人类和一个人工智能助手之间的对话。假设你扮演这个AI助手的角色。仔细阅读所有的图像，并对人类的问题做出信息丰富、"
    "有"
    "帮助、详细的和礼貌的回答。";

/// ChatML without line ends between the turns.
constexpr Format chatml(std::string_view name, std::string_view system) {
  return {.name = name,
          .begin = "<|im_start|>system\\n",
          .system = system,
          .after_system = "<|im_end|>",
          .before_user = "<|im_start|>user\\n",
          .after_user = "<|im_end|>",
          .before_answer = "<|im_start|>assistant\\n",
          .after_answer = "<|im_end|>",
          .generation = "<|im_start|>assistant\\n",
          .picture = "<image>",
          .after_picture = "\\n",
          .place = System::kBefore};
}

/// `USER: … ASSISTANT: …</s>`
constexpr Format vicuna(std::string_view name, std::string_view system) {
  return {.name = name,
          .system = system,
          .after_system = " ",
          .before_user = "USER: ",
          .after_user = " ",
          .before_answer = "ASSISTANT: ",
          .after_answer = "</s>",
          .generation = "ASSISTANT:",
          .picture = "<image>",
          .after_picture = "\\n",
          .place = System::kBefore};
}

/// CogVLM: "Question: … Answer: …", the picture before everything.
constexpr Format cogvlm(std::string_view name, std::string_view before_answer, std::string_view generation) {
  return {.name = name,
          .before_user = "Question: ",
          .after_user = " ",
          .before_answer = before_answer,
          .after_answer = "\\n",
          .generation = generation,
          .picture = "<image>",
          .pictures = Pictures::kFront};
}

constexpr std::array kFormats = {
    Format{.name = "llava_v0",
           .system = kHumanSystem,
           .after_system = "###",
           .before_user = "Human: ",
           .after_user = "###",
           .before_answer = "Assistant: ",
           .after_answer = "###",
           .generation = "Assistant:",
           .picture = "<image>",
           .after_picture = "\\n",
           .place = System::kBefore},
    vicuna("llava_v1", kHumanSystem),
    vicuna("vicuna_v1", kUserSystem),
    Format{.name = "mistral_instruct",
           .begin = "<<SYS>>\\n",
           .after_system = "\\n<</SYS>>\\n\\n",
           .before_user = "[INST] ",
           .after_user = " [/INST]",
           .before_answer = " ",
           .after_answer = " </s>",
           .picture = "<image>",
           .after_picture = "\\n",
           .place = System::kInFirst},
    chatml("chatml_direct", "Answer the questions."),
    Format{.name = "qwen_vl",
           .begin = "<|im_start|>system\\n",
           .system = "You are a helpful assistant.",
           .after_system = "<|im_end|>\\n",
           .before_user = "<|im_start|>user\\n",
           .after_user = "<|im_end|>\\n",
           .before_answer = "<|im_start|>assistant\\n",
           .after_answer = "<|im_end|>\\n",
           .generation = "<|im_start|>assistant\\n",
           .after_picture = "\\n",
           .place = System::kBefore,
           .pictures = Pictures::kNumbered,
           .marker = "<img>"},
    Format{.name = "monkey",
           .after_user = " ",
           .before_answer = "Answer: ",
           .after_answer = "\\n",
           .generation = "Answer: ",
           .after_picture = " ",
           .pictures = Pictures::kPath,
           .marker = "<img>"},
    Format{.name = "minicpm_v",
           .before_user = "<用户>",
           .before_answer = "<AI>",
           .generation = "<AI>",
           .picture = "<image></image>",
           .after_picture = "\\n",
           .marker = "<image></image>"},
    // The text begins with a BOS token and so do the ids: the tokenizer adds its own.
    Format{.name = "minigpt_v2",
           .begin = "<s>",
           .before_user = "<s>[INST] ",
           .before_answer = " [/INST]",
           .generation = " [/INST]",
           .picture = "<Img><ImageHere></Img>",
           .after_picture = " ",
           .marker = "<ImageHere>"},
    cogvlm("cogvlm_chat", "Answer: ", "Answer:"),
    cogvlm("cogvlm_vqa", "Short answer: ", "Short answer:"),
    Format{.name = "cogagent_chat",
           .before_user = " [INST] ",
           .after_user = " [/INST] ",
           .picture = "<image>",
           .pictures = Pictures::kFront},
    Format{.name = "cogagent_vqa",
           .before_user = "<EOI>Question: ",
           .after_user = " ",
           .before_answer = "Short answer: ",
           .generation = "Short answer:",
           .picture = "<image>",
           .pictures = Pictures::kFront},
    chatml("internlm2-chat", kInternvlSystem),
    chatml("Hermes-2", kInternvlSystem),
    Format{.name = "phi3-chat",
           .begin = "<|system|>\\n",
           .system = kInternvlSystem,
           .after_system = "<|end|>",
           .before_user = "<|user|>\\n",
           .after_user = "<|end|>",
           .before_answer = "<|assistant|>\\n",
           .after_answer = "<|end|>",
           .generation = "<|assistant|>\\n",
           .picture = "<image>",
           .after_picture = "\\n",
           .place = System::kBefore},
    Format{.name = "deepseek_vl",
           .system = kVisionSystem,
           .after_system = "\\n\\n",
           .before_user = "User: ",
           .after_user = "\\n\\n",
           .before_answer = "Assistant: ",
           .after_answer = "<｜end▁of▁sentence｜>",
           .generation = "Assistant:",
           .picture = "<image_placeholder>",
           .place = System::kBefore,
           .marker = "<image_placeholder>"},
    Format{.name = "gemma",
           .before_user = "<start_of_turn>user\\n",
           .after_user = "<end_of_turn>\\n",
           .before_answer = "<start_of_turn>model\\n",
           .after_answer = "<end_of_turn>\\n<eos>",
           .generation = "<start_of_turn>model\\n",
           .picture = "<image>",
           .after_picture = "\\n"},
    Format{.name = "llama_3",
           .begin = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\\n\\n",
           .system = kVisionSystem,
           .after_system = "<|eot_id|>",
           .before_user = "<|start_header_id|>user<|end_header_id|>\\n\\n",
           .after_user = "<|eot_id|>",
           .before_answer = "<|start_header_id|>system<|end_header_id|>\\n\\n",
           .after_answer = "<|eot_id|>",
           .generation = "<|start_header_id|>system<|end_header_id|>\\n\\n",
           .picture = "<image>",
           .after_picture = "\\n",
           .place = System::kBefore},
    Format{.name = "yi_vl",
           .system = kYiSystem,
           .after_system = "\\n\\n### ",
           .before_user = "Human: ",
           .after_user = "\\n### ",
           .before_answer = "Assistant: ",
           .after_answer = "\\n### ",
           .generation = "Assistant:",
           .picture = "<image_placeholder>",
           .after_picture = "\\n",
           .place = System::kBefore,
           .marker = "<image_placeholder>"},
    Format{.name = "blip2",
           .before_user = "Question: ",
           .after_user = " ",
           .before_answer = "Answer: ",
           .after_answer = ". ",
           .generation = "Answer:",
           .picture = "<image>",
           .pictures = Pictures::kFront},
    Format{.name = "instructblip", .picture = "<image>", .pictures = Pictures::kFront},
    Format{.name = "vl_vicuna",
           .begin = "###",
           .before_user = "Human: ",
           .after_user = " ###",
           .before_answer = "Assistant: ",
           .after_answer = " ###",
           .generation = "Assistant:",
           .picture = "<Img><ImageHere></Img>",
           .after_picture = " ",
           .marker = "<ImageHere>"},
};

const Format& format_of(std::string_view name) {
  const auto* found = std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& format) { return format.name == name; });
  if (found != kFormats.end()) return *found;
  std::string known;
  for (const Format& format : kFormats) {
    if (!known.empty()) known += ", ";
    known += format.name;
  }
  fail("chat template '{}' is unknown (known are {})", name, known);
}

std::string quoted(std::string_view text) {
  return fmt::format("'{}'", text);
}

/// An expression that prints a picture of the given path.
std::string picture_of(const Format& format, std::string_view path) {
  if (format.pictures == Pictures::kPath) return fmt::format("'<img>' ~ {} ~ '</img>'", path);
  if (format.pictures == Pictures::kNumbered) return fmt::format("'Picture ' ~ count.pictures ~ ': <img>' ~ {} ~ '</img>'", path);
  return quoted(format.picture);
}

/// Prints a picture, counting it where it is numbered.
std::string print_picture(const Format& format, std::string_view path) {
  const std::string print = "{{- " + picture_of(format, path) + " -}}\n";
  if (format.pictures != Pictures::kNumbered) return print;
  return "{%- set count.pictures = count.pictures + 1 -%}\n" + print;
}

/// The macro `said(message)`. In a string a line end after `<image>` is LLaVA's, and becomes what the system has there.
std::string said(const Format& format) {
  std::string out = "{%- macro said(message) -%}\n{%- if message.content is string -%}\n";
  if (format.pictures == Pictures::kFront) {
    out += "{{- message.content | replace('<image>\\n', '') | replace('<image>', '') -}}\n{%- else -%}\n";
  } else {
    out += "{%- for piece in message.content.split('<image>') -%}\n{%- if loop.first -%}\n{{- piece -}}\n{%- else -%}\n" +
           print_picture(format, "''") + "{{- " + quoted(format.after_picture) +
           " ~ piece[1:] if piece.startswith('\\n') else piece -}}\n{%- endif -%}\n{%- endfor -%}\n{%- else -%}\n" +
           "{%- for part in message.content if part.type == 'image' -%}\n" + print_picture(format, "part.path | default('')") +
           "{{- " + quoted(format.after_picture) + " -}}\n{%- endfor -%}\n";
  }
  out += "{%- for part in message.content if part.type == 'text' -%}\n{{- part.text -}}\n{%- endfor -%}\n{%- endif -%}\n";
  return out + "{%- endmacro -%}\n";
}

std::string first_texts(const Format& format) {
  std::string out =
      "{%- set turns = messages[1:] if messages and messages[0].role == 'system' else messages -%}\n"
      "{%- set system = said(messages[0]) if messages and messages[0].role == 'system' else " +
      quoted(format.system) + " -%}\n";
  if (format.place == System::kBefore) {
    return out + "{{- " + quoted(format.begin) + " ~ system ~ " + quoted(format.after_system) + " -}}\n";
  }
  if (format.place == System::kNone) {
    out += "{%- if system -%}\n{{- raise_exception('" + std::string(format.name) +
           ": there is no place for a system message') -}}\n{%- endif -%}\n{{- " + quoted(format.begin) + " -}}\n";
  }
  if (format.pictures != Pictures::kFront) return out;
  return out +
         "{%- for message in turns -%}\n{%- if message.content is string -%}\n"
         "{{- " +
         quoted(format.picture) +
         " * (message.content.split('<image>') | length - 1) -}}\n{%- else -%}\n"
         "{%- for part in message.content if part.type == 'image' -%}\n{{- " +
         quoted(format.picture) +
         " -}}\n{%- endfor -%}\n"
         "{%- endif -%}\n{%- endfor -%}\n";
}

std::string written(const Format& format) {
  const std::string name(format.name);
  std::string out;
  if (format.pictures == Pictures::kNumbered) out += "{%- set count = namespace(pictures=0) -%}\n";
  out += said(format) + first_texts(format);
  std::string user = quoted(format.before_user) + " ~ said(message) ~ " + quoted(format.after_user);
  if (format.place == System::kInFirst) {
    user = quoted(format.before_user) + " ~ (" + quoted(format.begin) + " ~ system ~ " + quoted(format.after_system) +
           " if loop.first and system else '') ~ said(message) ~ " + quoted(format.after_user);
  }
  out += "{%- for message in turns -%}\n{%- if message.role == 'user' -%}\n{{- " + user +
         " -}}\n{%- elif message.role == 'assistant' -%}\n{{- " + quoted(format.before_answer) + " ~ said(message) ~ " +
         quoted(format.after_answer) + " -}}\n{%- else -%}\n{{- raise_exception('" + name +
         ": the role \"' ~ message.role ~ '\" is neither user nor assistant') -}}\n{%- endif -%}\n{%- endfor -%}\n";
  return out + "{%- if add_generation_prompt -%}\n{{- " + quoted(format.generation) + " -}}\n{%- endif -%}\n";
}

}  // namespace

std::string builtin_template(std::string_view name) {
  return written(format_of(name));
}

std::string builtin_template(std::string_view name, std::string_view picture) {
  Format format = format_of(name);
  format.picture = picture;
  return written(format);
}

std::string builtin_template_marker(std::string_view name) {
  return std::string(format_of(name).marker);
}

std::vector<std::string_view> builtin_template_names() {
  std::vector<std::string_view> names;
  for (const Format& format : kFormats) names.push_back(format.name);
  return names;
}

}  // namespace ocelli::text
