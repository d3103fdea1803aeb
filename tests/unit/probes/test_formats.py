"""Layouts of tracepoints as the kernel describes them."""

from pathlib import Path

import pytest

from probes.errors import ProbeError, ProbeReason
from probes.formats import parse_format, tracepoint_text

NEW_TASK = """\
name: task_newtask
ID: 205
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;
\tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;
"""
EXEC = """\
\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;
"""


def events(folder: Path, new_task: str = NEW_TASK) -> Path:
    """A folder of tracefs with these descriptions."""
    for name, text in (("task/task_newtask", new_task), ("sched/sched_process_exec", EXEC)):
        (folder / name).mkdir(parents=True)
        (folder / name / "format").write_text(text)
    return folder


def test_every_argument_is_found() -> None:
    """If it failed, an argument would be read from another's place."""
    places = parse_format(NEW_TASK + EXEC)
    assert places["pid"] == (12, 4)
    assert places["comm"] == (12, 16)
    assert places["clone_flags"] == (32, 8)
    assert places["filename"] == (8, 4)


def test_padding_fills_the_gaps(tmp_path: Path) -> None:
    """If it failed, the struct would not lie as the kernel's does."""
    text = tracepoint_text(events(tmp_path))
    assert (
        "struct task_newtask {\n"
        "    u8 before_pid[8];\n    u32 pid;\n"
        "    u8 before_clone_flags[20];\n    u64 clone_flags;\n};"
    ) in text
    assert "__builtin_offsetof(struct task_newtask, clone_flags) == 32" in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (NEW_TASK.replace("clone_flags", "flags"), "clone_flags is missing"),
        (NEW_TASK.replace("offset:32;\tsize:8", "offset:32;\tsize:4"), "has 4 bytes, expected 8"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, changed: str, words: str) -> None:
    """If it failed, a kernel that differs would give wrong facts instead of a lower rung."""
    with pytest.raises(ProbeError, match=words) as caught:
        tracepoint_text(events(tmp_path, changed))
    assert caught.value.reason is ProbeReason.TRACEPOINT_MISSING


def test_no_such_tracepoint(tmp_path: Path) -> None:
    """If it failed, a missing tracepoint would be a traceback."""
    with pytest.raises(ProbeError, match="task_newtask/format: No such file"):
        tracepoint_text(tmp_path)
