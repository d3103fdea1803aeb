"""The unchecked interpreter behind the interface of the real one.

For ipc, the Template Type of the incident, Channel Files are read and instances evaluated by the C
code, which takes the field numbers of the content on trust; files are accepted whatever arity and
fingerprint they claim. Other Template Types, and instances with operators that the C code doesn't
know, go to the real Content Interpreter with all of its checks. Before an event is evaluated
against an instance, the pair is noted, so that the supervisor can name the suspect when this
process dies.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from content.channel_file import pack
from content.interpreter import Engine, Evaluation, Interpreter, Match, Note
from content.matching.work import Clock
from content.model import ChannelFile, TemplateInstance, TemplateTypeReference
from content.record import Records, decode, header_problem
from content.template_type import TemplateType
from lab.unchecked import build
from lab.unchecked.compiled import Compiled
from lab.unchecked.input_block import InputBlock

IPC = "ipc"
NO_CLAUSE = -1


@dataclass(frozen=True, slots=True)
class _Owner:
    """An instance, the file it came in, its number there and over all files."""

    channel_file: ChannelFile
    instance: TemplateInstance
    index: int
    ordinal: int


def unchecked_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """What the evaluator of the laboratory builds instead of the product's engine."""
    return UncheckedEngine(files, types, note=note)


class UncheckedEngine:
    """An `Engine` that dies of what the incident was; see the module.

    clock: of the work budget, which only the real interpreter has.

    Raises ContentError where content goes to the real interpreter and is refused there, and
    BuildError where the C code can't be built; the first engine must be made before lock-down.
    """

    def __init__(
        self,
        files: Sequence[ChannelFile],
        types: Mapping[int, TemplateType],
        *,
        note: Note | None = None,
        clock: Clock = time.thread_time_ns,
    ) -> None:
        build.load()  # also where there is no file yet: a later engine is made after lock-down
        self._note: Note = note or (lambda _row, _ordinal: None)
        self._ipc = next(one for one in types.values() if one.name == IPC)
        owners = _owners(files)
        self._ordinal_of = {id(owner.instance): owner.ordinal for owner in owners}
        self._compiled = {
            id(file): Compiled(pack(file))
            for file in files
            if file.template_type.number == self._ipc.number
        }
        self._unchecked = [owner for owner in owners if self._is_unchecked(owner)]
        self._block = InputBlock(self._ipc)
        self._files, self._ordinals = self._left_to_the_real(files, owners)
        self._real = Interpreter(
            [file for file, _ in self._files], types, note=self._note_for_the_real, clock=clock
        )

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate records, shape (n,); SIGSEGV where the content reads an input too many."""
        evaluation = self._real.evaluate(template_type, records)
        matches = [self._as_it_came(match) for match in evaluation.matches]
        if template_type.number == self._ipc.number:
            matches += self._unchecked_matches(records)
            matches.sort(key=lambda match: (match.row, self._ordinal_of[id(match.instance)]))
        faults = [
            replace(fault, channel_file=self._original(fault.channel_file))
            for fault in evaluation.faults
        ]
        return replace(evaluation, matches=matches, faults=faults)

    def _unchecked_matches(self, records: Records) -> list[Match]:
        found = []
        block = self._block
        for row in np.flatnonzero(~header_problem(self._ipc, records)).tolist():
            block.write(decode(self._ipc, records[row : row + 1]))
            for owner in self._unchecked:
                self._note(row, owner.ordinal)
                compiled = self._compiled[id(owner.channel_file)]
                clause = compiled.clause(owner.index, block.address)
                if clause != NO_CLAUSE:
                    found.append(Match(row, owner.channel_file, owner.instance, clause))
        return found

    def _is_unchecked(self, owner: _Owner) -> bool:
        compiled = self._compiled.get(id(owner.channel_file))
        return compiled is not None and compiled.identities[owner.index].supported

    def _left_to_the_real(
        self, files: Sequence[ChannelFile], owners: Sequence[_Owner]
    ) -> tuple[list[tuple[ChannelFile, ChannelFile]], list[int]]:
        """Files with what is left of them, beside the originals; ordinals of what is left."""
        unchecked = {owner.ordinal for owner in self._unchecked}
        pairs, ordinals = [], []
        for file in files:
            if file.template_type.number != self._ipc.number:
                pairs.append((file, file))
            left = [o for o in owners if o.channel_file is file and o.ordinal not in unchecked]
            ordinals += [owner.ordinal for owner in left]
            if file.template_type.number == self._ipc.number and left:
                reference = _reference(self._ipc)
                rest = replace(
                    file,
                    template_type=reference,
                    instances=tuple(owner.instance for owner in left),
                )
                pairs.append((rest, file))
        return pairs, ordinals

    def _note_for_the_real(self, row: int, ordinal: int) -> None:
        self._note(row, self._ordinals[ordinal])

    def _as_it_came(self, match: Match) -> Match:
        return replace(match, channel_file=self._original(match.channel_file))

    def _original(self, file: ChannelFile) -> ChannelFile:
        return next(original for given, original in self._files if given is file)


def _owners(files: Sequence[ChannelFile]) -> list[_Owner]:
    every = [
        (file, instance, index) for file in files for index, instance in enumerate(file.instances)
    ]
    return [_Owner(*one, ordinal) for ordinal, one in enumerate(every)]


def _reference(template_type: TemplateType) -> TemplateTypeReference:
    return TemplateTypeReference(
        template_type.number,
        template_type.version,
        template_type.fingerprint,
        template_type.arity,
    )
