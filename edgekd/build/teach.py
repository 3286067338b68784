"""The step that trains a teacher on the labels, or reads its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgekd.base.arrays import AnyArray
from edgekd.build.plan import TeachStep
from edgekd.build.trained import Trained, stored
from edgekd.build.workspace import Workspace
from edgekd.learn import train
from edgekd.learn.frozen import FrozenBody, embedded
from edgekd.learn.objective import make_terms
from edgekd.learn.rescaled import Rescaled
from edgekd.learn.teacher import bare
from edgekd.metrics import metric_of_teacher
from edgekd.tasks import Heads


def teacher(workspace: Workspace, step: TeachStep) -> Trained:
    """A teacher, from the store where it was trained before."""

    def make(scratch: Path) -> Trained:
        untrained, table = workspace.untrained(step.name), workspace.recipe.ensemble[step.name]
        if step.schedule is None:
            return Trained(untrained, [], 0.0)
        seed = table.seed or 0
        module, feed = untrained.module, workspace.feed_of(step.name).seeded(seed)
        feed = feed if table.augment else feed.as_they_are()
        whole = bare(module)
        if isinstance(whole, FrozenBody) and feed.views == 1:  # the head alone, on what the body gives once
            workspace.progress({"step": f"{step.name}: what its body gives", "epoch": None})
            module = module.around(whole.head) if isinstance(module, Rescaled) else whole.head
            feed = embedded(whole, feed, seed)
        heads, tasks = workspace.heads_of(step.name), workspace.heads.tasks
        labels = {name: workspace.heads.labels_of(workspace.feed.labels("train"), name) for name in tasks}
        metric = metric_of_teacher(workspace.metric, tasks, labels)
        job = train.TrainingJob(
            make_terms(_losses(heads, labels), step.name, heads),
            feed,
            step.schedule,
            seed,
            evaluator=replace(workspace.evaluator_of(step.name), metric=metric),
            progress=workspace.progress_of(step),
            where=step.name,
        )
        return Trained(untrained, train.fit(module, job, scratch), 0.0)

    return stored(workspace, step, make)


def _losses(heads: Heads, labels: Mapping[str, AnyArray | None]) -> list[dict[str, str]]:
    """What a teacher learns labels by: the loss of its task, or of each output's."""
    kinds = {name: task.suited(labels[name])[0] for name, task in heads.tasks.items()}
    if len({*kinds.values()}) == 1:
        return [{"kind": next(iter(kinds.values()))}]
    return [{"kind": kind, "head": name} for name, kind in kinds.items()]
