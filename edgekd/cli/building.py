"""What ``edgekd build`` does: in one process or the first of several; and what the others of these do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgekd.base.notes import Progress
from edgekd.build import request as requests
from edgekd.build.request import BuildRequest
from edgekd.cli.running import clean_stdout, own_modules, show


def build(*, dry_run: bool, as_json: bool, run: Callable[[], None] | None = None, **how: Any) -> None:
    """Build what the command's options say and show its report; with ``dry_run`` its plan.

    Args:
        run: what builds and shows it, of a bundle that does not stand yet; absent: this process.
        how: the other options, by name.
    """
    from edgekd.cli import console

    with own_modules(), clean_stdout(as_json), console.ProgressBars(quiet=as_json) as progress:
        request = _requested(progress, **how)
        standing = None if dry_run else requests.standing(request)
        if run is not None and standing is None and not dry_run:
            return run()
        if standing is None:
            from edgekd import pipeline

            if dry_run:
                tree = pipeline.describe(request)
            else:
                report = pipeline.run(request)
        else:
            report = standing
    if dry_run:
        show(as_json, tree, console.plan_tree)
    else:
        cached = standing is not None
        show(as_json, report, lambda document: console.build_table(document, request.out, cached=cached))


def follow(*, dry_run: bool, as_json: bool, **how: Any) -> None:
    """Train along with the first rank: nothing is shown, and nothing written."""
    from edgekd import pipeline

    if not dry_run:
        with own_modules(), clean_stdout(True):
            pipeline.follow(_requested(requests.silent, **how))


def _requested(progress: Progress, *, recipe: str | None, **how: Any) -> BuildRequest:
    targets, settings = how.pop("targets"), how.pop("settings")
    return requests.make(recipe, targets, settings, progress=progress, **how)
