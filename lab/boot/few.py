"""`python -m lab.boot.few`: the shipped collector for the Template Types that boots are about.

On emulated processors a compiler is slowest of all. Probes of the other Template Types would take
minutes there and show nothing: the canary is an exec, and the content of July 2024 is on ipc. It is
put in through the supervisor's role table.
"""

import sys

from agent.collector.role import run
from content.definitions import load_definitions

FEW = ("ipc", "network", "process")
"""The probes of ipc and network share their source, which is not compiled for one of them alone."""


def main() -> int:
    """Be the collector."""
    numbers = sorted(one.number for one in load_definitions().values() if one.name in FEW)
    return run([*sys.argv[1:], "--types", ",".join(map(str, numbers))])


if __name__ == "__main__":
    sys.exit(main())
