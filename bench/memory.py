"""How much memory does each role take, with shipped content in force and after some work?"""

import sys
import time
from pathlib import Path

from bench.harness import Figure, run
from bench.sensor import ExecLoad, canary, sensor, status

EXECS = 500
SETTLE_SECONDS = 2.0
KIB_PER_MIB = 1024.0


def measure(*, quick: bool) -> list[Figure]:
    """Resident (RSS) and proportional (PSS) memory per role, in MiB; rings count in RSS and PSS."""
    with sensor() as world:
        ExecLoad(canary(world)).run(EXECS // 5 if quick else EXECS)
        time.sleep(SETTLE_SECONDS)
        roles = status(world)["roles"]
        pids = {name: roles[name]["pid"] for name in ("supervisor", "evaluator", "link")}
        pids["stand-by evaluator"] = roles["standby"][0]["pid"] if roles["standby"] else None
        found = {name: _rollup(pid) for name, pid in pids.items() if pid}
    return [
        Figure(f"{name}, {kind}", round(kib / KIB_PER_MIB, 1), "MiB")
        for name, sizes in found.items()
        for kind, kib in sizes.items()
    ]


def _rollup(pid: int) -> dict[str, int]:
    """Sizes in KiB from /proc/PID/smaps_rollup; anonymous memory is what the role itself made."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return {"resident": sizes["Rss"], "proportional": sizes["Pss"], "anonymous": sizes["Anonymous"]}


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
