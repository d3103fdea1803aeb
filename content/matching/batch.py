"""Checked access to the records of one batch, and what was already found out about them.

Everything that the interpreter reads from a record goes through here. A field number outside the
arity raises `BoundsError`; a text is read up to its length and never beyond its capacity.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from content.matching.column import Rows, TextColumn, text_at
from content.matching.matcher import NO_ROWS, Hits
from content.matching.work import Meter
from content.record import Records
from content.template_type import Field, TemplateType

Mask = npt.NDArray[np.bool_]

HALF = np.dtype(">u8")
"""Half an address, in network order."""


class BoundsError(Exception):
    """Content asked for an input that the record does not have."""


class Batch:
    """Records of one Template Type whose headers agree with it.

    rows: numbers of the records that may be looked at, rising.
    meter: is told of all work that is done for one instance.
    """

    def __init__(
        self, template_type: TemplateType, records: Records, rows: Rows, meter: Meter
    ) -> None:
        self.template_type = template_type
        self.rows = rows
        self.meter = meter
        self._records = records
        self._present: npt.NDArray[np.uint64] = records["present"]
        self._texts: dict[tuple[int, int], bytes] = {}
        self._found: dict[tuple[int, int], Rows] = {}
        self._ambiguous: dict[int, Rows] = {}
        self._muted: dict[int, frozenset[int]] = {}

    def field(self, number: int) -> Field:
        """The field of that number; BoundsError outside 1 to arity."""
        template_type = self.template_type
        if not 1 <= number <= template_type.arity:
            raise BoundsError(f"field {number} of {template_type.arity} supplied inputs")
        return template_type.fields[number - 1]

    def present(self, number: int, rows: Rows) -> Mask:
        """In which of these rows the field was supplied."""
        bit = np.uint64(self.field(number).number)
        found: Mask = (self._present[rows] >> bit) & np.uint64(1) != 0
        return found

    def numbers(self, number: int, rows: Rows) -> npt.NDArray[np.uint64 | np.int64]:
        """Values of a number field in these rows; meaningless where it is not present."""
        values: npt.NDArray[np.uint64 | np.int64] = self._records[self.field(number).name][rows]
        return values

    def addresses(self, number: int, rows: Rows) -> npt.NDArray[np.uint64]:
        """Values of an address field as shape (rows, 2): upper and lower 64 bits."""
        stored = np.ascontiguousarray(self._records[self.field(number).name][rows])
        return stored.view(HALF).astype(np.uint64)

    def text(self, number: int, row: int) -> bytes:
        """A text as content sees it; meaningless where it is not present."""
        key = (number, row)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = text_at(self._records, self.field(number), row)
        return text

    def column(self, number: int) -> TextColumn:
        """A text field of all rows in which it is present."""
        rows = self.rows[self.present(number, self.rows)]
        return TextColumn(self._records, self.field(number), rows)

    def keep_hits(self, number: int, found: Mapping[int, Rows], hits: Hits) -> None:
        """Remember in which rows each pattern (by its number) of a field was found."""
        self._ambiguous[number] = hits.ambiguous
        self._muted[number] = hits.muted
        for pattern, rows in found.items():
            self._found[number, pattern] = rows

    def hits(self, number: int, pattern: int) -> Rows:
        """Rows in which a pattern of this field was found, rising; none where it is muted."""
        return self._found.get((number, pattern), NO_ROWS)

    def ambiguous(self, number: int) -> Rows:
        """Rows of this field whose hits have to be confirmed."""
        return self._ambiguous.get(number, NO_ROWS)

    def muted(self, number: int) -> frozenset[int]:
        """Patterns of this field of which nobody knows where they are."""
        return self._muted.get(number, frozenset())
