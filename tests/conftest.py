"""For all tests: skips that CI could avoid fail there, and generated examples leave no files."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from tests.needs import UNAVOIDABLE, skips_are_forbidden

# No database (it would lie in the checkout), and no deadline: pytest's time limit is the one limit.
# In CI the examples are the same in every run, so that a failure there is a change's own.
settings.register_profile(
    "bulkhead", database=None, deadline=None, derandomize=skips_are_forbidden()
)
settings.load_profile("bulkhead")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an avoidable skip of a test into a failure where those are forbidden."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _forbid_avoidable_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected."""
    report = yield
    _forbid_avoidable_skip(report)
    return report


def _forbid_avoidable_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or not skips_are_forbidden():
        return
    reason = _reason(report.longrepr)
    if not reason.startswith(UNAVOIDABLE):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {reason}"


def _reason(longrepr: Any) -> str:
    """Why a report says that it was skipped: the last of path, line and reason."""
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")
