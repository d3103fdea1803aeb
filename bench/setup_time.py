"""How long does set-up take on an empty environment, and when there is nothing to do?

A copy of the checkout is set up in a scratch folder with no environment and no download cache; the
Debian packages are on the machine already. The peer is pip, installing the same pins into an empty
environment with the same cache setting.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.harness import Figure, Peer, from_samples, run
from scripts.machine.copying import copied_checkout

SECOND_RUNS = 10
QUICK_SECOND_RUNS = 3
LOCKS = (
    "requirements/bootstrap.lock",
    "requirements/runtime.lock",
    "requirements/development.lock",
)
WITHOUT_CACHES = {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}


def measure(*, quick: bool) -> list[Figure]:
    """Seconds of a first set-up, of the same work by pip, and of further set-ups."""
    with copied_checkout(mode=0o755) as copy:
        first = _timed(["scripts/setup"], copy)
        runs = QUICK_SECOND_RUNS if quick else SECOND_RUNS
        further = [_timed(["scripts/setup"], copy) for _ in range(runs)]
        peer = None if quick else Peer("pip alone", _timed_pip(copy))
    return [
        Figure("set-up on an empty environment", first, "s", peer=peer, samples=(first,)),
        from_samples("set-up with nothing to do", further, unit="s", bar="<= 3"),
        Figure("slowest set-up with nothing to do", max(further), "s", bar="<= 3"),
    ]


def _timed_pip(copy: Path) -> float:
    """Seconds for venv and pip, as most projects' instructions have it."""
    folder = copy / "build" / "pip"
    venv = ["/usr/bin/python3", "-m", "venv", "--system-site-packages", str(folder)]
    requirements = [word for lock in LOCKS for word in ("-r", lock)]
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-deps", "--require-hashes"]
    return _timed(venv, copy) + _timed([*install, *requirements], copy)


def _timed(command: Sequence[str], folder: Path) -> float:
    began = time.monotonic()
    ended = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env={**os.environ, **WITHOUT_CACHES},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
