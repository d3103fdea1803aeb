"""Read a recording (`content.recorded_events` has the form) that may come from a stranger.

`load` refuses everything that is not exactly what this release writes, before it costs memory:

    1. the file and its members' names and sizes are within the limits
    2. the header is a small JSON object of the known form, its Template Types exactly ours
    3. each array has the shape that the header declares, and holds records of its type only

What was read is cleaned again, so that no length reaches beyond its capacity.
"""

import errno
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NoReturn

import numpy as np

from content.escape import safe
from content.problems import SHOWN_CHARACTERS, ContentError, Problem
from content.reasons import Reason
from content.record import Records, dtype, header_problem, record_size
from content.recorded_events import FORMAT, HEADER_MEMBER, LIMITS, Loss, Recording, clean, member
from content.template_type import Rung, TemplateType

_MEMBER_SUFFIX = ".npy"
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_START = struct.Struct("<8sH")
"""Magic and version, and how many bytes of header follow."""

_NPY_HEADER = re.compile(
    rb"\{'descr': '\|u1', 'fortran_order': False, 'shape': \((\d{1,12}),(?: (\d{1,12}))?\), \} *\n"
)
_NPY_HEADER_BYTES = 512

_HEADER_MEMBERS: Mapping[str, type] = {
    "format": int,
    "rung": str,
    "started": str,
    "seconds": float,
    "boot_time_ns": int,
    "ended": str,
    "types": list,
    "losses": list,
}
_TYPE_MEMBERS: Mapping[str, type] = {
    "number": int,
    "name": str,
    "schema": str,
    "arity": int,
    "fingerprint": str,
    "record_bytes": int,
    "records": int,
}
_LOSS_MEMBERS: Mapping[str, type] = {"cause": str, "template_type": int, "count": int}


