"""A student's network as it was read, and the plans that take channels from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.base.errors import EdgekdError, ExportError
from edgekd.compress._channels import resized, tracing, units
from edgekd.compress._channels.failures import FAILURES, words
from edgekd.compress._channels.resized import Left
from edgekd.compress._channels.surgery import Plan
from edgekd.compress._channels.traced import OTHERS, SAMPLES, Trace
from edgekd.compress._channels.units import Axis, Channels, Family
from edgekd.learn import nets
from edgekd.learn.computed_weights import plain
from edgekd.learn.quiet import quiet
from edgekd.learn.student import LENGTH, Student, evaluated

LONGER = 2 * LENGTH + 1  # of texts, where they are looked at again: half of it is another number, too


@dataclass(frozen=True)
class Network:
    """A student's network as it was read: its channels, its calls, and its families by the paths of their groups."""

    trace: Trace
    channels: Channels
    families: dict[str, Family]
    whole: dict[str, str]

    def plan(self, gone: Mapping[str, Sequence[int]], *, calls: bool = False, attributes: bool = False) -> Plan:
        """What goes with some channels of each group, as plain data.

        Args:
            calls: whether the network's own calls are told their sizes, too.
            attributes: whether sizes that its modules hold are changed, too.
        """
        rows: dict[str, dict[str, list[int]]] = {}
        for path, lost in gone.items():
            family = self.families[path]
            units = self._units(family, lost)
            for axis in family.places:
                name, at = axis
                known = rows.setdefault(name, {}).setdefault(str(at), [])
                rows[name][str(at)] = sorted({*known, *family.rows(axis, units).tolist()})
        rows = {name: {at: indices for at, indices in axes.items() if indices} for name, axes in rows.items()}
        rows = {name: axes for name, axes in rows.items() if axes}
        left = self.left(gone)
        call_changes = resized.changes(self.trace.calls, left) if calls else {}
        sizes: dict[str, dict[str, int]] = {}
        for attribute in self.trace.attributes if attributes else []:
            stay = int(left.stays[attribute.numbers].sum())
            if stay != len(attribute.numbers):
                sizes.setdefault(attribute.path, {})[attribute.name] = stay
        return {"parameters": rows, "calls": call_changes, "attributes": sizes}

    def left(self, gone: Mapping[str, Sequence[int]]) -> Left:
        """Which channels are left without some of each group."""
        units = np.ones(len(self.channels.unit), bool)
        for path, lost in gone.items():
            units[self.families[path].units[self._units(self.families[path], lost)]] = False
        return Left(units[self.channels.unit], self.channels.can_go)

    def _units(self, family: Family, lost: Sequence[int]) -> NDArray[np.int64]:
        """The units that some channels belong to."""
        return np.flatnonzero(np.isin(family.positions, list(lost)).all(axis=1))


def read(student: Student) -> Network:
    """Run the network once and say which of its channels go together.

    Raises:
        ExportError: it can't be run under the modes that listen.
    """
    module = still(student)
    try:
        with quiet():
            trace = tracing.run(module, student.example(SAMPLES), others(student))
    except (EdgekdError, *FAILURES) as err:
        why = f"the channels can't be followed through the network: {words(err)}"
        raise ExportError(why, where="channel_prune") from err
    channels = units.of(trace)
    families: dict[str, Family] = {}
    for family in channels.families:
        path, count = layer_of(family.axis), 2
        while path in families:
            path, count = f"{layer_of(family.axis)}:{count}", count + 1
        families[path] = family
    whole = {layer_of(axis): why for axis, why in channels.whole.items() if layer_of(axis) not in families}
    return Network(trace, channels, families, whole)


def others(student: Student) -> tuple[Tensor, ...]:
    """Inputs of another number of samples than a trace sees, and of other lengths where these are free."""
    free = [spec for spec in student.inputs if None in spec.shape[1:]]
    longest = min([LONGER, *(spec.longest for spec in free if spec.longest)])
    length = longest if longest > LENGTH else longest - 1
    fits = length >= max([1, *(spec.shortest for spec in free)])
    return student.example(OTHERS, length=length if free and fits else None)


def layer_of(axis: Axis) -> str:
    """The module that holds a parameter; the parameter itself where it is no module's ``weight``."""
    name = axis[0]
    return name.removesuffix(".weight")


def still(student: Student) -> nn.Module:
    """A copy of the network in evaluation mode, whose weights are parameters."""
    return plain(evaluated(nets.twin(student.module)))
