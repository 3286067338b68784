"""The types of the public names, for checkers and editors: at run time each is fetched when it is first used."""

from collections.abc import Callable

from edgekd.api.building import build as build
from edgekd.api.tuning import tune as tune
from edgekd.base.errors import EdgekdError as EdgekdError
from edgekd.runtime.local import bench as bench
from edgekd.runtime.model import load as load
from edgekd.runtime.verify import verify as verify

__version__: str
__all__ = ["EdgekdError", "__version__", "bench", "build", "load", "tune", "verify"]

def fetch(name: str) -> Callable[..., object]: ...
