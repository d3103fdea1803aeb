"""Arms and faults are found by their files alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab.arms
import lab.faults
from lab.cells import finding
from lab.cells.finding import PartError
from lab.cells.model import Cell

CHECKOUT = Path(__file__).resolve().parents[3]
GUIDE = CHECKOUT / "docs" / "laboratory-extending.md"
MOST_LINES = 50
ARMS = {"K", "P", "W", "B1", "B2", "G"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Has a folder `arms` and one `faults` that belong to these packages, for a while."""
    for package, name in ((lab.arms, "arms"), (lab.faults, "faults")):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / name)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("lab.arms.", "lab.faults.")):
            del sys.modules[name]


def _template(title: str) -> str:
    """A template of the guide: the first Python in the section of that title."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"## {title}\n")[2]
    return section.partition("```python\n")[2].partition("```")[0]


def test_every_cell_has_an_expectation() -> None:
    """A cell would be measured with nothing to compare it with."""
    cells = finding.expectations()
    assert set(finding.arms()) == ARMS
    assert len(cells) == len(ARMS) * len(finding.faults())
    assert Cell("K", "arity-gap") in cells


@pytest.mark.parametrize("package", ["arms", "faults"])
def test_an_arm_or_fault_is_one_short_file(package: str) -> None:
    """Adding one would need more than the guide promises."""
    for path in (CHECKOUT / "lab" / package).glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path.name


def test_a_fault_of_the_guide_is_found(folder: Path) -> None:
    """A new fault would need registration somewhere."""
    (folder / "faults" / "template.py").write_text(_template("A new fault"), encoding="utf-8")
    assert "my-fault" in finding.faults()


def test_an_arm_of_the_guide_is_found(folder: Path) -> None:
    """A new arm would need registration, or faults that say nothing of it would go unnoticed."""
    (folder / "arms" / "template.py").write_text(_template("A new arm"), encoding="utf-8")
    with pytest.raises(PartError, match="EXPECTATION_MISSING"):
        finding.faults()


def test_a_file_without_its_constant_is_named(folder: Path) -> None:
    """A mistyped constant would make an arm vanish without a word."""
    (folder / "arms" / "mistyped.py").write_text('"""No constant."""\n', encoding="utf-8")
    with pytest.raises(PartError, match=r"PART_MISSING: .*mistyped\.py: ARM is NoneType"):
        finding.arms()
