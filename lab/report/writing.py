"""Writes report, figures and tables from what the results' folder holds."""

from pathlib import Path

from content.files import replace_file
from lab.ablation import document
from lab.ablation.replay import Outcome
from lab.campaign.plan import Catalogue
from lab.report import page
from lab.report.drawing import png
from lab.report.page import Material
from lab.results import machine, tables
from lab.results.errors import ResultsError
from lab.results.store import Store

REPORT = "report.html"
FIGURES = "figures"


def gather(folder: Path, catalogue: Catalogue) -> Material:
    """All that can be used of the folder; what can't is among the complaints."""
    records, errors = Store(folder).read_all()
    complaints = [str(error) for error in errors]
    ablation: list[Outcome] = []
    found: dict[str, str] = {}
    try:
        ablation = _ablation(folder)
        found = machine.read(folder)
    except ResultsError as error:
        complaints.append(str(error))
    results = [one.result for one in records]
    return Material(folder, catalogue, results, ablation, found, complaints)


def write(folder: Path, catalogue: Catalogue) -> Path:
    """Replace the report and all that goes with it; returns the report's path."""
    tables.write(folder, Store(folder).read_all()[0])
    material = gather(folder, catalogue)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, svg in page.figures(material).items():
        replace_file(folder / FIGURES / f"{name}.svg", svg.encode())
        replace_file(folder / FIGURES / f"{name}.png", png(svg))
    replace_file(folder / REPORT, page.html(material).encode())
    return folder / REPORT


def _ablation(folder: Path) -> list[Outcome]:
    file = folder / document.FILE
    if not file.exists():
        return []
    return document.read(file.read_text(encoding="utf-8", errors="replace"), document.FILE)[1]
