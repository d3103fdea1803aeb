"""One text field of a batch of records, ready to be searched.

A record holds each text in a fixed number of bytes, of which only the first `length` are its value;
what lies behind is stale memory. `TextColumn` promises that nothing behind a text's length or
outside the batch ever reaches a matcher, whatever the length field says.

`joined` copies all texts into one buffer, word by word, for a matcher that scans a batch at once:

    8 zero bytes | text | 1 to 8 zero bytes | text | 1 to 8 zero bytes | …

Each text starts on a multiple of 8. Zero bytes stand between texts and never within one: those of
an argument field are the spaces that content sees, those of any other text (the name of an abstract
socket may hold them) are replaced by `STAND_IN`. Whatever is found in a text without that byte is
really there; rows with it are listed as `ambiguous`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from content.record import LENGTH_SUFFIX, Records
from content.template_type import Field

Rows = npt.NDArray[np.int64]

WORD = 8
SPACE = b" "
SEPARATOR = 0
STAND_IN = 1
"""Stands for a zero byte inside a text; matchers that read `joined` take the two for the same."""

SPACE_SHIFT = 5
"""1 << 5 is a space: a comparison's 0 or 1 becomes 0 or a space."""

# KEEP[n] keeps the first n bytes of a word in memory order and clears the others.
KEEP = np.frombuffer(
    b"".join(b"\xff" * kept + b"\x00" * (WORD - kept) for kept in range(WORD)), dtype=np.uint64
)


@dataclass(frozen=True, slots=True)
class Joined:
    """All texts of a column in one buffer.

    buffer: bytes as in the module's description.
    starts: offset of each text in the buffer, rising; same order as the column's rows.
    ambiguous: rows of texts that hold the stand-in, be it a replaced zero byte or their own.
    """

    buffer: npt.NDArray[np.uint8]
    starts: Rows
    ambiguous: Rows


class TextColumn:
    """The texts of one field in some rows of a batch.

    rows: row numbers in the batch, rising; the field must be present in each of them.
    """

    def __init__(self, records: Records, field: Field, rows: Rows) -> None:
        self.rows = rows
        self._bytes: npt.NDArray[np.uint8] = records[field.name]
        self._field = field
        lengths = records[field.name + LENGTH_SUFFIX][rows].astype(np.int64)
        self._lengths: Rows = np.minimum(lengths, field.capacity)

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Each row number with its text, as content sees it."""
        for row, length in zip(self.rows.tolist(), self._lengths.tolist(), strict=True):
            yield row, _text(self._bytes[row], length, self._field)

    def joined(self) -> Joined:
        """All texts in one buffer."""
        words, words_per_row = _words(self._bytes)
        counts = (self._lengths >> 3) + 1
        ends = np.cumsum(counts)
        starts = ends - counts
        total = int(ends[-1]) if len(ends) else 0
        index = np.repeat(self.rows * words_per_row - starts, counts)
        index += np.arange(total)
        copied = np.zeros(total + 1, dtype=np.uint64)
        # A text that fills its capacity has its separator in the word behind; the last such word
        # of the batch is outside and is clipped, and each of them is cleared below.
        np.take(words, index, out=copied[1:], mode="clip")
        body = copied[1:].view(np.uint8)
        self._replace_zeros(body)
        copied[ends] &= KEEP[self._lengths & (WORD - 1)]
        offsets = (starts + 1) * WORD
        buffer = copied.view(np.uint8)
        return Joined(buffer, offsets, self._ambiguous(buffer, offsets))

    def _replace_zeros(self, body: npt.NDArray[np.uint8]) -> None:
        if self._field.arguments:
            body |= (body == 0).view(np.uint8) << SPACE_SHIFT
        else:
            np.maximum(body, STAND_IN, out=body)

    def _ambiguous(self, buffer: npt.NDArray[np.uint8], starts: Rows) -> Rows:
        places = np.flatnonzero(buffer == STAND_IN)
        if not len(places):
            return self.rows[:0]
        return np.unique(self.rows[np.searchsorted(starts, places, side="right") - 1])


def text_at(records: Records, field: Field, row: int) -> bytes:
    """One text as content sees it: arguments joined by spaces, nothing beyond its length."""
    length = min(int(records[field.name + LENGTH_SUFFIX][row]), field.capacity)
    return _text(records[field.name][row], length, field)


def _text(stored: npt.NDArray[np.uint8], length: int, field: Field) -> bytes:
    text = stored[:length].tobytes()
    return text.replace(b"\x00", SPACE) if field.arguments else text


def _words(stored: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint64], int]:
    """The memory from the first row's text to the last row's as words, and words from row to row.

    No copy where records lie in whole words, as they do in a ring.
    """
    count, capacity = stored.shape
    if count == 0:
        return np.zeros(1, dtype=np.uint64), 0
    if stored.strides[0] % WORD or stored.strides[0] < capacity or stored.strides[1] != 1:
        stored = np.ascontiguousarray(stored)
    stride = stored.strides[0]
    total = ((count - 1) * stride + capacity) // WORD
    words = np.lib.stride_tricks.as_strided(
        stored.view(np.uint64), shape=(total,), strides=(WORD,), writeable=False
    )
    return words, stride // WORD
