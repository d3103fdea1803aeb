"""A clock for work budgets on emulated processors, which is all that is changed about them.

An instance's work budget is a fixed time of a processor, whatever else the machine does. In a guest
whose processors are emulated, all that this machine does meanwhile counts as their time, and whole
instances would be skipped for it.
"""

import time

SLOWER = 100
"""An emulated processor takes twenty times as long, and on a busy machine it often waits."""


def clock() -> int:
    """Processor time of this thread, in units of a hundred nanoseconds that pass for one."""
    return time.thread_time_ns() // SLOWER
