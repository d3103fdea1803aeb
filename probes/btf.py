"""Offsets of kernel struct members, from the kernel's own type information (BTF).

`/sys/kernel/btf/vmlinux` is a header, an array of types and a string table. `KernelTypes` walks
the array once to learn where each type begins and what structs are called, and then finds members
by name, through unnamed structs and unions as the C compiler would. Of a kernel's 130,000 types
that takes about 40 ms.

Format: Documentation/bpf/btf.rst of the kernel.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS

KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")

MAGIC = 0xEB9F
HEADER = struct.Struct("=HBBIIIII")
WORD = 4
STRUCT, UNION, DATA_SECTION = 4, 5, 15
BITS_PER_BYTE = 8
MEMBER_WORDS = 3

# Words behind a type's three header words: fixed ones, and per element, by kind.
# int, array, var, declaration tag | struct, union, enum, function prototype, section, enum64
FIXED_WORDS = {1: 1, 3: 3, 14: 1, 17: 1}
ELEMENT_WORDS = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
KINDS = 20


class KernelTypes:
    """The types of one BTF blob (native byte order).

    Raises ProbeError (BTF_INVALID) if it is not BTF of version 1.
    """

    def __init__(self, blob: bytes) -> None:
        try:
            magic, version, _, header, types, type_bytes, strings, string_bytes = (
                HEADER.unpack_from(blob)
            )
            if (magic, version) != (MAGIC, 1):
                raise _invalid(f"magic {magic:#x}, version {version}")
            types, strings = header + types, header + strings
            self._strings = blob[strings : strings + string_bytes]
            self._words = memoryview(blob)[types : types + type_bytes].cast("I")
            self._structures: dict[int, list[int]] = {}
            self._starts = self._walk()
        except (struct.error, TypeError, IndexError) as error:
            raise _invalid(str(error)) from error

    @classmethod
    def of_kernel(cls, path: Path = KERNEL_BTF) -> "KernelTypes":
        """The running kernel's types; ProbeError (BTF_MISSING) where it has none."""
        try:
            with path.open("rb") as file:
                blob = file.read(LIMITS.btf_bytes)
        except OSError as error:
            raise ProbeError(ProbeReason.BTF_MISSING, f"{path}: {error.strerror}") from error
        return cls(blob)

    def offset(self, structure: str, member: str) -> int:
        """Byte offset of a member; ProbeError (BTF_MEMBER_MISSING) if there is none."""
        for start in self._structures_named(structure):
            for name, bits in self._members(start):
                if name == member:
                    return bits // BITS_PER_BYTE
        raise ProbeError(
            ProbeReason.BTF_MEMBER_MISSING, f"this kernel's BTF has no {structure}.{member}"
        )

    def offsets(
        self,
        members: Iterable[tuple[str, str]],
        optional: frozenset[tuple[str, str]] = frozenset(),
    ) -> dict[tuple[str, str], int]:
        """Offsets of many (structure, member) pairs; 0 for an optional one that is missing."""
        return {pair: self._offset_or_zero(pair, optional) for pair in members}

    def has_name(self, name: str) -> bool:
        """Whether a type, member, enumerator or function of that name is there."""
        return b"\0" + name.encode() + b"\0" in self._strings

    def _offset_or_zero(self, pair: tuple[str, str], optional: frozenset[tuple[str, str]]) -> int:
        try:
            return self.offset(*pair)
        except ProbeError:
            if pair in optional:
                return 0
            raise

    def _walk(self) -> list[int]:
        """Word index of every type, by type id; type 0 is void and has none.

        Those of structs also by the place of their name in the strings.
        """
        structures = self._structures
        words = self._words
        fixed = [3 + FIXED_WORDS.get(kind, 0) for kind in range(KINDS)]
        element = [ELEMENT_WORDS.get(kind, 0) for kind in range(KINDS)]
        starts = [0]
        position, end = 0, len(words)
        while position < end:
            starts.append(position)
            info = words[position + 1]
            kind = info >> 24 & 31
            if kind == STRUCT:
                structures.setdefault(words[position], []).append(position)
            position += fixed[kind] + element[kind] * (info & 0xFFFF)
        return starts

    def _structures_named(self, name: str) -> list[int]:
        entry = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        return self._structures.get(entry, []) if entry else []

    def _members(self, start: int) -> Iterator[tuple[str, int]]:
        """Name and offset in bits of every member, unnamed structs and unions looked through."""
        info = self._words[start + 1]
        bit_fields = info >> 31
        for index in range(info & 0xFFFF):
            place = start + 3 + MEMBER_WORDS * index
            name, type_id, offset = self._words[place : place + MEMBER_WORDS]
            bits = offset & 0xFFFFFF if bit_fields else offset
            if name:
                yield self._string(name), bits
                continue
            inner = self._starts[type_id]
            if self._words[inner + 1] >> 24 & 31 in (STRUCT, UNION):
                for inner_name, inner_bits in self._members(inner):
                    yield inner_name, bits + inner_bits

    def _string(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(b"\0", offset)].decode("ascii", "replace")


def _invalid(what: str) -> ProbeError:
    return ProbeError(ProbeReason.BTF_INVALID, f"kernel type information: {what}")
