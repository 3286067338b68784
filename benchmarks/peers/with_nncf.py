"""NNCF on OpenVINO's reading of our fp32 file: post-training quantization, and the same with accuracy control."""

from __future__ import annotations

from typing import Any

import _peers
import nncf
import numpy as np
import openvino

from peers._openvino import saved
from peers._samples import Folder

MAX_DROP = 0.01  # of the metric, which accuracy control may lose: its default


def ptq(net: Folder) -> dict[str, bytes]:
    """``nncf.quantize``."""
    return _peers.nncf_openvino(net.fp32("openvino"), net.feeds("calibration"), tokens=net.tokens)


def accuracy_control(net: Folder) -> dict[str, bytes]:
    """``nncf.quantize_with_accuracy_control``: layers go back to float until validation loses no more than a point."""
    feeds = net.feeds("validation")

    def validate(model: Any, samples: Any) -> tuple[float, None]:
        # Asked for a ranking of layers, NNCF gives some samples alone, without their numbers: those carry one.
        rows = list(samples)
        request = model.create_infer_request()
        scores = np.concatenate([next(iter(request.infer(feeds[i]).values())).copy() for i in rows])
        return net.value(scores, "validation", rows), None

    more = {"model_type": nncf.ModelType.TRANSFORMER} if net.tokens else {}
    calibration = net.feeds("calibration")
    quantized = nncf.quantize_with_accuracy_control(
        openvino.Core().read_model(net.fp32("openvino")),
        nncf.Dataset(calibration),
        nncf.Dataset(list(range(len(feeds)))),
        validation_fn=validate,
        max_drop=MAX_DROP,
        subset_size=len(calibration),
        **more,
    )
    return saved(quantized)


PEERS = {"nncf": ptq, "nncf_acq": accuracy_control}
