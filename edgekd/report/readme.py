"""The bundle's README.md: what this folder is, for whoever finds it in an app's repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekd.report import text

PAGE = """\
# {name}

A student compiled by edgekd{doubt}. An app needs numpy and the one runtime:

```python
import edgekd
model = edgekd.load("path/to/this/folder")
{asking}
```

| target | ships | size | {metric} on test | p50 |
|---|---|---|---|---|
{rows}

The teacher has {teacher} on the same test split. Latencies were measured on {cpu}; `edgekd bench` measures on another
machine, `edgekd verify` checks every file and replays the golden inputs. `report.html` tells the whole story.
"""


def readme(report: Mapping[str, Any]) -> str:
    """The page of a report whose every target ships something."""
    metric = text.Metric.of(report)
    teacher = next(stage for stage in report["stages"] if stage["name"] == "teacher")
    rows = []
    for name, told in report["targets"].items():
        ships = next((c for c in told["candidates"] if c["name"] == told["shipped"]), None)
        if ships is not None:
            cells = (
                f"`{name}/`",
                ships["name"],
                text.size(ships["size_bytes"]),
                metric.value(ships["value_test"]),
                text.milliseconds(ships["latency_ms"]["p50"]),
            )
            rows.append(f"| {' | '.join(cells)} |")
    return PAGE.format(
        name=report["name"],
        asking="\n".join(text.asking(report)),
        doubt="" if report["shippable"] else ", in a rehearsal with `--quick`: **not to be shipped**",
        metric=report["metric"],
        rows="\n".join(rows),
        teacher=metric.value(teacher["value_test"]),
        cpu=report["host"].get("cpu") or "an unnamed CPU",
    )
