"""Which groups of channels really can lose some: tried, not believed.

The operators say which channels go together, but not what a network's own code makes of their number: it may count
them, divide by it, or index them. So some channels are cut for a trial: the network must run, and answer as the whole
one does whose layers read zeros in their place. Where it does not, its calls are told their sizes (``resized``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError
from edgekd.compress._channels import statistics, surgery
from edgekd.compress._channels.asking import tensors
from edgekd.compress._channels.failures import FAILURES, words
from edgekd.compress._channels.network import Network, others, still
from edgekd.compress._channels.resized import Left
from edgekd.compress._channels.surgery import Plan
from edgekd.compress._channels.traced import named_tensors
from edgekd.learn import nets
from edgekd.learn.student import Student, joined

Gone = Mapping[str, Sequence[int]]  # channels that go, by group

MIXED = "its channels are mixed or counted on the way to the layers that read them"
ALIKE = 1e-3  # of what the channels do to the answers: this far two ways to take them out may lie apart
ROUNDING = 1e-5  # of the answers' range, what other kernels make of it


def refused(student: Student, gone: Gone, network: Network) -> dict[str, str]:
    """Why groups can't lose these channels, by group; those that are left can, all of them together."""
    return _sift(list(gone), Trial(student, gone, network).fault)


def _sift(paths: Sequence[str], fault: Callable[[Sequence[str]], str | None]) -> dict[str, str]:
    """Halved until the culprits stand alone; what only fails together is left out one after the other."""
    if not paths or (why := fault(paths)) is None:
        return {}
    if len(paths) == 1:
        return {paths[0]: why}
    middle = len(paths) // 2
    culprits = {**_sift(paths[:middle], fault), **_sift(paths[middle:], fault)}
    left: list[str] = [path for path in paths if path not in culprits]
    if left and (len(culprits) == 0 or fault(left) is not None):
        good: list[str] = []
        for path in left:
            if (why := fault([*good, path])) is None:
                good.append(path)
            else:
                culprits[path] = why
    return culprits


@dataclass
class Trial:
    """What every trial of a network is held against. The whole network is asked once for all.

    Attributes:
        gone: channels that go, by group.
        network: the student's, as it was read.
    """

    student: Student
    gone: Gone
    network: Network

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """Not as many samples as the trace saw: no size that was told may hold for their number alone."""
        return others(self.student)

    @cached_property
    def whole(self) -> Tensor:
        """(N, K) what the network says with all of its channels."""
        return joined(plugins.call_user(still(self.student), "channel_prune", *self.inputs))

    @cached_property
    def trains(self) -> bool:
        """Whether the whole network runs in training."""
        return self._in_training(still(self.student)) is None

    def fault(self, paths: Sequence[str]) -> str | None:
        """What is wrong with the network without the channels of these groups, however its calls are told."""
        return self.plan(paths)[1]

    def plan(self, paths: Sequence[str]) -> tuple[Plan, str | None]:
        """The plan for these groups, and what is wrong with the network that follows it."""
        taken = {path: self.gone[path] for path in paths}
        tried: list[tuple[Plan, str]] = []
        for calls, attributes in ((False, False), (True, False), (False, True), (True, True)):
            plan = self.network.plan(taken, calls=calls, attributes=attributes)
            if any(plan == before for before, _ in tried):
                continue
            if (why := self._wrong(plan, paths)) is None:
                return plan, None
            tried.append((plan, why))
        return tried[-1]

    def _wrong(self, plan: Plan, paths: Sequence[str]) -> str | None:
        if not plan["parameters"]:
            return "a layer would be left without channels"
        with torch.no_grad():
            whole = self.whole
            try:
                module = surgery.without(still(self.student), plan)
                pruned = joined(plugins.call_user(module, "channel_prune", *self.inputs))
            except (EdgekdError, *FAILURES) as err:
                return f"the network can't do without some of its channels ({words(err)})"
            if pruned.shape != whole.shape:
                return "its channels become the outputs"
            if self.trains and (why := self._in_training(module)) is not None:
                return f"training can't do without some of its channels ({why})"
            left = self.network.left({path: self.gone[path] for path in paths})
            masked = joined(zeroed(self.student, plan, self.network, left)(*self.inputs))
        off, effect = (float((other - masked).abs().max()) for other in (pruned, whole))
        if off <= ALIKE * effect + ROUNDING * float(masked.abs().max()):
            return None
        return MIXED

    def _in_training(self, module: nn.Module) -> str | None:
        """What a training step raises: heads that only train may count channels, too.

        Blocks that are checkpointed run once more on the way back, where no call is told its size.
        """
        training = nets.twin(module)
        training.train()
        try:
            with torch.enable_grad():
                answers = tensors(plugins.call_user(training, "channel_prune: training", *self.inputs))
                if slopes := [answer.sum() for answer in answers if answer.requires_grad]:
                    plugins.call_user(torch.autograd.backward, "channel_prune: training", slopes)
        except (EdgekdError, *FAILURES) as err:
            return words(err)
        return None


def zeroed(student: Student, plan: Plan, network: Network, left: Left) -> Callable[..., Tensor | Sequence[Tensor]]:
    """The whole network, all of whose weights are zero where the plan takes them.

    What takes statistics over channels takes them over those that are ``left``.
    """
    module = still(student)
    weights = named_tensors(module)
    for name, axes in plan["parameters"].items():
        for at, rows in axes.items():
            weights[name].data.index_fill_(int(at), torch.tensor(rows), 0.0)

    def answer(*inputs: Tensor) -> Tensor | Sequence[Tensor]:
        with statistics.over(network.trace, left):
            outputs: Tensor | Sequence[Tensor] = module(*inputs)
            return outputs

    return answer
