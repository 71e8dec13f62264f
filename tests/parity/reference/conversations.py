"""Prompts of the systems with built-in templates, each by the rule its own code follows (sources: ocelli/text/builtin_templates.h).

`turns`: questions and answers in turn, the first of which may have a picture; the last may be a question that waits for its answer.
"""

CURIOUS = ("A chat between a curious {0} and an artificial intelligence assistant. "
           "The assistant gives helpful, detailed, and polite answers to the {0}'s questions.")
VISION = ("You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, "
          "and assist the user with a variety of tasks using natural language.")
INTERNVL = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
YI = ("This is a chat between an inquisitive human and an AI assistant. Assume the role of the AI assistant. "
      "Read all the images carefully, and respond to the human's questions with informative, helpful, detailed and polite answers. "
      "这是一个好奇的人类和一个人工智能助手之间的对话。"
      "假设你扮演这个AI助手的角色。仔细阅读所有的图像，并对人类的问题做出信息丰富、有帮助、详细的和礼貌的回答。")


def single(system, roles, sep, colon=": "):
    """SeparatorStyle.SINGLE of LLaVA's and MiniGPT-4's conversation.py."""
    def prompt(turns, given):
        out = (given or system) + sep
        for i, said in enumerate(turns):
            out += roles[i % 2] + colon + said + sep
        return out + (roles[1] + colon.rstrip() if len(turns) % 2 else "")
    return prompt


def two(system, sep, sep2):
    """SeparatorStyle.TWO."""
    def prompt(turns, given):
        out = (given or system) + sep
        for i, said in enumerate(turns):
            out += ("USER", "ASSISTANT")[i % 2] + ": " + said + (sep, sep2)[i % 2]
        return out + ("ASSISTANT:" if len(turns) % 2 else "")
    return prompt


def mpt(system, begin, roles, sep):
    """SeparatorStyle.MPT."""
    def prompt(turns, given):
        out = begin + (given or system) + sep
        for i, said in enumerate(turns):
            out += roles[i % 2] + said + sep
        return out + (roles[1] if len(turns) % 2 else "")
    return prompt


CHATML = ("<|im_start|>user\n", "<|im_start|>assistant\n")


def llama_2(turns, given):
    out = ""
    for i, said in enumerate(turns):
        if i == 0 and given:
            said = f"<<SYS>>\n{given}\n<</SYS>>\n\n" + said
        out += f"[INST] {said} [/INST]" if i % 2 == 0 else f" {said} </s>"
    return out


def qwen(turns, given):
    """make_context of qwen_generation_utils.py."""
    out = "<|im_start|>system\n" + (given or "You are a helpful assistant.") + "<|im_end|>"
    pairs = list(zip(turns[0::2], turns[1::2]))
    for query, response in pairs:
        out += f"\n<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n{response}<|im_end|>"
    if len(turns) % 2:
        return out + f"\n<|im_start|>user\n{turns[-1]}<|im_end|>\n<|im_start|>assistant\n"
    return out + "\n"


def minicpm(turns, given):
    out = "".join(("<用户>", "<AI>")[i % 2] + said for i, said in enumerate(turns))
    return out + ("<AI>" if len(turns) % 2 else "")


def minigpt_v2(turns, given):
    """CONV_VISION_minigptv2: roles with no separator, and the BOS id the tokenizer adds before the text's own."""
    out = "<s>" + "".join(("<s>[INST] ", " [/INST]")[i % 2] + said for i, said in enumerate(turns))
    return out + (" [/INST]" if len(turns) % 2 else "")


def cogvlm(answer_format):
    def prompt(turns, given):
        out = ""
        for query, response in zip(turns[0::2], turns[1::2]):
            out += "Question: " + query + " {} ".format(answer_format) + response + "\n"
        return out + ("Question: {} {}".format(turns[-1], answer_format) if len(turns) % 2 else "")
    return prompt


def cogagent(turns, given):
    out = ""
    for query, response in zip(turns[0::2], turns[1::2]):
        out += " [INST] " + query + " [/INST] " + response
    return out + (" [INST] " + turns[-1] + " [/INST] " if len(turns) % 2 else "")


def deepseek(turns, given):
    out = (given or VISION) + "\n\n"
    for i, said in enumerate(turns):
        out += ("User", "Assistant")[i % 2] + ": " + said + ("\n\n", "<｜end▁of▁sentence｜>")[i % 2]
    return out + ("Assistant:" if len(turns) % 2 else "")


def gemma(turns, given):
    out = ""
    for i, said in enumerate(turns):
        out += "<start_of_turn>" + ("user", "model")[i % 2] + "\n" + said + "<end_of_turn>\n" + ("", "<eos>")[i % 2]
    return out + ("<start_of_turn>model\n" if len(turns) % 2 else "")


def yi(turns, given):
    out = (given or YI) + "\n\n" + "###" + " "
    for i, said in enumerate(turns):
        out += ("Human", "Assistant")[i % 2] + ": " + said + "\n" + "###" + " "
    return out + ("Assistant:" if len(turns) % 2 else "")


def vl_vicuna(turns, given):
    """SeparatorStyle.SINGLE of VPGTrans, with a space before each separator (its trimming of messages left out)."""
    out = "###"
    for i, said in enumerate(turns):
        out += ("Human", "Assistant")[i % 2] + ": " + said + " " + "###"
    return out + ("Assistant:" if len(turns) % 2 else "")


LLAMA_3 = ("<|start_header_id|>user<|end_header_id|>\n\n", "<|start_header_id|>system<|end_header_id|>\n\n")

# Name: (rule, has a place for a system text, what stands for a picture before a question; None: before everything)
SYSTEMS = {
    "llava_v0": (single(CURIOUS.format("human"), ("Human", "Assistant"), "###"), True, "<image>\n"),
    "llava_v1": (two(CURIOUS.format("human"), " ", "</s>"), True, "<image>\n"),
    "vicuna_v1": (two(CURIOUS.format("user"), " ", "</s>"), True, "<image>\n"),
    "mistral_instruct": (llama_2, True, "<image>\n"),
    "chatml_direct": (mpt("Answer the questions.", "<|im_start|>system\n", CHATML, "<|im_end|>"), True, "<image>\n"),
    "qwen_vl": (qwen, True, "Picture 1: <img>p/1.jpg</img>\n"),
    "minicpm_v": (minicpm, False, "<image></image>\n"),
    "minigpt_v2": (minigpt_v2, False, "<Img><ImageHere></Img> "),
    "cogvlm_chat": (cogvlm("Answer:"), False, None),
    "cogvlm_vqa": (cogvlm("Short answer:"), False, None),
    "cogagent_chat": (cogagent, False, None),
    "internlm2-chat": (mpt(INTERNVL, "<|im_start|>system\n", CHATML, "<|im_end|>"), True, "<image>\n"),
    "Hermes-2": (mpt(INTERNVL, "<|im_start|>system\n", CHATML, "<|im_end|>"), True, "<image>\n"),
    "phi3-chat": (mpt(INTERNVL, "<|system|>\n", ("<|user|>\n", "<|assistant|>\n"), "<|end|>"), True, "<image>\n"),
    "deepseek_vl": (deepseek, True, "<image_placeholder>"),
    "gemma": (gemma, False, "<image>\n"),
    "llama_3": (mpt(VISION, "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n", LLAMA_3, "<|eot_id|>"), True, "<image>\n"),
    "vl_vicuna": (vl_vicuna, False, "<Img><ImageHere></Img> "),
    "yi_vl": (yi, True, "<image_placeholder>\n"),
}
