"""How outcomes look: a sign and a pair of colours each, told apart without colour as well."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.cells.model import Outcome


@dataclass(frozen=True, slots=True)
class Look:
    """A sign, and the colour of the area behind it and of its edge, by day and by night."""

    sign: str
    day: tuple[str, str]
    night: tuple[str, str]


LOOKS: Mapping[Outcome, Look] = {
    Outcome.REFUSED: Look("⊘", ("#d3f0e6", "#00694f"), ("#0d3b30", "#4fd1ae")),
    Outcome.UNAFFECTED: Look("○", ("#ececec", "#5a5a5a"), ("#33373b", "#a9b1b8")),
    Outcome.WRONG_ANSWER: Look("≠", ("#f5e0ee", "#8f3a6c"), ("#45213a", "#e796c4")),
    Outcome.CONTAINED: Look("◐", ("#d6e9f8", "#005f97"), ("#12364f", "#6fb9ec")),
    Outcome.AGENT_GONE: Look("▲", ("#fdebc8", "#8a5600"), ("#4a3510", "#f0b84a")),
    Outcome.HOST_RESTARTED: Look("↻", ("#fbdcc8", "#a44300"), ("#512a14", "#f49a63")),
    Outcome.HOST_LOST: Look("✕", ("#f3b8ad", "#7d1500"), ("#6b1d10", "#ff9c88")),
}


def name(outcome: Outcome) -> str:
    """The outcome in names of styles: host-lost."""
    return outcome.value.replace(" ", "-")
