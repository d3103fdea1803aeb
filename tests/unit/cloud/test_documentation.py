"""The guide names every reason code that a person may meet."""

import re
from pathlib import Path

from cloud.errors import CloudReason

GUIDE = Path(__file__).parents[3] / "docs" / "cloud.md"


def test_every_reason_code_is_explained_and_none_is_invented() -> None:
    """Somebody would look a code up and find nothing, or find what never happens."""
    section = GUIDE.read_text(encoding="utf-8").partition("## Reason codes")[2]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([A-Z_]+)`", "".join(rows))) == set(CloudReason)
