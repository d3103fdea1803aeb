"""`python -m lab.deaths.evaluator`: the shipped evaluator, which dies of certain events.

Same process, same sandbox, same channel, same interpreter; in front of it, a look for events that
ask for a death (lab.deaths.trigger). It is put in through the supervisor's role table.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from agent.attribution import NONE
from agent.evaluator.role import run
from content.channel_file import ChannelFile
from content.interpreter import Engine, Evaluation, Interpreter, Note
from content.record import Records, decode
from content.template_type import TemplateType
from lab.deaths.kinds import KINDS
from lab.deaths.trigger import TYPE, WORD, kind_in


def dying_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """What this evaluator builds instead of the product's engine."""
    return DyingEngine(files, types, note)


class DyingEngine:
    """An `Engine` that evaluates like the product's, if it lives."""

    def __init__(
        self, files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
    ) -> None:
        self._note = note
        self._supervisor = os.getppid()
        self._real = Interpreter(files, types, note=note)

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate records, shape (n,); the first one that asks for a death gets it."""
        if template_type.name == TYPE and WORD in records.tobytes():
            for row in range(len(records)):
                inputs = decode(template_type, records[row : row + 1])
                kind = KINDS.get(kind_in(inputs.values(), self._supervisor))
                if kind is not None:
                    self._note(row, NONE)
                    kind.happen()
        return self._real.evaluate(template_type, records)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], dying_engine))
