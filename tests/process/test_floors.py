"""What import-linter can't see: that the supervisor runs on the standard library alone."""

import subprocess
import sys
from pathlib import Path

import agent.supervisor
from tests.needs import CHECKOUT

IMPORT_ALL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
foreign = sorted(
    name for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").find("-packages") >= 0
)
print(*foreign)
"""


def test_the_supervisor_runs_on_the_standard_library_alone() -> None:
    """A library's bug, or its absence, could take down the one process that must not die."""
    folder = Path(agent.supervisor.__file__).parent
    parts = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__main__")
    names = [f"agent.supervisor.{part}" for part in parts if part != "__init__"]
    # -S: no site-packages, neither the environment's nor Debian's.
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(CHECKOUT), *names]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == ""
    assert names
