"""The recipe says how many threads torch computes with, and not the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd.learn import threads

ROOT = Path(__file__).parents[2]
TRAIN = """
import hashlib, os, sys
from edgekd.learn import threads
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: int(sys.argv[1])])
import torch
with threads.fixed(int(sys.argv[2])):
    inside = torch.get_num_threads()
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 64, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2304, 10))
    x = torch.randn(256, 1, 8, 8)
    for _ in range(5):
        net(x).square().mean().backward()
        torch.optim.SGD(net.parameters(), 0.1).step()
print(inside, hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPUs are taken away by Linux alone")
def test_as_many_threads_on_one_cpu_as_on_two() -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    env["PYTHONPATH"] = str(ROOT)

    def trained(cpus: int, count: int) -> str:
        line = [sys.executable, "-c", TRAIN, str(cpus), str(count)]
        return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout

    on_one = trained(1, 2)
    assert on_one.startswith("2 ") and on_one == trained(2, 2)


def test_processes_that_train_together_share_the_cpus() -> None:
    assert threads.told(1, 2, 2) == "torch computes in 2 processes with 1 thread each"
    assert threads.told(2, 4, 4).endswith("with 2 threads each; here are 4 CPUs: threads = 1 in the recipe suits them")
    assert threads.told(2, 2) == "torch computes with 2 threads"
