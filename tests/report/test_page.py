"""The page stands alone and says what the report says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from _documents import TARGET, golden_report

from edgekd import report
from edgekd.analysis.by_class import per_class
from edgekd.document.report import Report
from edgekd.report import text
from edgekd.report.readme import _run

VOID = {"meta", "br", "link", "img", "input", "hr"}


@pytest.fixture(scope="module")
def document() -> Report:
    return golden_report()


def copy(document: Report) -> Any:
    """To be changed, at any depth."""
    return json.loads(json.dumps(document))


class Balanced(HTMLParser):
    """Counts tags that are opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def test_the_page_is_well_formed_and_self_contained(document: Report) -> None:
    page = report.html(document, {})
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"""(src|href)\s*=|url\(|@import|<script""", page)


def test_every_candidate_and_every_stage_is_on_it(document: Report) -> None:
    page = report.html(document, {})
    for name, target in document["targets"].items():
        assert name in page
        assert target["reason"] in page
        for candidate in target["candidates"]:
            assert text.size(candidate["size_bytes"]) in page
            assert text.significant(candidate["latency_ms"]["p50"]) in page
    for stage in document["stages"]:
        assert f"{stage['params']:,}" in page


def test_what_a_user_wrote_is_escaped(document: Report) -> None:
    evil = "<script>alert(1)</script>"
    changed = copy(document)
    changed["name"] = evil
    changed["details"]["agreement"]["classes"][0] = evil
    changed["details"]["recipe"]["description"] = evil
    changed["details"]["learned"]["layers"]["student"][0] = evil
    changed["details"]["learned"]["losses"]["rows"][0]["loss"] = evil
    assert evil not in report.html(changed, {})


def test_what_each_loss_is_worth_is_said_where_it_is_known(document: Report) -> None:
    explained = report.html(document, {})
    assert "One seed (0)" in explained and explained.count('class="span"') == 2
    asked = copy(document)
    asked["details"]["learned"]["losses"]["rows"][0] |= {"gain": 0.02, "ci95": [0.01, 0.03]}
    asked["details"]["learned"]["losses"]["rows"][1] |= dict.fromkeys(("validation", "test", "gain", "ci95"))
    page = report.html(asked, {})
    assert "it helps" in page and "+1.0 to +3.0" in page and "the training diverges" in page
    asked["details"]["learned"]["losses"]["rows"] = []
    assert "The recipe has one loss" in report.html(asked, {})
    asked["details"]["learned"]["losses"] = None
    assert "edgekd build --explain" in report.html(asked, {})


def test_a_value_is_called_by_its_metrics_name(document: Report) -> None:
    changed = copy(document)
    changed["metric"] = "macro_f1"
    drawn = report.html(changed, {}).partition('id="waterfall"')[2].partition("</section>")[0]
    assert "macro_f1 from" in drawn and "accuracy" not in drawn.lower()


def test_a_text_students_latency_says_of_how_many_tokens(document: Report) -> None:
    changed = copy(document)
    target = changed["targets"]["ort-cpu"]
    target |= {"timed_length": 23, "preprocess_ms": 1.0}
    p50 = next(c for c in target["candidates"] if c["name"] == target["shipped"])["latency_ms"]["p50"]
    said = f"23 tokens; with the tokenizer, in Python, {text.milliseconds(1.0 + p50)}"
    assert said in report.html(changed, {}) and said not in report.html(document, {})
    assert text.of_tokens({**TARGET, "timed_length": 23}, 1.0) == "23 tokens", "a report of 0.1"


def test_the_teacher_is_held_against_on_the_samples_that_were_scored(document: Report) -> None:
    """Where scoring all of a split takes minutes a part of it is scored, on which the teacher may be another."""
    changed = copy(document)
    target = changed["targets"]["ort-cpu"]
    ships = next(c for c in target["candidates"] if c["name"] == target["shipped"])
    target["teacher"] = {"validation": ships["value_validation"] + 0.04, "test": ships["value_test"] + 0.03}
    page = report.html(changed, {}).replace(text.NBSP, " ")
    assert "3.0 points below the teacher" in page and "3.0 points below" not in report.html(document, {})


