"""All outcomes of the ablation as a JSON document, and back.

Whoever changes a key or its meaning raises the version; files of another one are refused.
"""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from lab.ablation.replay import Outcome, redundant
from lab.ablation.safeguards import Safeguard, every_combination
from lab.campaign.inputs import sources_digest
from lab.results import fields
from lab.results.fields import Fields

VERSION = 1
FILE = "ablation.json"
CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("content", "lab/ablation", "lab/unchecked", "probes")


def inputs(hosts: int) -> str:
    """A name for the sources that a replay depends on, and the size of its fleet."""
    return f"{hosts} hosts, {sources_digest(CHECKOUT, SOURCES)}"


def text_of(outcomes: Sequence[Outcome], inputs: str) -> str:
    """The document; inputs is a digest of what they were made from."""
    values = {
        fields.SCHEMA: VERSION,
        "inputs": inputs,
        "hosts": outcomes[0].hosts,
        "outcomes": [
            {
                "safeguards": [str(one) for one in Safeguard if one in outcome.safeguards],
                "reached": outcome.reached,
                "crashed": outcome.crashed,
                "stopped_by": str(outcome.stopped_by or ""),
                "stopped_on": outcome.stopped_on.isoformat() if outcome.stopped_on else "",
                "reason": outcome.reason,
            }
            for outcome in outcomes
        ],
        "redundant": [[str(one), str(other)] for one, other in redundant(outcomes)],
    }
    return json.dumps(values, indent=1) + "\n"


def read(text: str, file: str) -> tuple[str, list[Outcome]]:
    """Inputs and outcomes; ResultsError names the file and the place."""
    found = fields.parse(text, file, VERSION)
    hosts = found.count("hosts")
    outcomes = [_outcome(one, hosts) for one in found.each("outcomes")]
    if {one.safeguards for one in outcomes} != set(every_combination()):
        raise found.wrong("outcomes", "one for each combination of safeguards")
    return found.text("inputs"), outcomes


def _outcome(found: Fields, hosts: int) -> Outcome:
    names = found.texts("safeguards")
    stopped_by, stopped_on = found.text("stopped_by"), found.text("stopped_on")
    try:
        safeguards = frozenset(map(Safeguard, names))
        by = Safeguard(stopped_by) if stopped_by else None
        on = date.fromisoformat(stopped_on) if stopped_on else None
    except ValueError as error:
        raise found.wrong("safeguards", f"names of safeguards and a day: {error}") from error
    return Outcome(
        safeguards,
        hosts,
        found.count("reached"),
        found.count("crashed"),
        by,
        on,
        found.text("reason"),
    )
