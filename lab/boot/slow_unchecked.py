"""`python -m lab.boot.slow_unchecked`: lab.unchecked.evaluator for emulated processors.

See `lab.boot.slow_evaluator`. Only what goes to the real interpreter has a budget at all.
"""

import sys
from collections.abc import Mapping, Sequence

from agent.evaluator.role import run
from content.interpreter import Engine, Note
from content.model import ChannelFile
from content.template_type import TemplateType
from lab.boot.slow_clock import clock
from lab.unchecked import build
from lab.unchecked.engine import UncheckedEngine


def slow_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """The unchecked interpreter, and the real one beside it with a slower clock."""
    return UncheckedEngine(files, types, note=note, clock=clock)


def main() -> int:
    """Be the evaluator."""
    build.load()
    return run(sys.argv[1:], slow_engine, lenient=True)


if __name__ == "__main__":
    sys.exit(main())
