"""A bundle's web page in a browser, with a network of a few lines: what it is shown, and what it shows."""

from __future__ import annotations

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base import preprocess
from edgekd.publish import examples
from edgekd.publish.examples import About
from edgekd.tasks import CLASSES, Certainty, Heads, Task
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0")
# In place of onnxruntime-web: its answers are those of ``globalThis.network``.
RUNTIME = """
export const env = { wasm: {} };
export class Tensor { constructor(data, dims) { Object.assign(this, { data, dims }); } }
export const InferenceSession = { create: async () => ({ run: async (inputs) => globalThis.network(inputs) }) };
"""
# Asks one question after another; ``look`` is shown a canvas as somebody's file.
ACTS = """
const page = (id) => document.getElementById(id);
const seen = [], status = () => [page("status").textContent, page("answers").innerText];
const drawn = async (width, height, draw) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  draw(canvas.getContext("2d"));
  return new Promise((done) => canvas.toBlob(done));
};
const send = async (id, event) => {
  page("status").textContent = "";
  page(id).dispatchEvent(new Event(event));
  while (!page("status").textContent) await new Promise((done) => setTimeout(done, 10));
};
const look = async (blob) => {
  const files = new DataTransfer();
  files.items.add(new File([blob], "a.png"));
  page("file").files = files.files;
  await send("file", "change");
};
const write = async (text) => {
  page("text").value = text;
  await send("text", "input");
};
"""
REPORT = """
const found = await act().catch((error) => String(error.stack));
await fetch("/report", { method: "POST", body: JSON.stringify(found) });
"""
BRIGHT: list[dict[str, Any]] = [
    {"op": "scale", "divide": 127.5},
    {"op": "normalise", "mean": 1.0, "std": 1.0},
    {"op": "layout"},
]
GREY: list[dict[str, Any]] = [{"op": "scale", "divide": 255.0}]


