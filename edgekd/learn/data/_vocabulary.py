"""A vocabulary for texts, learned from them by the ``tokenizers`` library; ``_tokenizer.py`` reads one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from edgekd.base.errors import DataError
from edgekd.base.wordpiece import CONTINUED, LONGEST_WORD, MASKED, NEEDED, UNKNOWN, Vocabulary, words
from edgekd.learn.data._tokenizer import file_in as file_in
from edgekd.learn.data._tokenizer import read as read

ALPHABET = 1000  # characters; words with rarer ones are not learned from


def learned(texts: Iterable[str], size: int, lower: bool) -> Vocabulary:
    """A WordPiece vocabulary of at most ``size`` tokens; equal texts give equal ones.

    The library numbers characters in the order of a hash table, so that each run would learn another vocabulary. Here
    it is given the whole alphabet, sorted.

    Raises:
        DataError: the characters alone are more than ``size``.
    """
    count = Counter(word for text in texts for word in words(text, lower) if len(word) <= LONGEST_WORD)
    chars: Counter[str] = Counter()
    for word, times in count.items():
        for char in word:
            chars[char] += times
    common = sorted(sorted(chars, key=lambda char: (-chars[char], char))[:ALPHABET])
    known = set(common)
    given = [*NEEDED, MASKED, *common, *(CONTINUED + char for char in common)]
    if len(given) > size:
        raise DataError(
            "too small for the characters alone", where="data.vocab", found=size, allowed=f"{len(given)} up"
        )
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=given, show_progress=False, continuing_subword_prefix=CONTINUED
    )
    learnable = (word for word in sorted(count) if known.issuperset(word))
    tokenizer.train_from_iterator(chain.from_iterable(repeat(word, count[word]) for word in learnable), trainer)
    numbers = tokenizer.get_vocab()
    return Vocabulary(sorted(numbers, key=numbers.__getitem__))
