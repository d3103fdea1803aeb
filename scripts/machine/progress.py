"""What set-up prints: a line per step, with its time, and why a step could not be done."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

TAIL_LINES = 25
"""How much of a failed command's output is shown."""


class SetupError(Exception):
    """A step of set-up failed, with words that tell its user what to do."""


def say(text: str) -> None:
    """One line of set-up."""
    print(f"set-up: {text}", flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step when it starts, and say how long it took when it is done."""
    print(f"set-up: {what} … ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("stopped", flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a command quietly and return its standard output.

    Raises SetupError with the end of its output if it fails or can't be started.
    """
    try:
        ended = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise SetupError(f"{command[0]} can't be started: {error.strerror}") from error
    if ended.returncode != 0:
        said = (ended.stdout + ended.stderr).splitlines()[-TAIL_LINES:]
        raise SetupError("\n  ".join([f"{' '.join(command)}: status {ended.returncode}", *said]))
    return ended.stdout
