"""The product's engine, and in front of it two faults: it dies in native code on poison instances.

Poison is known by its id (lab.poisoned.content), and still poison until its title says `Fixed`. A
write to address 0 in C ends the process with SIGSEGV, at one of two places: while one instance is
looked at, which is noted as the product notes it, or in the search of a whole batch, when nothing
but the batch is known.
"""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import replace

from content.channel_file import ChannelFile
from content.interpreter import Engine, Evaluation, Interpreter, Note
from content.record import Records
from content.template_type import TemplateType
from lab.poisoned.content import BULK_POISON, ROW_POISON

FIXED = "Fixed"


def poisoned_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """What this evaluator builds instead of the product's engine."""
    return PoisonedEngine(files, types, note)


class PoisonedEngine:
    """An `Engine` that evaluates like the product's, if it lives."""

    def __init__(
        self, files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
    ) -> None:
        self._note = note
        self._real = Interpreter(files, types, note=note)
        self._bulk = Interpreter(_only(files, BULK_POISON), types)
        self._row = Interpreter(_only(files, ROW_POISON), types)
        ids = [instance.id for file in files for instance in file.instances]
        self._ordinals = {name: number for number, name in enumerate(ids)}

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate records, shape (n,); SIGSEGV where poison matches."""
        if self._bulk.evaluate(template_type, records).matches:
            _die()
        for match in self._row.evaluate(template_type, records).matches:
            self._note(match.row, self._ordinals[match.instance.id])
            _die()
        return self._real.evaluate(template_type, records)


def _only(files: Sequence[ChannelFile], kind: str) -> list[ChannelFile]:
    """The files with nothing but their poison of one kind."""
    return [
        replace(
            file,
            instances=tuple(
                one for one in file.instances if one.id.startswith(kind) and one.title != FIXED
            ),
        )
        for file in files
    ]


def _die() -> None:
    ctypes.memset(0, 0, 1)
