"""The kernel module is built and loaded in guests of the laboratory, and nowhere else."""

import subprocess
from pathlib import Path

import pytest

from content.definitions import load_definitions
from lab.module import build
from lab.module.permission import WORD, ModuleError, ModuleReason, require
from lab.module.supplied import header
from tests import needs

IPC_INPUTS = 20


def _machine(folder: Path, command_line: str, vendor: str) -> tuple[Path, Path]:
    (folder / "cmdline").write_text(command_line, encoding="ascii")
    (folder / "vendor").write_text(f"{vendor}\n", encoding="ascii")
    return folder / "cmdline", folder / "vendor"


@pytest.mark.parametrize(
    ("command_line", "vendor"),
    [("quiet", "QEMU"), (f"quiet {WORD}", "LENOVO"), (f"x{WORD}", "QEMU"), ("", "")],
)
def test_is_refused_anywhere_else(tmp_path: Path, command_line: str, vendor: str) -> None:
    """Somebody's own machine would panic."""
    with pytest.raises(ModuleError) as caught:
        require(*_machine(tmp_path, command_line, vendor))
    assert caught.value.reason is ModuleReason.NOT_A_LABORATORY_GUEST


def test_is_permitted_in_a_guest(tmp_path: Path) -> None:
    """No guest could load the module."""
    require(*_machine(tmp_path, f"quiet {WORD} panic=-1", "QEMU"))


def test_this_machine_is_refused() -> None:
    """The check would pass where tests run."""
    with pytest.raises(ModuleError):
        require()


def test_make_refuses_by_itself(tmp_path: Path) -> None:
    """Whoever calls make by hand would get a module."""
    needs.require_command("make", "make")
    (tmp_path / "Kbuild").write_text(build.sources()["Kbuild"], encoding="ascii")
    ended = subprocess.run(
        ["make", "-f", "Kbuild"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "NOT_A_LABORATORY_GUEST" in ended.stderr


def test_the_module_supplies_what_the_definition_has() -> None:
    """The gap would not be between 21 fields and 20 inputs."""
    text = header(load_definitions())
    assert f"#define IPC_ARITY {IPC_INPUTS}\n" in text
    assert "#define IPC_PATH 2\n" in text
    assert "#define PROCESS_IMAGE 1\n" in text
