"""What there is to carry out, in an order for readers.

Arms come as their placements do, those with the product's checks last; the fault of July 2024 is
the first.
"""

from lab.campaign.plan import Catalogue
from lab.cells import finding
from lab.cells.parts import Arm, Placement

FIRST_FAULT = "arity-gap"
"""The fault of July 2024."""


def load() -> Catalogue:
    """All arms and faults; PartError where a file of one can't be used."""
    arms = sorted(finding.arms().values(), key=_order)
    faults = sorted(finding.faults().values(), key=lambda one: one.name != FIRST_FAULT)
    return Catalogue(
        {one.name: one.title for one in arms},
        {one.name: one.words for one in faults},
        finding.expectations(),
    )


def _order(arm: Arm) -> tuple[bool, int, str]:
    return arm.checked, list(Placement).index(arm.placement), arm.name
