"""Figures as SVG: the same bytes from the same data, legible by day and by night.

Colours are classes, so that a figure takes the theme of what shows it; a picture (PNG) is by day.
"""

from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

import resvg_py

from lab.report.looks import LOOKS, name

NAMESPACE = "http://www.w3.org/2000/svg"
FONT = '"DejaVu Sans",system-ui,sans-serif'
TEXT_SIZE: Final = 13
ZOOM = 2
"""Pixels of a PNG for each unit of the figure."""

_DAY = {"paper": "#ffffff", "ink": "#1b1f23", "faint": "#5d666f", "rule": "#c9ced3"}
_NIGHT = {"paper": "#15181b", "ink": "#e8eaed", "faint": "#a7b0b8", "rule": "#454c53"}


class Drawing:
    """A figure under way; measures are in units of the figure, y grows downwards."""

    def __init__(self, width: float, height: float, title: str) -> None:
        size = {"viewBox": f"0 0 {_n(width)} {_n(height)}", "width": _n(width)}
        self._root = ET.Element("svg", {"xmlns": NAMESPACE, **size, "height": _n(height)})
        self._root.set("role", "img")
        self._root.set("aria-label", title)
        self._element("title", {}).text = title
        self._element("style", {}).text = STYLE
        self.box(0, 0, width, height, "paper")

    def text(
        self, at: tuple[float, float], words: str, style: str = "ink", anchor: str = "start"
    ) -> None:
        """Words on a base line; the anchor is start, middle or end."""
        place = {"x": _n(at[0]), "y": _n(at[1]), "text-anchor": anchor}
        self._element("text", {**place, "class": _class(style)}).text = words

    def box(
        self, left: float, top: float, width: float, height: float, style: str, hint: str = ""
    ) -> None:
        """A rectangle; the hint is shown to who points at it."""
        place = {"x": _n(left), "y": _n(top), "width": _n(width), "height": _n(height)}
        self._hinted(self._element("rect", {**place, "class": _class(style)}), hint)

    def dot(self, x: float, y: float, radius: float, style: str, hint: str = "") -> None:
        """A disc."""
        place = {"cx": _n(x), "cy": _n(y), "r": _n(radius)}
        self._hinted(self._element("circle", {**place, "class": _class(style)}), hint)

    def line(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A thin rule."""
        ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        place = {key: _n(value) for key, value in ends.items()}
        self._element("line", {**place, "class": _class("line")})

    def svg(self) -> str:
        """The figure as one element, with a newline at its end."""
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def _element(self, kind: str, attributes: Mapping[str, str]) -> ET.Element:
        return ET.SubElement(self._root, kind, dict(attributes))

    def _hinted(self, element: ET.Element, hint: str) -> None:
        if hint:
            ET.SubElement(element, "title").text = hint


def png(svg: str) -> bytes:
    """The figure as a picture, by day."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=ZOOM))


def _class(style: str) -> str:
    """Figures are put into pages, so their classes have names that no page has."""
    return f"figure-{style}"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _colours(colours: Mapping[str, str], theme: str) -> str:
    rules = [f".figure-{key}{{fill:{value}}}" for key, value in colours.items()]
    rules.append(f".figure-line{{stroke:{colours['rule']};stroke-width:1}}")
    rules.append(f".figure-difference{{fill:none;stroke:{colours['ink']};stroke-width:2.5}}")
    # What is written across rules stays legible: it stands on paper of its own.
    halo = f"stroke:{colours['paper']};stroke-width:5;paint-order:stroke"
    rules.append(f".figure-label{{fill:{colours['ink']};{halo}}}")
    for outcome, look in LOOKS.items():
        area, edge = look.day if theme == "day" else look.night
        rules.append(f".figure-{name(outcome)}{{fill:{area};stroke:{edge};stroke-width:1}}")
        rules.append(f".figure-edge-{name(outcome)}{{fill:{edge}}}")
    return "".join(rules)


STYLE = (
    f"text{{font:{TEXT_SIZE}px {FONT}}}.figure-heading{{font-weight:bold}}"
    + _colours({**_DAY, "heading": _DAY["ink"]}, "day")
    + "@media screen and (prefers-color-scheme:dark){"
    + _colours({**_NIGHT, "heading": _NIGHT["ink"]}, "night")
    + "}"
)
