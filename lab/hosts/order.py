"""What a host is to do, as JSON in a folder that outlives its boots.

order.json             this
content/*.channel      Channel Files in force, for placements without a store of their own
pushed.channel         the one that is pushed
state/, cloud/, tls/   a sensor's store, and the cloud that it is connected to
bulkhead_laboratory.ko the module, where there is one
acted                  is there once the fault has been carried out
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.cells.parts import Delivery, Placement

FILE = "order.json"
CONTENT = "content"
PUSHED = "pushed.channel"
ACTED = "acted"
MODULE = "bulkhead_laboratory.ko"
SUFFIX = ".channel"
MOST_BYTES = 64 * 1024


class OrderError(Exception):
    """No order can be read; names the file, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Order:
    """placement and options: of the arm. delivery and pipe: of the fault.

    checked: whether the product's own interpreter runs. wanted: hash of the payload that is pushed.
    factor: how many times longer things may take here. calm_seconds: how long protection has to
    have lasted after the last trouble. patience_seconds: how long to wait for protection at all,
    times the factor.
    """

    placement: Placement
    delivery: Delivery
    pipe: str
    wanted: str
    factor: float = 1.0
    calm_seconds: float = 5.0
    patience_seconds: float = 300.0
    options: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Leave it in the folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="ascii")


def read(folder: Path) -> Order:
    """The order in a folder; OrderError where there is none."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            document: dict[str, Any] = json.loads(file.read(MOST_BYTES))
        return Order(
            **{
                **document,
                "placement": Placement(document["placement"]),
                "delivery": Delivery(document["delivery"]),
            }
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OrderError(f"ORDER_UNREADABLE: {path}: {error}; expected an order as JSON") from error


def acted(folder: Path) -> bool:
    """Whether the fault has been carried out, in this boot or before."""
    return (folder / ACTED).exists()


def act(folder: Path) -> None:
    """Note that the fault is about to be carried out, so that no later boot does it again."""
    descriptor = os.open(folder / ACTED, os.O_CREAT | os.O_WRONLY, 0o644)
    os.fsync(descriptor)
    os.close(descriptor)
    os.sync()
