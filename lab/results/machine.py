"""Where and with what the laboratory ran: environment.json, beside the results."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from content.files import replace_file
from lab.results import fields

ENVIRONMENT = "environment.json"
VERSION = 1
PROCESSORS = Path("/proc/cpuinfo")
MEMORY = Path("/proc/meminfo")
TOOLS: Mapping[str, Sequence[str]] = {
    "QEMU": ("qemu-system-x86_64", "--version"),
    "gcc": ("gcc", "--version"),
}
TOOL_SECONDS = 20
UNKNOWN = "not known"


def write(folder: Path, checkout: Path) -> None:
    """Replace environment.json."""
    text = json.dumps(document(checkout), indent=1) + "\n"
    replace_file(folder / ENVIRONMENT, text.encode("ascii"))


def read(folder: Path) -> dict[str, str]:
    """What was written, by name; nothing if it wasn't, ResultsError where it can't be used."""
    file = folder / ENVIRONMENT
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8", errors="replace")
    found = fields.parse(text, ENVIRONMENT, VERSION)
    return found.named_texts("machine")


def document(checkout: Path) -> dict[str, Any]:
    """This machine, as JSON's kinds of values."""
    release = platform.freedesktop_os_release()
    machine = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(checkout),
        "system": release.get("PRETTY_NAME", UNKNOWN),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": _first_value(PROCESSORS, "model name"),
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": _first_value(MEMORY, "MemTotal"),
        "Python": platform.python_version(),
        **{name: _said(*command) for name, command in TOOLS.items()},
    }
    return {fields.SCHEMA: VERSION, "machine": machine}


def commit(checkout: Path) -> str:
    """Which version of the sources, and whether they were changed since."""
    git = ("git", "-C", str(checkout), "-c", f"safe.directory={checkout}")
    head = _said(*git, "rev-parse", "HEAD")
    if head == UNKNOWN:
        return head
    changed = _said(*git, "status", "--porcelain", "--untracked-files=no") not in (UNKNOWN, "")
    return f"{head}, changed since" if changed else head


def _first_value(file: Path, name: str) -> str:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return UNKNOWN


def _said(*command: str) -> str:
    """The first line that a command prints; UNKNOWN where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return UNKNOWN
    try:
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TOOL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return UNKNOWN
    return ended.stdout.partition("\n")[0] if ended.returncode == 0 else UNKNOWN
