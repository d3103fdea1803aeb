"""Which boxes and hosts there are: vagrant/hosts.json, which the Vagrantfile reads as well."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = CHECKOUT / "vagrant" / "hosts.json"


@dataclass(frozen=True, slots=True)
class Box:
    """A box: code names of the Debian whose packages it has, and of the one whose kernel."""

    name: str
    title: str
    user_space: str
    kernel: str


def boxes() -> Mapping[str, Box]:
    """All boxes by name."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))["boxes"]
    return {
        name: Box(name, one["title"], one["user_space"], one["kernel"])
        for name, one in table.items()
    }


def targets() -> Mapping[str, Box]:
    """The hosts that the sensor is tried on, and the box of each."""
    made = boxes()
    table = json.loads(TABLE.read_text(encoding="utf-8"))["targets"]
    return {one["name"]: made[one["box"]] for one in table}
