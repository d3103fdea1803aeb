"""SVG as a tree of elements: texts are texts, whatever is in them, and colours are classes.

Pictures carry no style of their own, because the console's policy forbids it, and none is needed:
the stylesheet gives a class its colours, in the light and in the dark and on paper.
"""

from typing import Final
from xml.etree import ElementTree as Tree

from markupsafe import Markup

from content.escape import safe

ELLIPSIS = "…"
EDGE = 2
"""Room for the half of a line that is outside of its box."""
CHARACTER_WIDTH: Final = 7.2
"""Units of the picture that a character takes, about; more than the average one."""


class Drawing:
    """One picture, so many units wide and high; both texts are for those who can't see it."""

    def __init__(self, size: tuple[float, float], title: str, description: str, kind: str) -> None:
        width, height = size
        self._root = Tree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"{-EDGE} {-EDGE} {width + 2 * EDGE:g} {height + 2 * EDGE:g}",
                "width": f"{width + 2 * EDGE:g}",
                "height": f"{height + 2 * EDGE:g}",
                "role": "img",
                "class": f"picture {kind}",
            },
        )
        Tree.SubElement(self._root, "title").text = safe(title)
        Tree.SubElement(self._root, "desc").text = safe(description)

    def box(self, place: tuple[float, float], size: tuple[float, float], kind: str) -> None:
        """A rectangle with its upper left corner at `place`."""
        (x, y), (width, height) = place, size
        shape = {"x": x, "y": y, "width": width, "height": height, "rx": 4}
        self._add("rect", shape, kind)

    def line(self, begin: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        self._add("line", {"x1": begin[0], "y1": begin[1], "x2": end[0], "y2": end[1]}, kind)

    def dot(self, place: tuple[float, float], radius: float, kind: str, told: str = "") -> None:
        """A disc, and what a pointer on it is told."""
        shape = self._add("circle", {"cx": place[0], "cy": place[1], "r": radius}, kind)
        if told:
            Tree.SubElement(shape, "title").text = safe(told)

    def text(
        self, place: tuple[float, float], text: str, kind: str, room: float | None = None
    ) -> None:
        """One line of text, cut to the room that there is."""
        shown = safe(text)
        characters = int(room / CHARACTER_WIDTH) if room is not None else len(shown)
        if len(shown) > characters:
            shown = shown[: max(0, characters - 1)] + ELLIPSIS
        self._add("text", {"x": place[0], "y": place[1]}, kind).text = shown

    def markup(self) -> Markup:
        """As it stands in a page."""
        return Markup(Tree.tostring(self._root, encoding="unicode"))  # noqa: S704  from a tree

    def _add(self, name: str, numbers: dict[str, float], kind: str) -> Tree.Element:
        attributes = {key: f"{value:g}" for key, value in numbers.items()}
        return Tree.SubElement(self._root, name, {**attributes, "class": kind})
