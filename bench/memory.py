"""How much memory does each role take, with shipped content in force and after some work?"""

import sys
import time
from pathlib import Path

from bench.harness import Figure, run
from bench.sensor import ExecLoad, canary, sensor, status
from lab.demo.world import World

EXECS = 500
SETTLE_SECONDS = 2.0
READ_ATTEMPTS = 5
KIB_PER_MIB = 1024.0


def measure(*, quick: bool) -> list[Figure]:
    """Resident (RSS) and proportional (PSS) memory per role, in MiB; rings count in RSS and PSS."""
    with sensor() as world:
        ExecLoad(canary(world)).run(EXECS // 5 if quick else EXECS)
        time.sleep(SETTLE_SECONDS)
        found = _roles(world)
    return [
        Figure(f"{name}, {kind}", round(kib / KIB_PER_MIB, 1), "MiB")
        for name, sizes in found.items()
        for kind, kib in sizes.items()
    ]


def _roles(world: World) -> dict[str, dict[str, int]]:
    """The sizes of each role, all read while the status that named their processes still held.

    A stand-by is replaced whenever the content in force changes, so a process that the status
    names may end before it is read; then everything is read again.
    """
    for _ in range(READ_ATTEMPTS):
        roles = status(world)["roles"]
        pids = {name: roles[name]["pid"] for name in ("supervisor", "evaluator", "link")}
        pids["stand-by evaluator"] = roles["standby"][0]["pid"] if roles["standby"] else None
        try:
            if all(pids.values()):
                return {name: _rollup(pid) for name, pid in pids.items()}
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended in between
        time.sleep(SETTLE_SECONDS)
    raise RuntimeError(f"roles were still being replaced at attempt {READ_ATTEMPTS}")


def _rollup(pid: int) -> dict[str, int]:
    """Sizes in KiB from /proc/PID/smaps_rollup; anonymous memory is what the role itself made."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return {"resident": sizes["Rss"], "proportional": sizes["Pss"], "anonymous": sizes["Anonymous"]}


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
