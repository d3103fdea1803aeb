"""Building the unchecked interpreter: freestanding, built again when it changes, clear errors."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.unchecked import build
from tests import needs
from tests.process import locked


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for libraries of this test's own, and copies of the sources."""
    needs.require_command("cc", "gcc")
    sources = tuple(Path(shutil.copy(source, tmp_path / source.name)) for source in build.SOURCES)
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "FOLDER", tmp_path / "build" / "lab")
    return tmp_path


def test_built_once_and_again_when_the_source_changes(own_folder: Path) -> None:
    """A changed interpreter would not be the one that runs."""
    first = build.build()
    made = first.stat().st_mtime_ns
    assert build.build() == first
    assert first.stat().st_mtime_ns == made
    with (own_folder / "interpreter.c").open("a") as source:
        source.write("/* changed */\n")
    second = build.build()
    assert second != first
    assert sorted(first.parent.iterdir()) == sorted([first, second]), "nothing half-built is left"
    assert second.stat().st_mode & 0o055 == 0o055, "an unprivileged role can load it"


def test_error_in_the_source_is_the_compilers(own_folder: Path) -> None:
    """A developer would not see what is wrong."""
    (own_folder / "interpreter.c").write_text("int broken(void) { return nothing; }\n")
    with pytest.raises(build.BuildError, match="nothing"):
        build.build()
    assert not list((own_folder / "build" / "lab").iterdir())


@pytest.mark.usefixtures("own_folder")
def test_missing_compiler_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without a compiler would fail with a puzzle."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError, match="no C compiler"):
        build.build()


def test_built_privately_where_the_shared_place_is_closed(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unprivileged evaluator could not start on somebody else's checkout."""
    (own_folder / "in the way").write_text("")
    monkeypatch.setattr(build, "FOLDER", own_folder / "in the way" / "lab")
    monkeypatch.setenv("TMPDIR", str(own_folder / "private"))
    (own_folder / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    library = build.load.__wrapped__()
    assert hasattr(library, "bulkhead_evaluate")
    assert not list((own_folder / "private").iterdir())


@pytest.fixture
def readable_folder() -> Iterator[Path]:
    """A folder that everybody can read and only we can write; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_an_unprivileged_role_can_build_it(readable_folder: Path) -> None:
    """On a fresh checkout, the unchecked evaluator would end before it has begun."""
    needs.require_command("cc", "gcc")
    locked.require_other_user()
    program = (
        "from pathlib import Path\nfrom lab.unchecked import build\n"
        f"build.FOLDER = Path({str(readable_folder)!r})\n"
        "print(hasattr(build.load(), 'bulkhead_evaluate'))"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        check=False,
        timeout=locked.SECONDS,
        env=locked.environment(),
        user=locked.NOBODY,
        extra_groups=[],
    )
    assert (ended.stdout, ended.stderr) == (b"True\n", b"")
    assert not list(readable_folder.iterdir())


def test_it_needs_nothing_from_a_library(own_folder: Path) -> None:
    """The same sources could not become a kernel module."""
    compiled = own_folder / "all.o"
    compile_them = ["cc", "-std=gnu11", "-O2", "-ffreestanding", "-nostdinc", "-nostdlib", "-r"]
    headers = own_folder / "linux"
    headers.mkdir()
    (headers / "types.h").write_text(
        "typedef unsigned char uint8_t; typedef unsigned int uint32_t;\n"
        "typedef unsigned long uint64_t; typedef long int64_t;\n"
    )
    units = [own_folder / one.name for one in build.SHARED if one.suffix == ".c"]
    subprocess.run(
        [*compile_them, "-D__KERNEL__", "-I", own_folder, "-o", compiled, *units],
        check=True,
        timeout=30,
    )
    undefined = subprocess.run(
        ["nm", "--undefined-only", "--format=posix", compiled],
        capture_output=True,
        check=True,
        timeout=30,
    )
    # What a memory hog asks for, of the module or of the C library.
    names = [line.split()[0] for line in undefined.stdout.splitlines()]
    assert names == [b"bulkhead_allocate"]
