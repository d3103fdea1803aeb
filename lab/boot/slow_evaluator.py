"""`python -m lab.boot.slow_evaluator`: the evaluator for emulated processors.

An instance's work budget is a fixed time of a processor, whatever else the machine does. In a guest
whose processors are emulated, all that this machine does meanwhile counts as their time, and whole
instances would be skipped for it. Here that clock is slower; the evaluator is the shipped one
otherwise. `lab.boot.slow_unchecked` is the same with the unchecked interpreter of 2024.
"""

import sys
import time
from collections.abc import Mapping, Sequence

from agent.evaluator.role import run
from content.interpreter import Engine, Interpreter, Note
from content.model import ChannelFile
from content.template_type import TemplateType

SLOWER = 100
"""An emulated processor takes twenty times as long, and on a busy machine it often waits."""


def clock() -> int:
    """Processor time of this thread, in units of a hundred nanoseconds that pass for one."""
    return time.thread_time_ns() // SLOWER


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