def load(path: Path, types: Mapping[int, TemplateType]) -> Recording:
    """Read a recording that was made with the Definitions of this release.

    ContentError with NOT_A_RECORDING, FILE_TOO_LARGE, or what differs from the Definitions;
    OSError passes through.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        _refuse(path, "file", "something else", "a regular file")
    size = facts.st_size
    if size > LIMITS.file_bytes:
        _refuse(
            path, "file", f"{size} bytes", f"at most {LIMITS.file_bytes}", Reason.FILE_TOO_LARGE
        )
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _Reader(path, types).recording(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        _refuse(path, "file", f"{type(error).__name__}: {error}", "a recording that is whole")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _refuse(path, "file", "a position before its beginning", "a recording that is whole")


class _Reader:
    """Takes a recording apart; every method refuses what is not exactly as it must be."""

    def __init__(self, path: Path, types: Mapping[int, TemplateType]) -> None:
        self._path = path
        self._types = types

    def recording(self, archive: zipfile.ZipFile) -> Recording:
        # 1. names and sizes, before anything is unpacked
        members = self._members(archive)
        # 2. the header, and whether its Template Types are ours
        header = self._header(archive, members)
        counts = dict(self._declared(header["types"]))
        # 3. the records, one array per Template Type, of exactly the size that was declared
        expected = {HEADER_MEMBER, *map(member, counts)}
        if set(members) != expected:
            self._refuse("file", ", ".join(sorted(members)), f"members {sorted(expected)}")
        events = {
            number: self._records(archive, self._types[number], count)
            for number, count in counts.items()
        }
        return self._assembled(header, events)

    def _members(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        infos = archive.infolist()
        if len(infos) > LIMITS.members:
            self._refuse("file", f"{len(infos)} members", f"at most {LIMITS.members}")
        size = sum(info.file_size for info in infos)
        most = LIMITS.record_bytes + LIMITS.header_bytes + len(infos) * _NPY_HEADER_BYTES
        if size > most:
            found = f"{size} bytes unpacked"
            self._refuse("file", found, f"at most {most}", Reason.FILE_TOO_LARGE)
        members = {info.filename.removesuffix(_MEMBER_SUFFIX): info for info in infos}
        if len(members) < len(infos) or HEADER_MEMBER not in members:
            self._refuse("file", "no header, or a member twice", "a header and each member once")
        return members

    def _header(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
    ) -> dict[str, Any]:
        if members[HEADER_MEMBER].file_size > LIMITS.header_bytes:
            self._refuse("header", f"{members[HEADER_MEMBER].file_size} bytes", "a small header")
        with archive.open(HEADER_MEMBER + _MEMBER_SUFFIX) as file:
            shape = self._shape(file, HEADER_MEMBER, 1)
            data = self._bytes(file, HEADER_MEMBER, *shape)
        try:
            header = json.loads(data)
        except (ValueError, RecursionError):
            self._refuse("header", "bytes that are not JSON", "one JSON object")
        self._require(header, "header", _HEADER_MEMBERS)
        if header["format"] != FORMAT:
            self._refuse("header.format", str(header["format"]), f"{FORMAT}, which is read here")
        return dict(header)

    def _declared(self, documents: list[Any]) -> Iterator[tuple[int, int]]:
        """Number and count of each Template Type, all of them exactly ours."""
        problems: list[Problem] = []
        for index, document in enumerate(documents):
            place = f"header.types[{index}]"
            self._require(document, place, _TYPE_MEMBERS)
            problems += self._differences(document, place)
            if document["records"] < 0:
                self._refuse(f"{place}.records", str(document["records"]), "a count")
            yield document["number"], document["records"]
        if problems:
            raise ContentError(problems)
        numbers = [document["number"] for document in documents]
        if len(set(numbers)) < len(numbers):
            self._refuse("header.types", "a Template Type twice", "each once")

    def _differences(self, document: Mapping[str, Any], place: str) -> Iterator[Problem]:
        """What has changed since the recording was made."""
        ours = self._types.get(document["number"])
        name = f"{document['name']} (Template Type {document['number']})"
        if ours is None:
            known = ", ".join(one.name for one in self._types.values())
            yield self._problem(place, name, f"one of {known}", Reason.UNKNOWN_TEMPLATE_TYPE)
            return
        compared = (
            ("schema", str(ours.version), Reason.SCHEMA_VERSION_MISMATCH),
            ("arity", ours.arity, Reason.ARITY_MISMATCH),
            ("fingerprint", ours.fingerprint.hex(), Reason.FINGERPRINT_MISMATCH),
            ("record_bytes", record_size(ours), Reason.FINGERPRINT_MISMATCH),
        )
        for key, expected, reason in compared:
            if document[key] != expected:
                found = f"{document[key]} of {name}; its Definition has changed since: record again"
                yield self._problem(f"{place}.{key}", found, str(expected), reason)
                return

    def _records(
        self, archive: zipfile.ZipFile, template_type: TemplateType, count: int
    ) -> Records:
        name = member(template_type.number)
        wanted = (count, record_size(template_type))
        with archive.open(name + _MEMBER_SUFFIX) as file:
            if (shape := self._shape(file, name, len(wanted))) != wanted:
                self._refuse(name, f"shape {shape}", f"shape {wanted}")
            data = self._bytes(file, name, *shape)
        records: Records = np.frombuffer(data, dtype(template_type))
        if header_problem(template_type, records).any():
            self._refuse(name, "records of another Template Type", f"{template_type.name} only")
        # The file may be a stranger's: lengths and what lies behind them are put right again.
        return clean(template_type, records)

    def _shape(self, file: IO[bytes], name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of an array of bytes; numpy's own reader would evaluate what is written."""
        start = file.read(_NPY_START.size)
        length = (
            _NPY_START.unpack(start)[1]
            if len(start) == _NPY_START.size and start.startswith(_NPY_MAGIC)
            else 0
        )
        found = _NPY_HEADER.fullmatch(file.read(min(length, _NPY_HEADER_BYTES)))
        shape = tuple(map(int, filter(None, found.groups()))) if found else ()
        if len(shape) != dimensions:
            self._refuse(name, "another array", f"uint8 in {dimensions} dimensions")
        return shape

    def _bytes(self, file: IO[bytes], name: str, *shape: int) -> bytes:
        """Exactly the bytes that the shape has, and no more, within the limit."""
        size = 1
        for length in shape:
            size *= length
        if size > LIMITS.record_bytes:
            self._refuse(name, f"{size} bytes", f"at most {LIMITS.record_bytes}")
        data: bytes = file.read(size)
        if len(data) != size or file.read(1):
            self._refuse(name, "more or fewer bytes than its shape has", f"{size} bytes")
        return data

    def _assembled(self, header: Mapping[str, Any], events: Mapping[int, Records]) -> Recording:
        if len(header["losses"]) > LIMITS.losses:
            self._refuse("header.losses", str(len(header["losses"])), f"at most {LIMITS.losses}")
        losses = []
        for index, document in enumerate(header["losses"]):
            self._require(document, f"header.losses[{index}]", _LOSS_MEMBERS)
            losses.append(Loss(document["cause"], document["template_type"], document["count"]))
        try:
            started = datetime.fromisoformat(header["started"])
            rung = Rung(header["rung"])
            recording = Recording(
                rung=rung,
                started=started,
                seconds=float(header["seconds"]),
                boot_time_ns=header["boot_time_ns"],
                ended=header["ended"],
                events=MappingProxyType(dict(events)),
                losses=tuple(losses),
            )
            for records in events.values():
                if len(records):
                    recording.time_of(int(records["time_ns"].max()))
        except (ValueError, OverflowError) as error:
            self._refuse("header", str(error), "times and a rung that exist")
        return recording

    def _require(self, document: Any, place: str, members: Mapping[str, type]) -> None:
        if not isinstance(document, dict) or document.keys() != members.keys():
            self._refuse(place, f"{document!r}", f"an object with {', '.join(members)}")
        for name, wanted in members.items():
            if type(document[name]) is not wanted:
                found = type(document[name]).__name__
                self._refuse(f"{place}.{name}", found, wanted.__name__)

    def _problem(self, place: str, found: str, expected: str, reason: Reason) -> Problem:
        return Problem(reason, place, safe(found, 2 * SHOWN_CHARACTERS), expected, str(self._path))

    def _refuse(
        self, place: str, found: str, expected: str, reason: Reason = Reason.NOT_A_RECORDING
    ) -> NoReturn:
        _refuse(self._path, place, found, expected, reason)


def _refuse(
    path: Path, place: str, found: str, expected: str, reason: Reason = Reason.NOT_A_RECORDING
) -> NoReturn:
    shown = safe(found, SHOWN_CHARACTERS)
    raise ContentError([Problem(reason, place, shown, expected, str(path))]) from None
