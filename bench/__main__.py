"""Run all benchmarks, one process each, and say which could not be measured.

`python -m bench [--quick]`; the exit status is 1 if a benchmark failed. In CI one that is not
measurable fails as well, because CI has everything. Short forms, whose figures nobody quotes, run
side by side where they can: most of their time they wait.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench.harness import CHECKOUT, NOT_MEASURABLE, programs

SIDE_BY_SIDE = 2
ALONE = ("sensor_cpu", "sessions", "setup_time")
"""They keep both processors busy, or install packages."""

IN_TURN = ("collection", "host_cost", "ladder", "prevention")
"""They switch the kernel's counting of BPF, or auditing: beside others, not beside each other."""


def main() -> int:
    """Run them in order of their names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    quick = parser.parse_args().quick
    began = time.monotonic()
    together = [name for name in programs() if quick and name not in ALONE]
    ended = {name: _run(name, quick=quick) for name in programs() if name not in together}
    in_turn = [name for name in together if name in IN_TURN]
    others = [name for name in together if name not in IN_TURN]
    with ThreadPoolExecutor(1) as turns, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = turns.map(_quick, in_turn), pool.map(_quick, others)
        ended |= zip([*in_turn, *others], [*found[0], *found[1]], strict=True)
    print(f"bench: {len(ended)} programs after {time.monotonic() - began:.0f} s")
    skips = os.environ.get("CI") != "true"
    skipped = [name for name, status in ended.items() if skips and status == NOT_MEASURABLE]
    failed = [name for name, status in ended.items() if status != 0 and name not in skipped]
    for title, names in (("not measurable here", skipped), ("FAILED", failed)):
        if names:
            print(f"bench: {title}: {', '.join(sorted(names))}")
    return 1 if failed else 0


def _run(name: str, *, quick: bool) -> int:
    print(f"bench: {name} …", flush=True)
    return subprocess.run(_command(name, quick=quick), check=False, cwd=CHECKOUT).returncode


def _quick(name: str) -> int:
    """What it says is shown when it has ended, in one piece."""
    ended = subprocess.run(
        _command(name, quick=True),
        check=False,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(f"bench: {name} …\n{ended.stdout}", end="", flush=True)
    return ended.returncode


def _command(name: str, *, quick: bool) -> list[str]:
    return [sys.executable, "-m", f"bench.{name}", *(["--quick"] if quick else [])]


if __name__ == "__main__":
    sys.exit(main())
