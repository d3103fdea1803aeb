"""How long from an exec to its detection in the sensor's log, one exec after the other?"""

import sys

from bench.harness import Figure, from_samples, run
from bench.sensor import ExecLoad, Watcher, canary, sensor

EXECS = 1000
QUICK_EXECS = 200


def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds from the kernel's time of the exec to the detection in the log."""
    count = QUICK_EXECS if quick else EXECS
    with sensor() as world:
        load = ExecLoad(canary(world))
        with Watcher(world.state / "link" / "detections.jsonl") as watcher:
            load.run(1)
            watcher.wait(1, 5.0)
            watcher.seen.clear()
            load.run(count)
            watcher.wait(count, 10.0)
    latencies = [(one.logged_ns - one.happened_ns) / 1e6 for one in watcher.seen]
    arguments = [one.argument for one in watcher.seen]
    return [
        from_samples("exec to detection, p50", latencies, unit="ms", percent=50),
        from_samples("exec to detection, p99", latencies, unit="ms", percent=99, bar="<= 50"),
        Figure("execs not detected", count - len(set(arguments)), "events", "= 0"),
        Figure("detections doubled", len(arguments) - len(set(arguments)), "events", "= 0"),
    ]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
