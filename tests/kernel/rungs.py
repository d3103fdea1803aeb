"""Which rung the tests of a module are about."""

import pytest

from content.definitions import Rung

ONLY_WITH_BTF = pytest.mark.parametrize("session_collection", [Rung.BPF_BTF], indirect=True)
"""What lower rungs don't supply is tried on the collector that has BTF alone."""
