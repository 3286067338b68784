"""Data sources, one a file: a ``Source`` loads a ``Dataset`` of three ``Split``s; ``loaded`` checks what it gave."""

from edgekd.learn.data._base import Dataset, Pipeline, Source, Split
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.learn.data._checks import loaded
from edgekd.learn.data._files import unpacked as file_content
from edgekd.learn.data._heads import grouped
from edgekd.learn.data._inputs import taken_first

__all__ = [
    "Dataset",
    "Pipeline",
    "Source",
    "Split",
    "file_content",
    "fingerprint",
    "from_splits",
    "grouped",
    "loaded",
    "taken_first",
]