def test_kernels_add_up_to_the_latency_or_it_is_said_why_not(document: Report) -> None:
    changed = copy(document)
    for share, candidate in zip((1.1, 2.0, 0.4), changed["targets"]["openvino"]["candidates"], strict=True):
        us = 1000 * share * candidate["latency_ms"]["p50"]
        candidate["kernels"] = {"ops": {"convolution": 1}, "microseconds": {"convolutions": us}}
    page = report.html(changed, {}).replace(text.NBSP, " ")
    names = [c["name"] for c in changed["targets"]["openvino"]["candidates"]]
    assert f"Their sum is not the p50 ({names[1]} 2.00 ×, {names[2]} 0.400 × it)" in page
    assert "costs some time at each kernel" in page and "copies and the call are no kernels" in page
    for candidate in changed["targets"]["openvino"]["candidates"]:
        candidate["kernels"]["microseconds"] = {"convolutions": 1000 * candidate["latency_ms"]["p50"]}
    assert "add up to the p50 within 15 %" in report.html(changed, {})


def test_what_a_pass_took_stands_beside_what_was_asked(document: Report) -> None:
    changed = copy(document)
    groups = {"body.0": {"asked": 22.4, "before": 32, "kept": 24}, "body.1": {"asked": None, "before": 8, "kept": 8}}
    row = {"step": "channel_prune", "kind": "channel_prune", "asked": 0.3, "taken": 0.286, "unit": "channels"}
    changed["details"]["compression"] = [
        {**row, "groups": groups, "whole": {"head": "its channels become the outputs"}}
    ]
    page = report.html(changed, {})
    assert "channel_prune: 30.0 % asked, 28.6 % of the channels taken" in page
    body = page.partition("28.6 % of the channels taken")[2].partition("</table>")[0]
    assert ">22.4<" in body and ">24<" in body and "its channels become the outputs" in body


def test_a_report_of_less_is_drawn_with_less(document: Report) -> None:
    changed = copy(document)
    changed["details"]["learned"] |= {"calibration": None, "apart": []}
    page = report.html(changed, {})
    assert "Is it as sure" not in page and "Where they part" not in page and "Layer by layer" in page
    del changed["details"]["learned"], changed["details"]["agreement"]
    assert "What did it learn?" not in report.html(changed, {})


@pytest.mark.parametrize(("count", "rows", "all_of_them"), [(10, 10, False), (100, 12, True), (2000, 12, False)])
def test_of_many_classes_the_worst_are_shown(document: Report, count: int, rows: int, all_of_them: bool) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4 * count) % count
    scores = np.eye(count, dtype=np.float32)[labels]
    student = scores + 0.7 * rng.random(scores.shape)
    student[labels == 7] = np.roll(student[labels == 7], 1, axis=1)  # the seventh is always mistaken for the eighth
    changed = copy(document)
    by_class = per_class(student, scores, labels, tuple(f"class {i}" for i in range(count)))
    changed["details"]["agreement"] = by_class
    page = report.html(changed, {})
    assert len(page) < 250_000
    body = page.split('<table class="classes">')[1].split("</table>")[0]
    assert body.count('<td class="wide">') == rows
    assert body.index(">class 7<") < body.index("</tr>", body.index("<tbody>")) or count == 10, "the worst comes first"
    assert (f"All {count} classes" in page) is all_of_them
    assert "class 7 → class 8 (4)" in page
    assert ('class="matrix"' in page) is (count == 100)


def test_every_head_is_shown_class_by_class(document: Report) -> None:
    changed = copy(document)
    second = per_class(np.eye(2), np.eye(2), None, ("even", "odd"))
    changed["details"]["agreement"] |= {"head": "digit", "others": {"half": second}}
    page = report.html(changed, {})
    for head in ("digit", "half"):
        assert f"{head}: Teacher and student, class by class" in page
    assert page.count('<table class="classes">') == 2 and ">odd<" in page


def test_a_failed_gate_is_said(document: Report) -> None:
    changed = copy(document)
    target = changed["targets"]["openvino"]
    target["shipped"], target["reason"] = None, "nothing is inside the budget"
    page = report.html(changed, {})
    assert "Nothing ships on openvino" in page
    assert "edgekd verify" not in page


def test_raw_samples_are_drawn(document: Report) -> None:
    samples = {"openvino": {"int8": [17_000, 17_500, 18_000, 21_000]}}
    assert 'class="area' in report.html(document, samples)
    assert 'class="area' not in report.html(document, {})


def test_a_card_says_what_a_latency_is_of_where_it_is_not_one_sample_on_one_thread() -> None:
    told = {(1, 1): "", (8, 1): "a batch of 8", (1, 4): "4 threads", (8, 0): "a batch of 8, all cores"}
    assert {pair: _run(*pair) for pair in told} == told
