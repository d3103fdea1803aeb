"""The integration code: writes one event as the input block that the interpreter reads.

    | input 1 | input 2 | ... | last supplied input | texts, each with a NUL behind it |

Supplies exactly the inputs that the sensor's Definition has, 20 for ipc, however many fields the
author of some content believes in. Input 21 would stand where the first text does.
"""

import ctypes
from collections.abc import Mapping

from content.record import ADDRESS_BYTES
from content.template_type import TemplateType
from lab.unchecked.compiled import Entry

ABSENT = 2**64 - 1
NUMBER_BYTES = 8
NUMBER_MASK = 2**64 - 1
ENTRY_BYTES = ctypes.sizeof(Entry)
LEAST_TEXT_BYTES = ENTRY_BYTES
"""What lies behind the last input is at least as long as one, so reading it stays in the block."""


class InputBlock:
    """Room for one event of a Template Type; written over for each event."""

    def __init__(self, template_type: TemplateType) -> None:
        self._arity = template_type.arity
        self._inputs_bytes = self._arity * ENTRY_BYTES
        room = sum(max(field.capacity, ADDRESS_BYTES) + 1 for field in template_type.fields)
        self._block = ctypes.create_string_buffer(self._inputs_bytes + max(room, LEAST_TEXT_BYTES))
        self._inputs = (Entry * self._arity).from_buffer(self._block)
        self._bytes = memoryview(self._block).cast("B")
        self.address = ctypes.addressof(self._block)

    def write(self, inputs: Mapping[int, bytes | int]) -> None:
        """Supply the inputs of one event, by field number; texts no longer than their capacity."""
        at = self._inputs_bytes
        for number in range(1, self._arity + 1):
            entry, value = self._inputs[number - 1], inputs.get(number)
            if value is None:
                entry.number, entry.length = 0, ABSENT
            elif isinstance(value, int):
                entry.number, entry.length = value & NUMBER_MASK, NUMBER_BYTES
            else:
                entry.number, entry.length = self.address + at, len(value)
                end = at + len(value) + 1
                self._bytes[at:end] = value + b"\0"
                at = end
