"""What a fuzz target is: bytes in, and an exception where a promise is broken."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One promise about hostile input; each module `tests/fuzz/fuzz_NAME.py` has one.

    one_input: tries these bytes. Whatever it raises is a finding.
    seeds: inputs to start from, made by code, the same in every run.
    quick_runs: executions of a quick run (`make fuzz-quick`); some ten seconds of one core.
    max_bytes: of one input.
    """

    one_input: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    quick_runs: int
    max_bytes: int = 4096
