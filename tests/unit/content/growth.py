"""How the cost of work grows with its size: independent of how fast, and how busy, a machine is."""

import time
from collections.abc import Callable

TRIES = 5
LINEAR = 4 * 2.5
"""At most so many times the cost for four times the size, measured generously; squares take 16."""


def cost(work: Callable[[], object]) -> float:
    """CPU seconds of this thread: the least of a few tries, since the machine is shared."""
    costs = []
    for _ in range(TRIES):
        began = time.thread_time()
        work()
        costs.append(time.thread_time() - began)
    return min(costs)
