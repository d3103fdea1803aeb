"""`python -m lab.poisoned.release`: as if of another release, which dies of content that it loads.

Content that lab.poisoned.evaluator has tried and accepted kills this one while it builds its
engine, before it has seen any event. It is put in through the supervisor's role table.
"""

import ctypes
import sys
from collections.abc import Mapping, Sequence

from agent.evaluator.role import run
from content.channel_file import ChannelFile
from content.interpreter import Engine, Note
from content.template_type import TemplateType
from lab.poisoned.content import LOAD_POISON
from lab.poisoned.engine import poisoned_engine


def deadly_engine(
    files: Sequence[ChannelFile], types: Mapping[int, TemplateType], note: Note
) -> Engine:
    """The engine of lab.poisoned, if no file has poison of this kind."""
    if any(one.id == LOAD_POISON for file in files for one in file.instances):
        ctypes.memset(0, 0, 1)
    return poisoned_engine(files, types, note)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], deadly_engine, lenient=True))
