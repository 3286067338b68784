"""What ``edgekd build`` does: in one process or the first of several; and what the others of these do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.notes import Progress
from edgekd.build import request as requests
from edgekd.build.request import BuildRequest
from edgekd.cli.running import clean_stdout, own_modules, show


@dataclass(frozen=True)
class Options:
    """The options of the command, by name."""

    recipe: str | None
    targets: tuple[str, ...]
    settings: tuple[str, ...]
    out: Path | None
    cache: Path | None
    quick: bool
    overwrite: bool
    keep_candidates: bool
    explain: bool
    measure_on: str
    dry_run: bool
    as_json: bool

    def request(self, progress: Progress) -> BuildRequest:
        """What is to be built; raises as ``request.make``."""
        return requests.make(
            self.recipe,
            self.targets,
            self.settings,
            out=self.out,
            cache=self.cache,
            quick=self.quick,
            overwrite=self.overwrite,
            keep_candidates=self.keep_candidates,
            explain=self.explain,
            measure_on=self.measure_on,
            progress=progress,
        )


def build(options: Options, run: Callable[[BuildRequest], None] | None = None) -> None:
    """Build what the command's options say and show its report; with ``dry_run`` its plan.

    Args:
        run: what builds and shows it, of a bundle that does not stand yet; absent: this process.
    """
    from edgekd.cli import console

    with own_modules(), clean_stdout(options.as_json), console.ProgressBars(quiet=options.as_json) as progress:
        request = options.request(progress)
        standing = None if options.dry_run else requests.standing(request)
        if run is not None and standing is None and not options.dry_run:
            return run(request)
        if standing is None:
            from edgekd import pipeline

            if options.dry_run:
                tree = pipeline.describe(request)
            else:
                report = pipeline.run(request)
        else:
            report = standing
    if options.dry_run:
        return show(options.as_json, tree, console.plan_tree)
    cached = standing is not None
    show(options.as_json, report, lambda document: console.build_table(document, request.out, cached=cached))


def follow(options: Options) -> None:
    """Train along with the first rank: nothing is shown, and nothing written."""
    from edgekd import pipeline

    if not options.dry_run:
        with own_modules(), clean_stdout(True):
            pipeline.follow(options.request(requests.silent))
