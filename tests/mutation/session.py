"""How pytest runs in here: in a forked process, silently, the same way every time."""

import os
import sys
import traceback
from collections.abc import Callable

import pytest
from hypothesis import Phase, settings

from tests.mutation.targets import CHECKOUT, TESTS

PROFILE = "mutation"
_OPTIONS = (
    *("-p", "no:cacheprovider"),
    *("-p", "no:xdist"),
    *("--timeout", "600"),  # CPU time is what is limited; a busy machine changes no verdict
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported here already
)
BROKEN = 70
"""Exit status of a process in which an exception had the last word."""


def forked(work: Callable[[], int]) -> int:
    """The id of a new process that ends with what `work` returns, or with `BROKEN`."""
    pid = os.fork()
    if pid:
        return pid
    code = BROKEN
    try:
        code = work()
    finally:
        if sys.exc_info()[0]:
            traceback.print_exc()
        os._exit(code)


def silence() -> None:
    """Throw away what this process prints from now on; errors are still told."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)


def run_pytest(plugin: object) -> int:
    """Collect the tests and do with them what the plugin says; pytest's exit status."""
    silence()
    return int(pytest.main([*_OPTIONS, str(CHECKOUT / TESTS)], plugins=[plugin, _Profile()]))


class _Profile:
    """Hypothesis tries the same examples every time, and doesn't shrink: any failure will do."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        settings.register_profile(
            PROFILE,
            database=None,
            deadline=None,
            derandomize=True,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile(PROFILE)
