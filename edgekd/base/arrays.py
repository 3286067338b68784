"""Arrays as they are named throughout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]  # of any dtype: raw samples, a model's inputs


class Rows(Protocol):
    """Raw samples by number, of which some may not be there."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class Samples(Rows, Protocol):
    """Raw samples by number: an array, or what decodes them when they are asked for and ``np.asarray`` makes an array.

    An index gives one sample; a slice or an array of numbers such samples again.
    """

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __array__(self) -> AnyArray: ...
