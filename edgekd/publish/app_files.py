"""What a bundle says to those who embed it: programs with its names, shapes and labels, and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd import report
from edgekd.base import backend_facts, preprocess, table_rows
from edgekd.base.preprocess import Inputs, Ops
from edgekd.document.report import Report
from edgekd.learn.data import Samples
from edgekd.publish import examples
from edgekd.publish.examples import About
from edgekd.publish.facts import BuildFacts
from edgekd.runtime import backend as backends
from edgekd.runtime import batches, decisions, golden
from edgekd.runtime.batches import Outputs
from edgekd.runtime.bundle import Bundle, Variant, portable_first
from edgekd.runtime.model import Model
from edgekd.tasks import Decided, Heads

SENTENCE = "A quiet film that stays with you for a long time."
CANDIDATES = 64
WORDS = 8  # of a made text
SHOWN = 4  # values of a category
LOOKED_AT = 512  # training samples, for the largest number of a raw one
PROGRAMS = ("ort", "web", "openvino")  # kinds of example programs, by what opens the file


def make(facts: BuildFacts, bundle: Bundle, document: Report) -> dict[str, bytes]:
    """README.md, decisions.json and the files below ``examples/`` of a bundle; ``document`` is its report.json.

    The sample is made up, the clearest of some: another CPU's rounding can't change what is said to it, and nobody's
    data is shown.
    """
    about = _about(facts, bundle)
    samples = _samples(about, facts.workspace.recipe.seed)
    asked = [_asked(facts, bundle, variant, samples) for variant in portable_first(bundle.variants)]
    scores = asked[0][1]
    heads = bundle.heads
    leads = [heads.tasks[head].lead(heads.natural(head, part)) for head, part in scores.items()]
    clearest = int(np.min(leads, axis=0).argmax())
    clearest = 0 if about.kind == "text" else clearest  # a sentence reads better than words
    files: dict[str, bytes] = {}
    if about.is_decoded:
        answer = {head: examples.said(about, head, scores[head][clearest], samples[clearest]) for head in about.labels}
        files = examples.make(about, samples[clearest], answer)
    names = [name.removeprefix("examples/") for name in files]
    card = report.readme(document, about.kind, _in_words(about), about.labels, names, heads.tasks, about.packages)
    return {"README.md": card.encode(), decisions.FILE: _decisions(bundle, samples, asked), **files}


def _samples(about: About, seed: int) -> Any:
    """Raw samples that belong to nobody, (N, ...); of texts a sentence, and words of the vocabulary."""
    rng = np.random.default_rng(seed)
    if about.kind != "text":
        return examples.synthetic(about, rng, CANDIDATES)
    words = [word for word in about.ops[-1]["vocabulary"] if word.isalpha()] or [SENTENCE]
    texts = (" ".join(rng.choice(words, WORDS)) for _ in range(CANDIDATES - 1))
    return np.array([_short(about, text) for text in (SENTENCE, *texts)], dtype=object)


def _short(about: About, text: str) -> str:
    """As many words of a text as the student reads."""
    whole = [{**about.ops[-1], "length": preprocess.MOST_TOKENS}]
    words = text.split()
    while len(words) > 1:
        tokens = preprocess.apply(whole, np.array([" ".join(words)], dtype=object))[preprocess.MASK]
        if tokens.shape[1] <= about.ops[-1]["length"]:
            break
        words.pop()
    return " ".join(words)


def _asked(facts: BuildFacts, bundle: Bundle, variant: Variant, samples: Any) -> tuple[Model, Outputs]:
    """A variant as an app opens it, and its scores for each sample."""
    session = facts.measured[variant.target].open(facts.choices[variant.target].shipped or "")

    def prepared(index: NDArray[np.int64]) -> Inputs:
        return preprocess.apply(bundle.preprocess, samples[index])

    scores = batches.over(session, prepared, np.arange(len(samples)), variant.batch)
    return Model(bundle, variant, session), scores


def _decisions(bundle: Bundle, samples: Any, asked: Sequence[tuple[Model, Outputs]]) -> bytes:
    """Raw samples that every variant is clear about, else the clearest, and what each says to them.

    Of each class the one of middle confidence: the surest say the same whatever is done to their numbers (four samples
    of one class, at 0.9997, passed with 16 or 32 in place of 20 to divide by, and with all other labels exchanged).
    """
    tasks, heads = bundle.heads.tasks, bundle.heads
    margins = np.min(
        [tasks[head].margin(heads.natural(head, part)) for _, scores in asked for head, part in scores.items()], axis=0
    )
    room = decisions.MOST if samples.dtype == object else decisions.MOST_BYTES // samples[0].nbytes
    order = np.argsort(margins, kind="stable")
    clear = [int(i) for i in order if margins[i] >= golden.MARGIN] or [int(order[-1])]
    middle = [clear[i] for i in sorted(range(len(clear)), key=lambda i: abs(2 * i + 1 - len(clear)))]
    chosen: list[int] = []
    for head, part in asked[0][1].items():
        names = heads.shapes[head][tasks[head].axis]
        picked = tasks[head].picks(tasks[head].answers(heads.natural(head, part)), names)
        for label in range(names):
            alike = [i for i in clear if picked[i, label]]
            if alike and not set(alike) & set(chosen):
                chosen.append(alike[len(alike) // 2])
    chosen += [i for i in middle if i not in chosen][: max(0, decisions.LEAST - len(chosen))]
    kept = chosen[: max(1, min(decisions.MOST, room))]
    answers = {
        model.target: [_without_doubts(bundle.heads, model.predict(samples[i]), scores, i) for i in kept]
        for model, scores in asked
    }
    return decisions.written([samples[i] for i in kept], bundle.heads, answers)


def _without_doubts(heads: Heads, answer: Decided, scores: Outputs, i: int) -> Mapping[str, Decided]:
    """What ``predict`` gave, without whether it is sure where rounding may decide that."""
    answers: Mapping[str, Decided] = answer if isinstance(answer, dict) else dict.fromkeys(heads, answer)
    for head, certainty in heads.certainties.items():
        part = scores[head]
        if certainty.near(heads.tasks[head], part[i], golden.MARGIN * float(part.max() - part.min())):
            answers = {**answers, head: replace(answers[head], sure=None)}
    return answers


def _in_words(about: About) -> str:
    if about.kind == "text":
        return f"a text, of which at most {about.ops[-1]['length']} tokens are read ([CLS] and [SEP] among them)"
    if (table := table_rows.op_of(about.ops)) is not None:
        return f"a row of a table, by column: {', '.join(map(_column, table['columns']))}"
    sound = f"a sound of one channel, {about.rate} samples a second"
    kind = {"ink": "an image of one channel", "picture": "an image, RGB", "sound": sound}.get(about.kind, "numbers")
    description = (
        f"{kind}: {' x '.join(map(str, about.shape))} {about.dtype}, as they are (the preprocessing is part of it)"
    )
    if about.kind == "sound":
        description += (
            "; `predict` takes clips of any length: the middle of a longer one, zeros behind a shorter, as in training"
        )
    return description


def _column(column: table_rows.Column) -> str:
    """A column as the card tells it."""
    if "values" not in column:
        return f"{column['name']} (a number)"
    shown = ", ".join(column["values"][:SHOWN]) + (", ..." if len(column["values"]) > SHOWN else "")
    return f"{column['name']} ({shown})"


def _about(facts: BuildFacts, bundle: Bundle) -> About:
    feed = facts.workspace.feed
    opened = {runtime: variant for runtime in PROGRAMS if (variant := _opened(bundle, runtime))}
    return About(
        name=bundle.name,
        ops=bundle.preprocess,
        shape=tuple(bundle.sample_shape),
        dtype=examples.number(feed.raw("train", 0, 1).dtype),
        inputs=feed.specs,
        labels=examples.labels_by_head(bundle.labels, bundle.heads),
        tasks=bundle.heads.tasks,
        certainties=bundle.heads.certainties,
        files={runtime: f"{v.target}/{next(iter(v.files))}" for runtime, v in opened.items()},
        rate=feed.rate,
        settings={runtime: _settings(v, runtime) for runtime, v in opened.items()},
        white=_white(feed.raw("train", 0, LOOKED_AT), bundle.preprocess),
        shapes=bundle.heads.shapes,
        gpu="web" in opened and opened["web"].options.get("provider") == "webgpu",
    )


def _white(raw: Samples, ops: Ops) -> int:
    """The largest number of raw images like some: what they are divided by where none is larger, as of 0 to 16.

    Of others it tells nothing: 127.5 and a mean of 1 make -1 to 1 of 0 to 255.
    """
    divide = next((int(op["divide"]) for op in ops if op["op"] == "scale"), 255)
    if raw.dtype != np.uint8 or not 0 < divide < 255:
        return 255
    return divide if np.asarray(raw).max() <= divide else 255


def _opened(bundle: Bundle, runtime: str) -> Variant | None:
    """The first variant whose file a runtime opens on a CPU."""
    for backend in backend_facts.openers(runtime):
        for variant in portable_first(bundle.variants):
            if backend in (variant.backend, *variant.also) and _on_cpu(variant):
                return variant
    return None


def _settings(variant: Variant, runtime: str) -> dict[str, Any]:
    """What the runtime is told when it opens the variant's file, so that a program answers as the bundle does."""
    opener = next(kind for kind in backend_facts.openers(runtime) if kind in (variant.backend, *variant.also))
    options = variant.options if opener == variant.backend else variant.also[opener]
    backend = backends.make(opener, options, variant.target)
    if isinstance(backend, backends.Configured):
        return backend.properties()
    config = options.get("config") or {}
    return {"threads": int(options.get("threads", 1)), "config": {key: _entry(value) for key, value in config.items()}}


def _entry(value: Any) -> str:
    """A session config entry, as ``ort`` writes it."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _on_cpu(variant: Variant) -> bool:
    """Also what a page computes on WebGPU: a file of floats, as for any CPU."""
    provider, device = (str(variant.options.get(key, "CPU")) for key in ("provider", "device"))
    return provider.startswith(("CPU", "wasm", "webgpu")) and device.startswith("CPU")
