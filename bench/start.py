"""How long does the sensor take from its start to the first event that it has evaluated?"""

import sys
import time

from bench.harness import Figure, from_samples, run
from bench.sensor import sensor

RUNS = 10
QUICK_RUNS = 2


def measure(*, quick: bool) -> list[Figure]:
    """Seconds from the start of `bulkhead agent run`, with content in its store."""
    samples = []
    with sensor() as world:
        for _ in range(QUICK_RUNS if quick else RUNS):
            if world.agent is not None:
                world.agent.stop()
            started = time.monotonic()
            world.start_agent()
            world.wait("first event", lambda status: status["events"]["evaluated"] > 0, 30.0)
            samples.append(time.monotonic() - started)
    return [from_samples("start to first event, median", samples, unit="s", bar="<= 3")]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
