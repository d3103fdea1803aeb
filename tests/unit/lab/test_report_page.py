"""The report shows every outcome, needs nothing but itself, and no guest can write into it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.cells.model import Cell, Outcome
from lab.report import docs_page, page, writing
from lab.report.drawing import png
from lab.report.looks import LOOKS
from lab.report.page import Material
from lab.results.document import Recorded
from lab.results.store import RESULT, Store
from tests.unit.lab.recorded_cells import ARMS, BY_ARM, CALM, CATALOGUE, HOST, failed, recorded
from tests.unit.lab.replayed import outcomes

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e"
PNG = b"\x89PNG\r\n"


@dataclass
class Seen(HTMLParser):
    """Elements and attributes of a page, and its text outside of styles."""

    tags: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text += data


def seen(html: str) -> Seen:
    """The page, taken apart."""
    parser = Seen()
    parser.feed(html)
    return parser


def material(*records: Recorded, folder: Path = Path("nowhere")) -> Material:
    """A report's material without files."""
    machine = {"written": "today", "commit": "abc", "system": "Debian", "processor": "two"}
    return Material(folder, CATALOGUE, [one.result for one in records], outcomes(), machine)


def all_outcomes() -> Iterator[Recorded]:
    """A cell for each outcome, one that differs and one without a figure among them."""
    yield from (recorded(arm) for arm in ARMS)
    restarted = replace(BY_ARM["K"], outcome=Outcome.HOST_RESTARTED, restored_seconds=300.0)
    yield recorded("K", "bad-content-at-boot", measured=restarted)
    yield recorded("P", "bad-content-at-boot", measured=CALM)
    yield failed("G", "bad-content-at-boot")


@pytest.fixture(scope="module")
def whole() -> Seen:
    """A report of every outcome."""
    return seen(page.html(material(*all_outcomes())))


def test_every_outcome_is_shown_with_its_sign(whole: Seen) -> None:
    """Who sees no colours could not tell a lost host from a contained fault."""
    for outcome, look in LOOKS.items():
        assert f"{look.sign} {outcome}" in whole.text
    assert len({look.sign for look in LOOKS.values()}) == len(Outcome)


def test_differences_and_cells_without_a_figure_are_named(whole: Seen) -> None:
    """A result that was not expected would drown in the matrix."""
    differences = whole.text.partition("Where measurement and expectation differ")[2]
    text = " ".join(differences.split())
    assert "K/bad-content-at-boot: measured host restarted, expected host lost" in text
    assert "Not carried out: G/bad-content-at-boot." in text
    assert "NO_SPACE: disk full" in text


def test_agreement_is_said_too() -> None:
    """Nobody could tell that nothing differed from that nothing was compared."""
    assert "Nowhere: 2 cells as expected." in page.html(material(recorded("K"), recorded("G")))


def test_it_needs_no_network_and_no_scripts(whole: Seen) -> None:
    """The report could not be read where it was measured, or would run what a guest wrote."""
    assert not {"script", "link", "img", "iframe", "object"} & set(whole.tags)
    assert not [name for name in whole.attributes if name.startswith("on")]
    addresses = whole.attributes["href"] + whole.attributes.get("src", [])
    assert not [one for one in addresses if "//" in one or one.startswith(("data:", "/"))]


def test_every_inner_link_has_its_place(whole: Seen) -> None:
    """A link of the matrix would lead nowhere."""
    places = whole.attributes["id"]
    assert len(places) == len(set(places))
    inner = {one[1:] for one in whole.attributes["href"] if one.startswith("#")}
    assert inner <= set(places)


def test_hostile_words_stay_words() -> None:
    """A guest could put markup and control characters into the report."""
    said = replace(
        BY_ARM["K"], said=HOSTILE, died=(HOSTILE,), manual_steps=(HOSTILE,), boots=(HOSTILE,)
    )
    hostile = recorded("K", measured=said)
    environment = replace(HOST, kernel=HOSTILE)
    result = replace(hostile.result, environment=environment, files={HOSTILE: 'a/"><script>.log'})
    html = page.html(material(replace(hostile, result=result)))
    found = seen(html)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_hostile_consoles_stay_text(tmp_path: Path) -> None:
    """A console could run scripts in the browser of who reads the report."""
    store = Store(tmp_path)
    with store.scratch() as folder:
        (folder / "console.log").write_bytes(b"\xff\x1b[2J</pre><script>alert(1)</script>\r\n")
        store.keep(recorded("K"), folder)
    html = page.html(writing.gather(tmp_path, CATALOGUE))
    assert r"\xff\x1b[2J&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_unknown_arms_are_shown_last() -> None:
    """Results of an arm that was renamed would vanish, or end the report with a traceback."""
    one = recorded("K")
    old = replace(one.result, cell=Cell("Z", "arity-gap"))
    made = material(replace(one, result=old), recorded("G"))
    assert [str(cell) for cell in page.hosts(made)[0].results] == ["G/arity-gap", "Z/arity-gap"]
    assert "Z/arity-gap" in page.html(made)


