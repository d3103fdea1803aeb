"""The Content Validator as the cloud runs it: the one that author's tool and sensor run as well.

In this order, each step only if the one before found nothing: (1) the payload is loaded strictly,
(2) it is validated against what a sensor supplies, (3) its own samples are run through the Content
Interpreter.
"""

from collections.abc import Mapping

from content import samples
from content.channel_file import load
from content.problems import ContentError, Problem
from content.supply import Supply
from content.template_type import TemplateType
from content.validator import validate


def problems_of(
    payload: bytes,
    supply: Supply,
    types: Mapping[int, TemplateType],
    *,
    active_version: int = 0,
) -> list[Problem]:
    """Why a sensor with this supply must not get this payload; empty if it may."""
    try:
        # 1. Load.
        channel_file = load(payload)
        # 2. Validate against the supply.
        problems = validate(channel_file, supply, types, active_version=active_version)
        # 3. Run the samples.
        return problems or list(samples.check(channel_file, types))
    except ContentError as error:
        return list(error.problems)
