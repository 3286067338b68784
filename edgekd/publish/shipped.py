"""What of a finished build ships: the files of each target's choice, with what an app has to know of them."""

from __future__ import annotations

import platform

from edgekd.base import host
from edgekd.base.preprocess import Inputs
from edgekd.build.measure import Measured, MeasuredCandidate
from edgekd.publish import examples, public, sbom
from edgekd.publish.facts import BuildFacts
from edgekd.runtime import decisions, golden
from edgekd.runtime.backend import Session
from edgekd.runtime.batches import Outputs
from edgekd.runtime.bundle import Bundle, Checked, Graph, Variant
from edgekd.tasks import table_of_heads


def bundle(facts: BuildFacts, identity: str) -> Bundle:
    """What ships, with golden inputs and what each file says to them."""
    workspace = facts.workspace
    variants = []
    for name, measured in facts.measured.items():
        chosen = measured.candidates[facts.choices[name].shipped or ""]
        target, session = measured.target, measured.open(chosen.name)
        variants.append(
            Variant(
                target=name,
                backend=target.backend,
                options=public.without_paths(dict(target.options)),
                files=chosen.files,
                isa=target.isa,
                numerics=chosen.numerics.name,
                quantized=chosen.numerics.quantized,
                batch=target.shapes.batch,
                tolerance=chosen.numerics.tolerance,
                also={kind: public.without_paths(dict(options)) for kind, options in target.also.items()},
                golden=_golden(facts, measured, session),
                graphs=(_graph(session, chosen),),
                checked=_checked(measured, chosen),
                record=public.without_paths(target.model_dump(mode="json")),
            )
        )
    return Bundle(
        name=workspace.recipe.name,
        task=table_of_heads(workspace.heads),
        plan=identity,
        labels=workspace.classes,
        heads=facts.decided.heads,
        thresholds=facts.decided.table,
        preprocess=workspace.feed.ops,
        sample_shape=workspace.feed.raw_shape,
        sample_dtype=examples.number(workspace.feed.raw("train", 0, 1).dtype) if workspace.feed.raw_shape else "text",
        rate=workspace.feed.rate,
        decisions=decisions.FILE,
        sbom=sbom.FILE,
        shippable=not facts.quick,
        variants=variants,
        recipe=public.recipe(workspace.recipe),
    )


def _graph(session: Session, chosen: MeasuredCandidate) -> Graph:
    """What goes in and out of a file, as its runtime says."""
    inputs = tuple((port.name, port.shape, port.dtype) for port in session.inputs)
    return Graph("main", next(iter(chosen.files)), inputs, tuple(port.name for port in session.outputs))


def _checked(measured: Measured, chosen: MeasuredCandidate) -> tuple[Checked, ...]:
    """The runtimes that the file was scored on, all on this machine."""
    runtimes = (measured.version, *(other["runtime"] for other in chosen.also.values()))
    return tuple(Checked(name, platform.machine(), sorted(host.isa())) for name in dict.fromkeys(runtimes))


def _golden(facts: BuildFacts, measured: Measured, session: Session) -> tuple[Inputs, Outputs]:
    """Synthetic inputs, or with ``golden = "data"`` the clearest test samples."""
    workspace = facts.workspace
    given = workspace.feed.inputs("test", 0, 256) if workspace.recipe.golden == "data" else None
    length = measured.length or golden.LENGTH
    batch = measured.target.shapes.batch
    seed, heads = workspace.recipe.seed, facts.decided.heads
    return golden.make(session, workspace.feed.specs, seed, given=given, length=length, batch=batch, heads=heads)
