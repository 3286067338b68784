"""OpenVINO's file says once what it needs: sizes where they are made, the range of a rounding that keeps it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from edgekd.runtime.backends.openvino.backend import XML, Openvino
from tests.runtime.test_openvino_zero_points import ROWS, model


@pytest.mark.parametrize(("zero", "moved"), [(128, 0), (60, 2)])
def test_a_rounding_reads_one_range_unless_it_is_moved(zero: int, moved: int) -> None:
    net = ET.fromstring(Openvino().lower(model(ROWS, zero))[XML])
    made_by = {(edge.get("to-layer"), edge.get("to-port")): edge.get("from-layer") for edge in net.iter("edge")}
    roundings = [layer.get("id") for layer in net.iter("layer") if layer.get("type") == "FakeQuantize"]
    once = [key for key in roundings if all(made_by[key, a] == made_by[key, b] for a, b in ("13", "24"))]
    assert len(roundings) == 2
    assert len(once) == 2 - moved


def test_what_a_layer_reads_is_described_by_its_maker() -> None:
    net = ET.fromstring(Openvino().lower(model(ROWS, 128))[XML])
    read = net.findall("layers/layer/input/port")
    assert read
    for port in read:
        assert (*port, *port.attrib) == ("id",)
    made = net.findall("layers/layer/output/port")
    assert made
    for port in made:
        assert port.get("precision")
