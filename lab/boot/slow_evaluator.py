"""`python -m lab.boot.slow_evaluator`: the evaluator for emulated processors.

Work budgets have a slower clock (`slow_clock.py`); the evaluator is the shipped one otherwise.
`lab.boot.slow_unchecked` is the same with the unchecked interpreter of 2024.
"""

import sys
from collections.abc import Mapping, Sequence

from agent.evaluator.role import run
from content.interpreter import Engine, Interpreter, Note
from content.model import ChannelFile
from content.template_type import TemplateType
from lab.boot.slow_clock import clock


def slow_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """The Content Interpreter with that clock."""
    return Interpreter(files, types, note=note, clock=clock)


def main() -> int:
    """Be the evaluator."""
    return run(sys.argv[1:], slow_engine)


if __name__ == "__main__":
    sys.exit(main())
