"""Data sources, one a file: a ``Source`` loads a ``Dataset`` of three ``Split``s; ``loaded`` checks what it gave."""

from edgekd.learn.data._archive import read_all as read_arrays
from edgekd.learn.data._base import Dataset, Pipeline, Samples, Source, Split
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.learn.data._checks import loaded
from edgekd.learn.data._clips import is_wav, wav_facts
from edgekd.learn.data._encoded import looked_at
from edgekd.learn.data._files import refuse_pointer
from edgekd.learn.data._files import size_of as file_size
from edgekd.learn.data._files import text_of as file_text
from edgekd.learn.data._files import unpacked as file_content
from edgekd.learn.data._folders import walk as files_below
from edgekd.learn.data._hashes import remembered_in
from edgekd.learn.data._heads import grouped
from edgekd.learn.data._inputs import taken_first
from edgekd.learn.data._joined import LabelsByHead, from_arrays
from edgekd.learn.data._lazy import Lazy, ahead
from edgekd.learn.data._left_masks import labels_in_parts
from edgekd.learn.data._outside import without
from edgekd.learn.data._own_task import fitted
from edgekd.learn.data._split import ROLES
from edgekd.learn.data._table_files import check_delimiter, header_of
from edgekd.learn.data._table_files import columns_of as cells_of_table
from edgekd.learn.data._table_lines import delimiter_of
from edgekd.learn.data._text_lines import columns_of as cells_of_texts
from edgekd.learn.data._tokenizer import read as read_vocabulary
from edgekd.tasks import same_name

__all__ = [
    "ROLES",
    "Dataset",
    "LabelsByHead",
    "Lazy",
    "Pipeline",
    "Samples",
    "Source",
    "Split",
    "ahead",
    "cells_of_table",
    "cells_of_texts",
    "check_delimiter",
    "delimiter_of",
    "file_content",
    "file_size",
    "file_text",
    "files_below",
    "fingerprint",
    "fitted",
    "from_arrays",
    "from_splits",
    "grouped",
    "header_of",
    "is_wav",
    "labels_in_parts",
    "loaded",
    "looked_at",
    "read_arrays",
    "read_vocabulary",
    "refuse_pointer",
    "remembered_in",
    "same_name",
    "taken_first",
    "wav_facts",
    "without",
]
