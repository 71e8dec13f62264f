"""Trains the demo's model in plain PyTorch on the samples an ocelli run drew, and prints losses, step times and memory as JSON.

  plain   as users write it: a padded sequence per question, its picture encoded with it, logits of every position
  reuse   each picture encoded once a step, its tokens repeated for its questions; answer rows alone go through the head; fused AdamW
  prefix  as reuse, and the picture's keys and values are computed once for all its questions
"""
import argparse
import json
import resource
import time

import torch
import torch.nn.functional as F

from model import Model, Samples, rotate


def resident(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def padded(rows, fill):
    width = max(len(row) for row in rows)
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def plain(model, samples, pixels, questions, repeat_pictures=True):
    """One sequence a question. `repeat_pictures` False (for the check of equal losses): batch norm then sees each picture once, as ocelli's does."""
    body = model.language_model.model
    picture = torch.tensor([q[0] for q in questions])
    visual = model.visual_tokens(pixels[picture]) if repeat_pictures else model.visual_tokens(pixels)[picture]
    prefix = samples.prefix + [samples.image_id] * samples.visual
    ids = padded([prefix + q[1] for q in questions], 0)
    labels = padded([[-100] * len(prefix) + q[2] for q in questions], -100)
    start = len(samples.prefix)
    x = body.embed_tokens(ids)
    x = torch.cat((x[:, :start], visual, x[:, start + samples.visual:]), 1)
    cosine, sine = model.cosine[:x.shape[1]], model.sine[:x.shape[1]]
    for layer in body.layers:
        x = layer(x, cosine, sine)
    logits = model.logits(body.norm(x))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def reuse(model, samples, pixels, questions):
    """Questions sorted by length and run in groups of few paddings; only rows with labels go through the head."""
    body = model.language_model.model
    visual = model.visual_tokens(pixels)
    questions = sorted(questions, key=lambda q: len(q[1]))
    prefix = samples.prefix + [samples.image_id] * samples.visual
    start, hidden, wanted = len(samples.prefix), [], []
    half = (len(questions) + 1) // 2
    for group in (questions[:half], questions[half:]):
        if not group:
            continue
        ids = padded([prefix + q[1] for q in group], 0)
        labels = padded([[-100] * len(prefix) + q[2] for q in group], -100).flatten()
        x = body.embed_tokens(ids)
        x = torch.cat((x[:, :start], visual[torch.tensor([q[0] for q in group])], x[:, start + samples.visual:]), 1)
        cosine, sine = model.cosine[:x.shape[1]], model.sine[:x.shape[1]]
        for layer in body.layers:
            x = layer(x, cosine, sine)
        rows = (labels >= 0).nonzero()[:, 0]
        hidden.append(x.flatten(0, 1)[rows])
        wanted.append(labels[rows])
    return F.cross_entropy(model.logits(body.norm(torch.cat(hidden))), torch.cat(wanted))


def prefix(model, samples, pixels, questions):
    """The pictures' rows run once; each question attends to its picture's keys and values and to itself."""
    body = model.language_model.model
    visual = model.visual_tokens(pixels)
    head = body.embed_tokens(torch.tensor(samples.prefix)).expand(len(pixels), -1, -1)
    p = torch.cat((head, visual), 1)
    picture = torch.tensor([q[0] for q in questions])
    t = body.embed_tokens(padded([q[1] for q in questions], 0))
    labels = padded([q[2] for q in questions], -100).flatten()
    before, length = p.shape[1], t.shape[1]
    mask = torch.cat((torch.ones(length, before, dtype=torch.bool), torch.ones(length, length, dtype=torch.bool).tril()), 1)
    cp, sp = model.cosine[:before], model.sine[:before]
    ct, st = model.cosine[before:before + length], model.sine[before:before + length]
    from_model = len(body.layers)
    for i, layer in enumerate(body.layers):
        a, h, g = layer.self_attn, layer.input_layernorm(p), layer.input_layernorm(t)
        pk, pv = rotate(a.split(a.k_proj(h)), cp, sp), a.split(a.v_proj(h))
        k = torch.cat((pk[picture], rotate(a.split(a.k_proj(g)), ct, st)), 2)
        v = torch.cat((pv[picture], a.split(a.v_proj(g))), 2)
        q = rotate(a.split(a.q_proj(g)), ct, st)
        t = t + a.join(F.scaled_dot_product_attention(q, a.widen(k), a.widen(v), attn_mask=mask))
        t = t + layer.mlp(layer.post_attention_layernorm(t))
        if i + 1 < from_model:
            q = rotate(a.split(a.q_proj(h)), cp, sp)
            p = p + a.join(F.scaled_dot_product_attention(q, a.widen(pk), a.widen(pv), is_causal=True))
            p = p + layer.mlp(layer.post_attention_layernorm(p))
    rows = (labels >= 0).nonzero()[:, 0]
    return F.cross_entropy(model.logits(body.norm(t.flatten(0, 1)[rows])), labels[rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("form", choices=["plain", "reuse", "prefix"])
    parser.add_argument("--model", required=True, help="model folder with the initial weights")
    parser.add_argument("--plan", required=True, help="JSON: sources, steps (lists of sample ids), learning_rate, betas, eps, max_grad_norm")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, default=0, help="only the first so many")
    parser.add_argument("--check", action="store_true", help="plain: encode each picture once, so that losses can be compared")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = json.load(open(options.plan))
    steps = plan["steps"][:options.steps or None]

    before = resident("VmRSS")
    wanted = {i for step in steps for i in step}
    samples = Samples(options.model, {name: (*where, wanted) for name, where in plan["sources"].items()})
    held = resident("VmRSS") - before  # the decoded pictures, which ocelli reads as it goes: not counted against the peer
    model = Model(options.model).train()
    if options.form != "plain":
        model.vision_tower.stem.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan["learning_rate"], betas=tuple(plan["betas"]), eps=plan["eps"], weight_decay=0.0,
                                  fused=options.form != "plain")
    form = {"plain": plain, "reuse": reuse, "prefix": prefix}[options.form]
    if options.check and options.form == "plain":
        form = lambda *a: plain(*a, repeat_pictures=False)
    losses, seconds, answered = [], [], []
    for ids in steps:
        pixels, questions = samples.step(ids)
        if options.form != "plain":
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        begin = time.perf_counter()
        loss = form(model, samples, pixels, questions)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan["max_grad_norm"])
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
        answered.append(len(questions))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"losses": losses, "seconds": seconds, "samples": answered, "torch": torch.__version__,
                      "memory_bytes": peak - before - held}))


if __name__ == "__main__":
    main()
