"""What a process that measured leaves in its folder: a document, or the error that it ended with."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest

from edgekd.base.errors import EdgekdError, IntegrityError, OutputError, ResourceError, TargetError, UnavailableError
from edgekd.runtime import left


class Document(TypedDict):
    """A document of a test."""

    value: int


def test_an_error_crosses_the_processes_as_it_was(tmp_path: Path) -> None:
    error = TargetError("wrong", where="t.toml", found="x", allowed=["y", "z"], hint="h")
    assert left.tell_error(tmp_path, error) == error.exit_code
    with pytest.raises(TargetError) as caught:
        left.check_outcome(tmp_path, error.exit_code, "", "ort")
    assert caught.value.as_dict() == error.as_dict()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, OutputError),
        (4, UnavailableError),
        (5, IntegrityError),
        (6, ResourceError),
        (-9, ResourceError),
        (1, EdgekdError),
    ],
)
def test_where_no_error_could_be_left_the_exit_code_tells(code: int, kind: type[EdgekdError], tmp_path: Path) -> None:
    with pytest.raises(EdgekdError, match=rf"measuring on ort ended with {code}: a | b$") as caught:
        left.check_outcome(tmp_path, code, "a\nb\n", "ort")
    assert type(caught.value) is kind
    left.check_outcome(tmp_path, 0, "warnings", "ort")


def test_a_document_of_its_shape_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"value": 3}')
    assert left.read_left(tmp_path, "a.json", Document, IntegrityError, "ort") == {"value": 3}
    for text in ('{"value": "3"}', "{", "[]", ""):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(IntegrityError, match=r"ort: a\.json"):
            left.read_left(tmp_path, "a.json", Document, IntegrityError, "ort")
    with pytest.raises(IntegrityError, match=r"left no b\.json"):
        left.read_left(tmp_path, "b.json", Document, IntegrityError, "ort")


def test_where_nothing_can_be_written_stderr_has_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert left.tell_error(tmp_path / "nowhere", OutputError("oh")) == OutputError.exit_code
    assert "oh" in capsys.readouterr().err