def test_hosts_of_two_kinds_are_kept_apart() -> None:
    """Figures of two kernels would be mixed in one matrix."""
    one = recorded("K")
    other = replace(one, result=replace(one.result, environment=replace(HOST, release="trixie")))
    found = seen(page.html(material(one, other)))
    assert {"direct-bookworm", "direct-trixie"} <= set(found.attributes["id"])


def test_a_report_without_results_says_so() -> None:
    """An interruption in the first cell would end with a traceback."""
    html = page.html(Material(Path("nowhere"), CATALOGUE, [], complaints=["RESULTS_VERSION: f"]))
    assert "No cell has been carried out." in html
    assert "RESULTS_VERSION: f" in html


def test_figures_are_the_same_from_the_same_results() -> None:
    """A figure in the documents would change without a new measurement."""
    assert page.figures(material(*all_outcomes())) == page.figures(material(*all_outcomes()))


@pytest.mark.parametrize("name", page.figures(material(*all_outcomes())))
def test_a_figure_keeps_within_its_paper(name: str) -> None:
    """Words would be cut off at the edge of a figure."""
    svg = page.figures(material(*all_outcomes()))[name]
    root = ET.fromstring(svg)  # noqa: S314 — our own
    width = float(root.attrib["width"])
    for text in root.iter("{*}text"):
        x, length = float(text.attrib["x"]), 8.2 * len(text.text or "")
        left = {"start": x, "middle": x - length / 2, "end": x - length}[text.attrib["text-anchor"]]
        assert left >= 0, text.text
        assert left + length <= width + 1, text.text
    assert png(svg).startswith(PNG)


def test_everything_is_written_beside_the_report(tmp_path: Path) -> None:
    """Raw data or figures that the report links to would be missing."""
    store = Store(tmp_path)
    with store.scratch() as folder:
        store.keep(recorded("K"), folder)
    found = seen(writing.write(tmp_path, CATALOGUE).read_text(encoding="utf-8"))
    for address in found.attributes["href"]:
        assert address.startswith("#") or (tmp_path / address).exists()
    assert store.read_all()[0] == [recorded("K")]


def test_a_broken_result_is_told_in_the_report(tmp_path: Path) -> None:
    """A cell would be missing without a word."""
    store = Store(tmp_path)
    with store.scratch() as folder:
        store.keep(recorded("K"), folder)
    for file in tmp_path.rglob(RESULT):
        file.write_text("{}")
    (tmp_path / "ablation.json").write_text("{}")
    html = writing.write(tmp_path, CATALOGUE).read_text(encoding="utf-8")
    assert "RESULTS_VERSION: cells/direct-bookworm/K/arity-gap/result.json" in html
    assert "RESULTS_VERSION: ablation.json" in html


def test_the_documents_page_is_sealed(tmp_path: Path) -> None:
    """A figure in the documents could be edited by hand."""
    assert docs_page.is_sealed(tmp_path)
    (tmp_path / "images").mkdir()
    made = material(*all_outcomes())
    docs_page.write(tmp_path, made, page.hosts(made)[0])
    assert docs_page.is_sealed(tmp_path)
    picture = next((tmp_path / "images").iterdir())
    picture.write_text(picture.read_text(encoding="utf-8").replace("host", "hots"))
    assert not docs_page.is_sealed(tmp_path)


def test_the_documents_page_shows_what_differs_and_what_is_missing() -> None:
    """The documents would tell of a full run that there was not."""
    made = material(*all_outcomes())
    text = docs_page.markdown(made, page.hosts(made)[0])
    assert "**↻ host restarted, 5 min 0 s** (expected host lost)" in text
    assert "4 cells without a figure: " in text
    assert "G/bad-content-at-boot" in text


def test_hostile_words_stay_words_in_the_documents() -> None:
    """A guest could write a link or a table into the documents."""
    hostile = replace(BY_ARM["W"], said="`|a", died=("[x](y) | <b>",))
    made = material(recorded("W", measured=hostile))
    text = docs_page.markdown(made, page.hosts(made)[0])
    assert r"\[x\]" in text
    assert r"\<b\>" in text
    assert "`'|a`" in text
