"""Chat templates: what ocelli renders against what transformers renders.

Runs `text_test` of the build named by OCELLI_BUILD (default build/dev).
"""

import collections
import json
import os
import pathlib
import random
import subprocess
import sys


sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the two modules beside this one

from chat_template_styles import PICTURE_STYLES, TEXT_STYLES, picture_conversation, text_conversation, variables
from reference.conversations import SYSTEMS
from template_snippets import snippets

from transformers.utils import chat_template_utils  # noqa: E402: a missing reference is a failure, not a test passed over

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVERSATIONS = 25  # of each style

# Where the text can't be equal: Python prints addresses, and the time may pass midnight between the two renderings.
NOT_COMPARED = (" at 0x", "<generator object", "<bound method", "<function", "<built-in")


def rendered(template, given):
    """What jinja2 gives: {"text"} or {"error"}."""
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**json.loads(json.dumps(given)))}
    except Exception as error:  # anything a template can raise
        return {"error": f"{type(error).__name__}: {error}"}


def ocelli_answers(cases, folder, kind="template"):
    """`cases`: template (or the name of a builtin one) and variables first."""
    program = ROOT / os.environ.get("OCELLI_BUILD", "build/dev") / "text_test"
    assert program.exists(), f"{program} isn't built"
    requests, answers = folder / "requests.jsonl", folder / "answers.jsonl"
    requests.write_text("".join(json.dumps({kind: case[0], "variables": case[1]}) + "\n" for case in cases), encoding="utf-8")
    subprocess.run(
        [program, "--gtest_filter=TemplateProbe.*"],
        env={**os.environ, "OCELLI_PROBE": str(requests), "OCELLI_TEST_OUT": str(answers)},
        check=True, stdout=subprocess.DEVNULL)
    # Not splitlines(): it would also cut at U+2028 inside the text.
    return [json.loads(line) for line in answers.read_text(encoding="utf-8").split("\n") if line]


def differences(cases, folder):
    answers = ocelli_answers(cases, folder)
    assert len(answers) == len(cases)
    found = []
    for (template, given), ours in zip(cases, answers):
        theirs = rendered(template, given)
        if any(mark in theirs.get("text", "") for mark in NOT_COMPARED):
            assert "text" in ours, (template, ours)
            continue
        if ("error" in theirs) != ("error" in ours) or theirs.get("text") != ours.get("text"):
            found.append(f"{template}\n  jinja2: {theirs}\n  ocelli: {ours}")
    return found


def conversations():
    source = random.Random(11)
    for styles, conversation in ((TEXT_STYLES, text_conversation), (PICTURE_STYLES, picture_conversation)):
        for template in styles.values():
            for _ in range(CONVERSATIONS):
                yield template, variables(source, conversation(source))


def test_snippets(tmp_path):
    found = differences(snippets(), tmp_path)
    assert not found, f"{len(found)} differ:\n" + "\n".join(found)


def test_there_are_enough_snippets():
    assert len(snippets()) >= 800


def test_published_styles(tmp_path):
    cases = list(conversations())
    assert len(cases) >= 400
    kinds = collections.Counter("text" if "text" in rendered(t, v) else "error" for t, v in cases)
    assert kinds["text"] >= 300, kinds
    found = differences(cases, tmp_path)
    assert not found, f"{len(found)} of {len(cases)} differ:\n" + "\n".join(found[:3])


def test_as_apply_chat_template(tmp_path):
    """The whole path of apply_chat_template, tools included."""
    source = random.Random(5)
    cases = []
    expected = []
    for style in ("chatml", "qwen_tools", "llama3", "internvl"):
        for _ in range(10):
            messages = [m for m in text_conversation(source) if m["content"] is not None]
            given = {"messages": messages, "tools": source.choice([None, []]),
                     "documents": None, "add_generation_prompt": True, "bos_token": "<s>"}
            texts, _ = chat_template_utils.render_jinja_template(
                [messages], tools=given["tools"], chat_template=TEXT_STYLES[style], add_generation_prompt=True, bos_token="<s>")
            cases.append((TEXT_STYLES[style], given))
            expected.append(texts[0])
    answers = ocelli_answers(cases, tmp_path)
    # transformers gives a message's reasoning under each of its names; none of these templates reads the others.
    assert [a.get("text", a) for a in answers] == expected


QUESTIONS = ["What is it?", "Is it 'blue'?\nOr \"red\"?", "{{ 7 * 7 }} {% raw %} 是什么?", " spaces  around ", "</s> it's"]


def builtin_cases():
    """(name, variables, expected): with and without picture, system text and answer to wait for."""
    source = random.Random(3)
    for name, (rule, has_system, picture) in SYSTEMS.items():
        for number in range(12):
            turns = [source.choice(QUESTIONS) for _ in range(source.randrange(1, 6))]
            given = "Be brief." if has_system and number % 3 == 0 else ""
            front = "<image>" if number % 2 and picture is None else ""
            before = picture if number % 2 and picture is not None else ""
            messages = [{"role": ("user", "assistant")[i % 2], "content": said} for i, said in enumerate(turns)]
            if number % 2 and number % 4 == 1:
                messages[0]["content"] = [{"type": "text", "text": turns[0]}, {"type": "image", "path": "p/1.jpg"}]
            elif number % 2:
                if name == "qwen_vl":
                    before = before.replace("p/1.jpg", "")
                messages[0]["content"] = "<image>\n" + turns[0]
            if given:
                messages.insert(0, {"role": "system", "content": given})
            expected = front + rule([before + turns[0], *turns[1:]], given)
            yield name, {"messages": messages, "add_generation_prompt": len(turns) % 2 == 1}, expected


def test_builtin_templates(tmp_path):
    """Equal to what the system's own code writes, and the text of the template means the same to jinja2."""
    cases = list(builtin_cases())
    answers = ocelli_answers(cases, tmp_path, "builtin")
    for (name, given, expected), ours in zip(cases, answers, strict=True):
        assert ours.get("text", ours) == expected, (name, given)
        assert rendered(ours["template"], given) == {"text": expected}, name


def test_builtin_templates_refuse(tmp_path):
    system = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]}
    for name, (_, has_system, _) in SYSTEMS.items():
        answer, = ocelli_answers([(name, system)], tmp_path, "builtin")
        assert ("text" in answer) == has_system, (name, answer)
        if not has_system:
            assert f"{name}: there is no place for a system message" in answer["error"]
