"""A paid service as teacher, over builds that are killed: is any sample paid twice, and is the cost told first?

The service stands in this process: it counts each sample that it charges, fails at random before and after it has
answered, and says 429 to whoever asks too often. Builds ask it from processes of their own, several calls at once; each
is killed once the service has charged so many samples more, and the next goes on. Two forms: a service that knows a
request when it comes again (``request``), and one that does not, whose batches in doubt are never asked again.

    python benchmarks/paid_teacher.py [--kills 30] [--samples 1200] [--no-result]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLASSES = 4
MORE = 24  # samples that are charged from one kill to the next, at most, beside those that are being asked
GAP = 0.01  # seconds between two calls that the service takes
MODULE = """
import http.client
import json

import numpy as np


class Busy(Exception):
    pass


def ask(samples, request):
    line = http.client.HTTPConnection("127.0.0.1", {port}, timeout=10)
    body = json.dumps({{"request": request, "samples": samples.reshape(len(samples), -1).tolist()}})
    line.request("POST", "/", body)
    answer = line.getresponse()
    text = answer.read()
    line.close()
    if answer.status == 429:
        busy = Busy("asked too often")
        busy.retry_after = float(answer.headers["Retry-After"])
        raise busy
    if answer.status != 200:
        raise ConnectionError(f"status {{answer.status}}")
    return np.array(json.loads(text), np.float32)


def named(samples, request):
    return ask(samples, request)


def unnamed(samples):
    return ask(samples, "")
"""


class Service:
    """What is charged, by sample; and what was answered, by request.

    Attributes:
        fails: the share of calls that fail before anything is charged.
        loses: the share of calls whose answer is lost on its way, after it was charged.
    """

    def __init__(self, fails: float, loses: float, seed: int) -> None:
        self.charged: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.known: dict[str, list[list[float]]] = {}
        self._fails, self._loses, self._rng, self._lock = fails, loses, random.Random(seed), threading.Lock()
        self._next = 0.0

    def answer(self, request: str, samples: list[list[int]]) -> tuple[int, list[list[float]]]:
        """The status and the scores of a call."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                self.calls["429"] += 1
                return 429, []
            self._next = now + GAP
            if self._rng.random() < self._fails:
                self.calls["500"] += 1
                return 500, []
            if request and request in self.known:
                self.calls["known"] += 1
                return 200, self.known[request]
            self.charged.update(str(sample) for sample in samples)
            scores = [[float(sum(sample[c::CLASSES])) / 255 for c in range(CLASSES)] for sample in samples]
            self.known[request] = scores
            lost = self._rng.random() < self._loses
            self.calls["lost" if lost else "answered"] += 1
            return (0 if lost else 200), scores

    @property
    def total(self) -> int:
        """Samples that were charged."""
        return sum(self.charged.values())


def serve(service: Service) -> ThreadingHTTPServer:
    """The service at a port of this machine, until it is shut down."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, scores = service.answer(body["request"], body["samples"])
            if not status:
                self.close_connection = True  # charged, and nobody is told
                return
            self.send_response(status)
            self.send_header("Retry-After", str(GAP))
            self.end_headers()
            self.wfile.write(json.dumps(scores).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def recipe(folder: Path, function: str, in_doubt: str, samples: int) -> Path:
    """A recipe whose teacher is the service."""
    held = samples // 6
    text = f"""
name = "paid"
targets = ["ort-cpu"]
losses = [{{ kind = "kl" }}]
budget = {{ max_drop = 1.0 }}

[data]
source = "made"
shape = [8, 8, 1]
classes = {CLASSES}
train = {samples - 2 * held}
validation = {held}
test = {held}

[teacher.model]
kind = "callable"
function = "paid_service:{function}"
version = "1"
batch = 4
at_once = 4
retries = 100
wait = 0.01
price = 0.002
in_doubt = "{in_doubt}"
missing = "skip"

[student]
model = {{ kind = "convnet", width = 8, depth = 2 }}
epochs = 1
"""
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


def build(folder: Path) -> subprocess.Popen[str]:
    """A build, in a folder where the user's module lies."""
    line = [sys.executable, "-m", "edgekd", "build", "recipe.toml", "--out", "out", "--cache", "cache"]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed_after(folder: Path, service: Service, more: int) -> bool:
    """Begin a build and kill it once so many samples more were charged; whether it lived to be killed."""
    wanted, process = service.total + more, build(folder)
    while process.poll() is None and service.total < wanted:
        time.sleep(0.001)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    output = process.communicate()[0]
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the build failed with {process.returncode}: {output[-1500:]}")
    return process.returncode != 0


def told(lines: Sequence[str]) -> str:
    """What the build said of the cost."""
    return next((line.strip() for line in lines if "will be asked" in line), "")


def form(function: str, in_doubt: str, loses: float, kills: int, samples: int, seed: int) -> dict[str, Any]:
    """Kill builds while they ask, let the last one end, and count."""
    service, rng = Service(0.1, loses, seed), random.Random(seed)
    server = serve(service)
    try:
        with tempfile.TemporaryDirectory(prefix="edgekd-paid-") as name:
            folder = Path(name)
            (folder / "paid_service.py").write_text(MODULE.format(port=server.server_address[1]))
            recipe(folder, function, in_doubt, samples)
            line = [sys.executable, "-m", "edgekd", "build", "recipe.toml", "--cache", "cache", "--dry-run"]
            plan = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
            asked_by_plan = service.total
            done = 0
            while done < kills and killed_after(folder, service, rng.randint(1, MORE)):
                done += 1
                print(f"{function}: {done} kills, {service.total} samples charged", flush=True)
            last = build(folder)
            output = last.communicate()[0]
            verified = subprocess.run([sys.executable, "-m", "edgekd", "verify", "out"], cwd=folder, check=False)
            if last.returncode:
                raise SystemExit(f"the last build failed with {last.returncode}: {output[-1500:]}")
    finally:
        server.shutdown()
    return {
        "in_doubt": in_doubt,
        "kills_while_asking": done,
        "samples": samples,
        "charged": service.total,
        "charged_twice": sum(count - 1 for count in service.charged.values()),
        "never_asked_again": samples - len(service.charged),
        "calls": dict(service.calls),
        "cost_told": told((plan.stdout + plan.stderr).splitlines()),
        "charged_before_it_was_told": asked_by_plan,
        "verifies": verified.returncode == 0,
    }


def main() -> None:
    """Run both forms; exit 1 where a sample was paid twice, or the cost was not told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--samples", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    forms = {
        "knows requests": form("named", "ask", 0.05, given.kills, given.samples, given.seed),
        "knows none": form("unnamed", "skip", 0.0, given.kills, given.samples, given.seed),
    }
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        remark = (
            "where an answer is lost on its way, a service that knows no requests charges again: no client can tell"
        )
        _common.write("paid_teacher", {"forms": forms, "remark": remark})
    for name, row in forms.items():
        print(name, json.dumps(row, indent=1))
    bad = [row for row in forms.values() if row["charged_twice"] or not row["cost_told"] or not row["verifies"]]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
