"""What can't be right does not start: layouts that differ, programs that the verifier refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from content.definitions import Rung, load_definitions
from probes.program import parts
from tests.needs import require_btf
from tests.patience import patient

SECONDS = patient(50)

# A process of its own: an attempt that goes wrong must not touch the tests' own probes.
PROGRAM = """
import sys
from content.definitions import load_definitions
from probes import loader, program
from probes.errors import ProbeError
from probes.limits import LIMITS
from probes.tracefs import mount_privately
mount_privately()
types = tuple(load_definitions().values())
plain = program.program_text
found = []
def changed(*arguments, **named):
    text = plain(*arguments, **named)
    found.append(text.count({before!r}))
    return text.replace({before!r}, {after!r})
loader.program.program_text = changed
try:
    loader.load(types, dict.fromkeys({numbers!r}, LIMITS.smallest_ring_bytes))
except ProbeError as error:
    print(error.reason)
    print(error.detail)
assert sum(found) == 1, found
"""


def attempt(before: str, after: str, numbers: tuple[int, ...] = (1, 4)) -> tuple[str, str]:
    """Start with a part of the program replaced; reason and detail of the refusal."""
    require_btf()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, after=after, numbers=numbers)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
    )
    reason, _, detail = ended.stdout.partition("\n")
    return reason, detail


def test_layout_that_differs_stops_the_start() -> None:
    """If it failed, records would be read at other places than they are written."""
    reason, detail = attempt("    u64 abstract;", "    u32 abstract;")
    assert reason == "LAYOUT_MISMATCH"
    assert "size of ipc.abstract is not 8 bytes" in detail


def test_field_that_is_gone_stops_the_start() -> None:
    """If it failed, a record could lack a field that the Definition has."""
    reason, detail = attempt("    u64 argument_count;\n", "")
    assert reason == "LAYOUT_MISMATCH"
    assert "no member named 'argument_count'" in detail


def test_wrong_kind_does_not_compile() -> None:
    """If it failed, a number could be written where content expects a text."""
    reason, detail = attempt(
        "NUMBER(ipc, record, descriptor, call->descriptor)",
        "TEXT(ipc, record, descriptor, copy_user_string, call->path)",
    )
    assert reason == "COMPILE_FAILED"
    assert "KIND_TEXT_ipc_descriptor" in detail


def test_verifier_has_its_say() -> None:
    """If it failed, nobody would learn why the kernel refused a program."""
    reason, detail = attempt(
        "*record = reserve_process();\n    if (!record)",
        "*record = reserve_process();\n    if (NOTHING)",
    )
    assert reason == "VERIFIER_REFUSED"
    assert "invalid mem access" in detail


PARTS = parts(
    dict.fromkeys((one.name for one in load_definitions().values()), 0),
    Rung.BPF_BTF,
    2,
    keeps_lineage=True,
)


@pytest.mark.parametrize("name", [next(iter(part.ring_bytes)) for part in PARTS])
def test_every_compiler_has_its_say(name: str) -> None:
    """If it failed, what one of two compilers refuses would be missing, and nobody know why."""
    numbers = tuple(load_definitions())
    reason, detail = attempt(f"BPF_RINGBUF_OUTPUT({name}_ring", f"wrong {name};", numbers)
    assert reason == "COMPILE_FAILED"
    assert f"wrong {name}" in detail
