"""How long from an exec to its detection in the log, alone and among 1,000 execs a second?"""

import sys
from concurrent.futures import ThreadPoolExecutor

from bench.event_load import Kind, loads
from bench.harness import Figure, from_samples, run
from bench.sensor import ExecLoad, Watcher, canary, sensor
from lab.demo.world import World

EXECS, QUICK_EXECS = 1000, 200
BUSY_RATE = 1000
BUSY_SECONDS, QUICK_BUSY_SECONDS = 15.0, 3.0
BUSY_PAUSE_SECONDS = 0.01
"""Between two of the execs that are timed, so that most of the load are others."""


def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds from the kernel's time of the exec to the detection in the log."""
    with sensor() as world:
        return [
            *_alone(world, QUICK_EXECS if quick else EXECS),
            *_among_others(world, QUICK_BUSY_SECONDS if quick else BUSY_SECONDS),
        ]


def _alone(world: World, count: int) -> list[Figure]:
    """One exec after the other, each when the one before has ended."""
    load = ExecLoad(canary(world))
    with Watcher(world, load.program) as watcher:
        load.run(1)
        watcher.wait(1, 5.0)
        load.run(count)
        watcher.wait(count + 1, 10.0)
    return _figures("one after the other", watcher, load.started)


def _among_others(world: World, seconds: float) -> list[Figure]:
    """The same while another process executes BUSY_RATE programs a second."""
    load = ExecLoad(canary(world), pause_seconds=BUSY_PAUSE_SECONDS)
    with (
        loads() as others,
        Watcher(world, load.program) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        outcome = pool.submit(others.run, Kind.EXEC, seconds=seconds, rate=BUSY_RATE)
        with load:
            reached = outcome.result()
        watcher.wait(load.started, 10.0)
    told = f"among {BUSY_RATE:,} execs/s"
    rate = reached.rate + load.started / reached.seconds
    return [
        *_figures(told, watcher, load.started),
        Figure(f"{told}: rate reached", rate, "execs/s"),
    ]


def _figures(told: str, watcher: Watcher, started: int) -> list[Figure]:
    latencies = [(one.logged_ns - one.happened_ns) / 1e6 for one in watcher.seen]
    arguments = [one.argument for one in watcher.seen]
    seen = len(set(arguments))
    return [
        from_samples(f"exec to detection, {told}, p50", latencies, unit="ms", percent=50),
        from_samples(
            f"exec to detection, {told}, p99", latencies, unit="ms", percent=99, bar="<= 50"
        ),
        Figure(f"execs not detected, {told}", started - seen, "events", "= 0"),
        Figure(f"detections doubled, {told}", len(arguments) - seen, "events", "= 0"),
    ]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
