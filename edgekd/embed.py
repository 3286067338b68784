"""What a bundle says to those who embed it: programs with its names, shapes and labels, and its model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekd import examples, preprocess, report
from edgekd.examples import About
from edgekd.record import Facts
from edgekd.runtime import batches
from edgekd.runtime.bundle import Bundle, Variant, portable_first

SENTENCE = "A quiet film that stays with you for a long time."
CANDIDATES = 64
# Whose files a program can open, the best first.
OPEN = {"ort": ("ort", "ort_web", "ort_mobile"), "web": ("ort_web", "ort"), "openvino": ("openvino",)}


def make(facts: Facts, bundle: Bundle, document: Mapping[str, Any]) -> dict[str, bytes]:
    """README.md and the files below ``examples/`` of a bundle; ``document`` is its report.json.

    The sample is made up, the clearest of some: another CPU's rounding can't change what is said to it, and nobody's
    data is shown.
    """
    about = _about(facts, bundle)
    first = portable_first(bundle.variants)[0]
    session = facts.measured[first.target].open(facts.choices[first.target].shipped or "")
    if about.kind == "text":
        samples: Any = np.array([SENTENCE], dtype=object)
    else:
        samples = examples.synthetic(about, np.random.default_rng(facts.bench.recipe.seed), CANDIDATES)
    scores = batches.run(session, preprocess.apply(about.ops, samples), first.batch, "examples")
    clearest = int(np.min([_margins(part) for part in scores.values()], axis=0).argmax())
    answer = {head: examples.said(about, head, scores[head][clearest]) for head in about.labels}
    files = examples.make(about, samples[clearest], answer)
    names = [name.removeprefix("examples/") for name in files]
    card = report.readme(document, about.kind, _in_words(about), about.labels, names)
    return {"README.md": card.encode(), **files}


def _in_words(about: About) -> str:
    if about.kind == "text":
        return "a text"
    sound = f"a sound of one channel, {about.rate} samples a second"
    kind = {"ink": "an image of one channel", "picture": "an image, RGB", "sound": sound}.get(about.kind, "numbers")
    return f"{kind}: {' x '.join(map(str, about.shape))} {about.dtype}, as they are (the preprocessing is part of it)"


def _about(facts: Facts, bundle: Bundle) -> About:
    feed = facts.bench.feed
    opened = {runtime: variant for runtime in OPEN if (variant := _opened(bundle, runtime))}
    return About(
        name=bundle.name,
        ops=bundle.preprocess,
        shape=tuple(bundle.sample_shape),
        dtype=examples.number(feed.raw("train", 0, 1).dtype),
        inputs=feed.specs,
        labels=examples.labels_by_head(bundle.labels, bundle.heads),
        classifies=facts.bench.recipe.metric["kind"] != "mse",
        files={runtime: f"{v.target}/{next(iter(v.files))}" for runtime, v in opened.items()},
        rate=feed.rate,
        gpu="web" in opened and opened["web"].options.get("provider") == "webgpu",
    )


def _opened(bundle: Bundle, runtime: str) -> Variant | None:
    """The first variant whose file a runtime opens on a CPU."""
    for backend in OPEN[runtime]:
        for variant in portable_first(bundle.variants):
            if backend in (variant.backend, *variant.also) and _on_cpu(variant):
                return variant
    return None


def _on_cpu(variant: Variant) -> bool:
    """Also what a page computes on WebGPU: a file of floats, as for any CPU."""
    provider, device = (str(variant.options.get(key, "CPU")) for key in ("provider", "device"))
    return provider.startswith(("CPU", "wasm", "webgpu")) and device.startswith("CPU")


def _margins(scores: Any) -> Any:
    """(N,) how far the two best of (N, C) scores lie apart."""
    best = np.sort(scores, axis=1)
    return best[:, -1] - best[:, -2] if scores.shape[1] > 1 else np.abs(best[:, -1])
