"""The figure of `bench.rollout`: hosts that bad content reaches, and the delay of good content."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 90, 30, 50, 60
DECADES_UP = 7
LABELS = (-12, -30, -12, 26)
"""How far below its mark a label stands, so that neighbours don't cover each other."""


@dataclass(frozen=True, slots=True)
class Point:
    """One plan: hosts reached by bad content, hours until half and all may have good content."""

    name: str
    reached: int
    half_hours: float
    all_hours: float


def picture(points: Sequence[Point], hosts: int) -> str:
    """An SVG; hosts on a logarithmic axis, hours on a linear one."""
    longest = math.ceil(max(one.all_hours for one in points) + 0.5)
    title = f"Hosts that the content of July 2024 reaches, of {hosts:,}, and what that costs"
    view, font = f'viewBox="0 0 {WIDTH} {HEIGHT}"', 'font-family="sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} {font} role="img">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-weight="bold">{title}</text>',
        *_axes(longest),
    ]
    for number, point in enumerate(points):
        parts += _mark(point, longest, LABELS[number % len(LABELS)])
    return "\n".join([*parts, "</svg>", ""])


def _axes(longest: int) -> list[str]:
    lines = []
    for decade in range(DECADES_UP + 1):
        y = _y(10**decade)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{10**decade:,}</text>')
    for hour in range(0, longest + 1, max(1, longest // 8)):
        x = _x(hour, longest)
        lines.append(f'<line x1="{x}" x2="{x}" y1="{_y(1)}" y2="{_y(1) + 5}" stroke="#444444"/>')
        lines.append(f'<text x="{x}" y="{_y(1) + 20}" text-anchor="middle">{hour}</text>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    lines.append(
        f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">hours until half of the hosts '
        "have good content (bar: until all may have it)</text>"
    )
    return lines


def _mark(point: Point, longest: int, below: int) -> list[str]:
    x, most, y = _x(point.half_hours, longest), _x(point.all_hours, longest), _y(point.reached)
    anchor = "end" if x > WIDTH * 0.6 else "start"
    label = f"{point.name}: {point.reached:,}"
    return [
        f'<line x1="{x}" x2="{most}" y1="{y}" y2="{y}" stroke="#1f5fa8" stroke-width="3"/>',
        f'<circle cx="{x}" cy="{y}" r="6" fill="#1f5fa8"/>',
        f'<text x="{x}" y="{y + below}" text-anchor="{anchor}">{escape(label)}</text>',
    ]


def _x(hours: float, longest: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * hours / longest, 1)


def _y(hosts: float) -> float:
    height = HEIGHT - TOP - BOTTOM
    return round(TOP + height * (1 - math.log10(max(hosts, 1)) / DECADES_UP), 1)
