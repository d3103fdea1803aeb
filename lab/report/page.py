"""report.html from results: one file without scripts that needs nothing else to be read.

Every text goes through the template's escaping; what guests and consoles said was made printable
before. A Content-Security-Policy forbids scripts and addresses even so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined
from markupsafe import Markup

from content.escape import safe
from lab.ablation.replay import Outcome as Replay
from lab.ablation.replay import alone
from lab.campaign.catalogue import FIRST_FAULT
from lab.campaign.plan import Catalogue
from lab.cells.model import Cell, Environment, Outcome, Result
from lab.cells.words import duration
from lab.report import ablation_figures, cell_figures, consoles, looks, words
from lab.report.looks import LOOKS

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made of. complaints: why files of results were left out."""

    folder: Path
    catalogue: Catalogue
    results: Sequence[Result]
    ablation: Sequence[Replay] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    complaints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """Results that were measured on hosts of one kind."""

    environment: Environment
    results: Mapping[Cell, Result]

    @property
    def name(self) -> str:
        """As in the results' folder."""
        return f"{self.environment.runner}-{self.environment.release}"

    @property
    def headline(self) -> list[Result]:
        """The same fault under each arm."""
        return [one for cell, one in self.results.items() if cell.fault == FIRST_FAULT]

    @property
    def differences(self) -> list[Result]:
        """What was measured and not expected."""
        return [one for one in self.results.values() if one.as_expected is False]

    @property
    def missing(self) -> list[Result]:
        """What could not be carried out."""
        return [one for one in self.results.values() if one.measured is None]


def hosts(material: Material) -> list[Host]:
    """Results by kind of host, in the catalogue's order of faults, then arms."""
    groups: dict[Environment, dict[Cell, Result]] = {}
    for result in sorted(material.results, key=lambda one: _order(material.catalogue, one.cell)):
        groups.setdefault(result.environment, {})[result.cell] = result
    return [Host(environment, results) for environment, results in groups.items()]


def html(material: Material) -> str:
    """The page."""
    templates = Templates(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"safely": safe, "duration": duration, "link": quote}
    template = templates.get_template("report.html")
    return template.render(
        material=material,
        hosts=hosts(material),
        alone=alone(material.ablation) if material.ablation else {},
        figures=figures(material),
        looks=LOOKS,
        style_name=looks.name,
        outcomes=list(Outcome),
        sentence=words.sentence,
        back_after=words.back_after,
        things=words.things,
        tails=lambda result: list(consoles.tails(material.folder, result.files)),
        inline=Markup,  # figures are made here, by an XML writer
        Cell=Cell,
    )


def figures(material: Material) -> dict[str, str]:
    """SVGs by name; those of cells have the host's name in theirs."""
    found: dict[str, str] = {}
    for host in hosts(material):
        found[f"matrix-{host.name}"] = cell_figures.matrix(host.results, material.catalogue)
        found[f"restored-{host.name}"] = cell_figures.restored(list(host.results.values()))
    if material.ablation:
        found["ablation"] = ablation_figures.combinations(material.ablation)
        found["redundancy"] = ablation_figures.redundancy(material.ablation)
    return found


def _order(catalogue: Catalogue, cell: Cell) -> tuple[int, int, str]:
    """Unknown names last."""
    arms, faults = list(catalogue.arms), list(catalogue.faults)
    fault = faults.index(cell.fault) if cell.fault in faults else len(faults)
    arm = arms.index(cell.arm) if cell.arm in arms else len(arms)
    return fault, arm, str(cell)
