"""What runs in a fork of this process, and must not end what belongs to this process."""

import gc
import signal

from lab.ablation.apart import Crash, apart

ENDED: list[str] = []


class Left:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        ENDED.append("left")


def test_what_the_caller_left_for_its_collector_is_left_alone() -> None:
    """Some wait, as they are collected, for threads that no fork has: it would go on for ever."""
    gc.disable()
    try:
        Left()
        assert apart(_collected) == []
        assert gc.collect() > 0
        assert ENDED == ["left"]
    finally:
        gc.enable()


def test_a_signal_is_a_result() -> None:
    """A crash would end the test."""
    assert apart(lambda: signal.raise_signal(signal.SIGKILL)) == Crash(signal.SIGKILL)


def _collected() -> list[str]:
    gc.collect()
    return ENDED
