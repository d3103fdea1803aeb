"""`python -m lab.report.docs_page`: docs/laboratory-results.md and its figures, from real results.

Made from what build/lab holds of one kind of host. Without a result for every cell nothing is
touched, unless --partial says that the page may tell of fewer; it names those that are missing.
The page ends with a checksum of itself and its figures, so that --check finds one that was edited.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from content.escape import safe
from lab.ablation.replay import Outcome as Replay
from lab.ablation.replay import alone
from lab.campaign.catalogue import load
from lab.campaign.laboratory import CHECKOUT, FOLDER
from lab.cells.model import Cell, Result
from lab.cells.words import duration
from lab.report import page
from lab.report.looks import LOOKS
from lab.report.page import Host, Material
from lab.report.words import PROTECTION_WENT_ON, sentence, things
from lab.report.writing import gather

DOCS = CHECKOUT / "docs"
PAGE = "laboratory-results.md"
PICTURE = "images/laboratory-{}.svg"
SEAL = "<!-- sha256 of page and figures: "


def main() -> int:
    """Write or check; the exit status is 1 if the page was edited."""
    parser = argparse.ArgumentParser(prog="python -m lab.report.docs_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only see whether it was edited")
    parser.add_argument("--partial", action="store_true", help="write although cells are missing")
    given = parser.parse_args()
    if given.check:
        return 0 if is_sealed(DOCS) else _say("docs/laboratory-results.md was edited: make docs", 1)
    material = gather(FOLDER, load())
    found = page.hosts(material)
    if len(found) != 1 or not (given.partial or not missing(material, found[0])):
        return _say("not a result for every cell in build/lab: docs are left as they are", 0)
    write(DOCS, material, found[0])
    return _say(f"docs/{PAGE} and its figures", 0)


def missing(material: Material, host: Host) -> list[Cell]:
    """Cells without a measurement."""
    measured = {cell for cell, one in host.results.items() if one.measured}
    return [cell for cell in material.catalogue.expectations if cell not in measured]


def write(docs: Path, material: Material, host: Host) -> None:
    """Replace page and figures."""
    figures = pictures(material, host)
    for name, svg in figures.items():
        (docs / PICTURE.format(name)).write_text(svg, encoding="utf-8")
    text = markdown(material, host)
    (docs / PAGE).write_text(f"{text}\n{SEAL}{_seal(text, figures)} -->\n", encoding="utf-8")


def pictures(material: Material, host: Host) -> dict[str, str]:
    """Figures by name, without the host's: a page has one kind of host."""
    suffix = f"-{host.name}"
    return {name.removesuffix(suffix): svg for name, svg in page.figures(material).items()}


def is_sealed(docs: Path) -> bool:
    """Whether page and figures are as they were written; no page is fine."""
    if not (docs / PAGE).exists():
        return True
    text, found, seal = (docs / PAGE).read_text(encoding="utf-8").rpartition(f"\n{SEAL}")
    files = sorted((docs / "images").glob(Path(PICTURE.format("*")).name))
    prefix = Path(PICTURE.format("")).stem
    names = {one.stem.removeprefix(prefix): one.read_text(encoding="utf-8") for one in files}
    return bool(found) and seal == f"{_seal(text, names)} -->\n"


def markdown(material: Material, host: Host) -> str:
    """The page, without its seal."""
    arms = [one for one in material.catalogue.arms if any(c.arm == one for c in host.results)]
    faults = dict.fromkeys(cell.fault for cell in host.results)
    lines = [*_head(material, host), ""]
    lines += [_row(["fault", *arms]), _row(["---"] * (len(arms) + 1))]
    for fault in faults:
        found = [host.results.get(Cell(arm, fault)) for arm in arms]
        lines.append(_row([fault, *(_told(one) if one else "not run" for one in found)]))
    lines += [
        "",
        *_headline(material, host),
        *_differences(host),
        "",
        "## When protection was back",
    ]
    lines += ["", f"![Seconds until protection was back]({PICTURE.format('restored')})", ""]
    return "\n".join([*lines, *(_ablation(material.ablation) if material.ablation else [])])


def _head(material: Material, host: Host) -> list[str]:
    environment, machine = host.environment, material.machine
    absent = missing(material, host)
    told = f" {things(len(absent), 'cell')} without a figure: {', '.join(map(str, absent))}."
    return [
        "# What the laboratory measured",
        "",
        "Written by `make docs` from a real run of `make lab`; [laboratory.md](laboratory.md) says",
        "what the words mean. Nothing here is typed.",
        "",
        f"Hosts: {safe(environment.release)}, kernel {safe(environment.kernel)}, "
        f"{things(environment.processors, 'processor')}, {environment.memory_mebibytes} MiB, "
        f"{environment.runner} ({environment.accelerator}). "
        f"Measured on {safe(machine.get('system', ''))}, {safe(machine.get('processor', ''))}."
        + (told if absent else ""),
        "",
        f"![What became of a host, by placement and fault]({PICTURE.format('matrix')})",
    ]


def _told(result: Result) -> str:
    """A cell of the table."""
    measured = result.measured
    if measured is None:
        return "no figure"
    text = f"{LOOKS[measured.outcome].sign} {measured.outcome}"
    if measured.restored_seconds is not None and measured.outcome not in PROTECTION_WENT_ON:
        text += f", {duration(measured.restored_seconds)}"
    return text if result.as_expected else f"**{text}** (expected {result.expected.outcome})"


def _headline(material: Material, host: Host) -> list[str]:
    lines = ["## The criterion on field 21", ""]
    for result in host.headline:
        if result.measured is not None:
            title = safe(material.catalogue.arms.get(result.cell.arm, ""))
            lines.append(f"- **{result.cell.arm}, {title}.** {_text(sentence(result.measured))}")
            if result.measured.said:
                lines.append(f"  Its words: {_code(result.measured.said)}")
    return [*lines, ""]


def _differences(host: Host) -> list[str]:
    lines = ["## Where measurement and expectation differ", ""]
    for one in host.differences:
        if one.measured is not None:
            expected = f"expected {one.expected.outcome} ({_text(one.expected.why)})"
            lines.append(f"- {one.cell}: measured {one.measured.outcome}, {expected}")
    return lines if host.differences else [*lines, "Nowhere."]


def _ablation(outcomes: Sequence[Replay]) -> list[str]:
    incidents = sum(one.incident for one in outcomes)
    fleet = f"{outcomes[0].hosts:,} simulated hosts"
    lines = [
        "## Which safeguard would have stopped it",
        "",
        f"{incidents} of {len(outcomes)} combinations crash any of {fleet}.",
        "",
        f"![All combinations of six safeguards]({PICTURE.format('ablation')})",
        "",
        _row(["safeguard alone", "hosts reached", "hosts crashed", "stopped on"]),
        _row(["---"] * 4),
    ]
    for safeguard, one in alone(outcomes).items():
        counts = [f"{one.reached:,}", f"{one.crashed:,}", str(one.stopped_on or "never")]
        lines.append(_row([f"{safeguard.finding} {safeguard}", *counts]))
    words = "Which safeguard makes which redundant"
    return [*lines, "", f"![{words}]({PICTURE.format('redundancy')})", ""]


def _text(words: str) -> str:
    """Words that may hold what a guest said, as plain text of Markdown."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in safe(words))


def _code(words: str) -> str:
    return f"`{safe(words).replace('`', chr(39))}`"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _seal(text: str, figures: Mapping[str, str]) -> str:
    parts = [text, *(figures[name] for name in sorted(figures))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _say(text: str, status: int) -> int:
    sys.stdout.write(f"docs_page: {text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