class Site(http.server.ThreadingHTTPServer):
    """A folder, and what a page of it reports."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reports = folder, queue.Queue[str]()
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Site

    def log_message(self, *_: object) -> None:
        """Nothing: what fails is in the report."""

    def do_POST(self) -> None:
        self.server.reports.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def asked(site: Site, about: About, network: str, acts: str) -> Any:
    """What some lines of JavaScript find on a page, whose ``network`` is {input: {data}} -> {head: {data}}."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    for name, source in examples.make(about, np.zeros(about.shape, about.dtype), {}).items():
        (site.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (site.folder / name).write_bytes(source)
    web = site.folder / "examples" / "web"
    (web / "ort").mkdir()
    (web / "ort" / "ort.wasm.bundle.min.mjs").write_text(RUNTIME)
    act = f"const act = async () => {{ await import('./app.mjs'); {acts} }};"
    (web / "acts.mjs").write_text(f"{ACTS}\nglobalThis.network = {network};\n{act}\n{REPORT}")
    (web / "acts.html").write_text((web / "index.html").read_text().replace('src="app.mjs"', 'src="acts.mjs"'))
    address = f"http://127.0.0.1:{site.server_port}/examples/web/acts.html"
    browser = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={site.folder / 'profile'}", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return json.loads(site.reports.get(timeout=60))
    finally:
        browser.terminate()
        browser.wait()


def about(ops: list[dict[str, Any]], shape: tuple[int, ...], tasks: dict[str, Task], **more: Any) -> About:
    labels = more.pop("labels", {head: ["a", "b", "c"] for head in tasks})
    dtype = more.pop("dtype", "uint8")
    specs = preprocess.specs(ops, np.zeros(shape, dtype))
    return About("net", ops, shape, dtype, specs, labels, tasks, {"web": "w.onnx"}, **more)


def test_a_picture_is_as_bright_as_it_was_and_what_is_transparent_is_white(site: Site) -> None:
    """The second picture lies on white, not on the first; and a file that is none does not stop the page."""
    network = (
        "({ input: { data } }) => (seen.push([Math.min(...data), Math.max(...data)]), { logits: { data: [0, 1, 2] } })"
    )
    acts = """
      await look(await drawn(6, 4, (pen) => pen.fillRect(0, 0, 6, 4)));
      await look(await drawn(6, 4, () => {}));
      await look(new Blob(["no picture"]));
      const wrong = status();
      await look(await drawn(6, 4, (pen) => { pen.fillStyle = "#808080"; pen.fillRect(0, 0, 6, 4); }));
      return [seen.slice(1), wrong, status()];"""
    seen, wrong, after = asked(site, about(BRIGHT, (4, 6, 3), {"logits": CLASSES}), network, acts)
    grey = float(np.float32(128) / np.float32(127.5) - np.float32(1))
    assert seen == [[-1, -1], [1, 1], [grey, grey]]
    assert "Error" in wrong[0] and wrong[1] == ""
    assert "ms an answer" in after[0] and after[1].startswith("c")


def test_an_error_is_told_and_the_next_question_is_answered(site: Site) -> None:
    ops = [{"op": "columns", "names": ["user", "item"], "sizes": [9, 9], "widths": [1, 1]}]
    network = """({ item }) => {
      if (item.data[0] > 8n) throw new Error("no such item");
      return { logits: { data: [0, 0, 1] } };
    }"""
    acts = """
      const lines = [];
      for (const text of ["1 2", "1.5 2", "1 2", "1 9", "1 3"]) { await write(text); lines.push(status()); }
      return lines;"""
    lines = asked(site, about(ops, (2,), {"logits": CLASSES}, dtype="int64"), network, acts)
    good, broken, again, unknown, last = lines
    assert all("ms an answer" in status and answer.startswith("c") for status, answer in (good, again, last))
    assert "RangeError" in broken[0] and "no such item" in unknown[0] and broken[1] == unknown[1] == ""


@pytest.mark.parametrize("beside", [False, True])
def test_a_page_tells_the_probabilities_of_predict(site: Site, beside: bool) -> None:
    """At the temperature of ``[abstain]``, alone and beside a head of values."""
    scores, certainties = [2.0, 1.0, -1.0], {"mood": Certainty("probability", 2.0, -9.0)}
    tasks: dict[str, Task] = {"mood": CLASSES, **({"size": Regression()} if beside else {})}
    asked_about = about([], (2,), tasks, dtype="float32", certainties=certainties)
    network = f"() => ({{ mood: {{ data: {scores} }}, size: {{ data: [1, 2, 3] }} }})"
    acts = (
        "await write('1 2'); return [...document.querySelectorAll('.bar')].map((row) => row.innerText.split(/\\\\s+/));"
    )
    rows = asked(site, asked_about, network, acts.replace("\\\\", "\\"))
    (decided,) = Heads({"mood": 3}, {}, certainties).decode("mood", np.array([scores], np.float32), "abc")
    shares = dict(zip("abc", decided.scores, strict=True))
    assert {row[0]: int(row[1]) for row in rows} == {name: round(100 * share) for name, share in shares.items()}


def test_points_are_drawn_over_the_picture_in_its_pixels(site: Site) -> None:
    """From the centre of the first pixel, also of grey pictures; those of the picture before are gone."""
    names = {"eyes": ["left x", "left y", "right x", "right y"], "age": ["years"]}
    tasks: dict[str, Task] = {"eyes": Regression(points=True), "age": Regression()}
    network = "() => ({ eyes: { data: [1, 2, 4.5, 0] }, age: { data: [7] } })"
    acts = """
      for (const colour of ["#fff", "#000"])
        await look(await drawn(60, 40, (pen) => { pen.fillStyle = colour; pen.fillRect(0, 0, 60, 40); }));
      const picture = page("seen").getBoundingClientRect();
      const lines = [...document.querySelectorAll("#answers div[style]")].map((line) => line.textContent);
      const dots = [...document.querySelectorAll("#marks circle")].map((dot) => {
        const box = dot.getBoundingClientRect();
        const place = [(box.left + box.right) / 2 - picture.left, (box.top + box.bottom) / 2 - picture.top];
        const numbers = ["cx", "cy"].map((name) => Number(dot.getAttribute(name)));
        return [...numbers, place[0] / picture.width, place[1] / picture.height];
      });
      return [dots, lines];"""
    dots, lines = asked(site, about(GREY, (4, 6, 1), tasks, labels=names), network, acts)
    assert lines == ["left: 1.0, 2.0", "right: 4.5, 0.0"]
    assert [dot[:2] for dot in dots] == [[1.5, 2.5], [5.0, 0.5]]
    np.testing.assert_allclose([dot[2:] for dot in dots], [[1.5 / 6, 2.5 / 4], [5.0 / 6, 0.5 / 4]], atol=0.01)


def test_a_mask_is_as_wide_as_the_output_is(site: Site) -> None:
    """Where the network takes channels last, and answers at half the size: one pixel of four is of the second class."""
    network = "() => ({ logits: { data: [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 9, 0] } })"
    acts = """
      await look(await drawn(6, 4, (pen) => { pen.fillStyle = "#fff"; pen.fillRect(0, 0, 6, 4); }));
      const pixels = page("seen").getContext("2d").getImageData(0, 0, 6, 4).data;
      return Array.from({ length: 24 }, (_, i) => pixels.slice(4 * i, 4 * i + 3).join());"""
    mask = about(
        GREY, (4, 6, 3), {"logits": Segmentation()}, labels={"logits": ["a", "b"]}, shapes={"logits": (2, 2, 3)}
    )
    colours = np.array(asked(site, mask, network, acts)).reshape(4, 6)
    assert len({*colours.ravel()}) == 2
    assert (colours == colours[2, 2]).nonzero()[0].tolist() == [2, 2, 3, 3]
    assert (colours == colours[2, 2]).nonzero()[1].tolist() == [2, 3, 2, 3]
