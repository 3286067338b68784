"""Arrays as they are named throughout."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

AnyArray = NDArray[Any]  # of any dtype: raw samples, a model's inputs
