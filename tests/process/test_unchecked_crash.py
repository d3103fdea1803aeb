"""The unchecked interpreter really dies of the July file, every time, and of nothing else."""

import subprocess
import sys

import pytest

from tests import needs
from tests.process import locked

REPEATS = 50

# Forks a child per event, because each is expected to be its last; prints how they ended.
PROGRAM = """
import os, signal, sys
from content.channel_file import load
from content.definitions import load_definitions
from content.record import encode
from content.template_type import Rung
from lab import july19
from lab.unchecked.engine import UncheckedEngine
types = load_definitions()
ipc = next(one for one in types.values() if one.name == "ipc")
wildcard, disguised, repeats = (int(word) for word in sys.argv[1:])
payload = (july19.disguised_channel_file(types, 1) if disguised
           else july19.channel_file(types, 1, wildcard=bool(wildcard)))
engine = UncheckedEngine([load(payload)], types)
for number in range(repeats):
    inputs = {1: 1 + number % 3, 2: b"/run/" + b"pipe" * (number % 9) + b"%d" % number,
              7: b"/usr/bin/socat", 8: b"socat\\0-", 10: number + 2}
    child = os.fork()
    if child == 0:
        engine.evaluate(ipc, encode(ipc, inputs, rung=Rung.BPF_BTF))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(signal.Signals(-code).name if code < 0 else f"exit {code}")
"""


def _ends(*, wildcard: bool = False, disguised: bool = False, repeats: int = 1) -> list[str]:
    needs.require_command("cc", "gcc")
    ended = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, *map(str, map(int, (wildcard, disguised, repeats)))],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env=locked.environment(),
    )
    return ended.stdout.split("\n")[:-1]


def test_the_july_file_always_kills() -> None:
    """A demonstration that works most of the time demonstrates nothing."""
    assert _ends(repeats=REPEATS) == ["SIGSEGV"] * REPEATS


def test_the_files_of_the_months_before_never_do() -> None:
    """The crash would come from something other than field 21."""
    assert _ends(wildcard=True, repeats=REPEATS) == ["exit 0"] * REPEATS


def test_the_disguised_file_kills_as_well() -> None:
    """Comparing references would look like a sufficient answer."""
    assert _ends(disguised=True) == ["SIGSEGV"]


@pytest.mark.parametrize(("wildcard", "how"), [(False, "SIGSEGV"), (True, "exit 0")])
def test_in_the_sandbox_it_dies_the_same_way(how: str, *, wildcard: bool) -> None:
    """The sandbox would turn the crash into something else, or prevent what it shall contain."""
    needs.require_command("cc", "gcc")
    ended = locked.run(
        "EVALUATOR",
        "engine = UncheckedEngine([load(payload)], types)\nengine.evaluate(ipc, records)",
        before=(
            "from content.channel_file import load\n"
            "from content.definitions import load_definitions\n"
            "from content.record import encode\n"
            "from content.template_type import Rung\n"
            "from lab import july19\n"
            "from lab.unchecked.engine import UncheckedEngine\n"
            "types = load_definitions()\n"
            "ipc = next(one for one in types.values() if one.name == 'ipc')\n"
            f"payload = july19.channel_file(types, 1, wildcard={wildcard})\n"
            "records = encode(ipc, {2: b'/run/some-pipe'}, rung=Rung.BPF_BTF)\n"
            "UncheckedEngine([], types)"
        ),
    )
    assert (ended.how, ended.errors) == (how, "")
