"""Where CI has everything, a test that skips itself does not pass for one that ran."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import CHECKOUT

AVOIDABLE = {
    "a call": "import pytest\ndef test_it():\n    pytest.skip('later')\n",
    "a mark": "import pytest\n@pytest.mark.skip(reason='later')\ndef test_it():\n    pass\n",
    "a module": "import pytest\npytest.skip('later', allow_module_level=True)\n",
    "a missing library": "import pytest\npytest.importorskip('no_such_library')\n",
}
UNAVOIDABLE = (
    "from tests.needs import skip_unavoidable\ndef test_it():\n    skip_unavoidable('no KVM')\n"
)


@pytest.mark.parametrize("way", AVOIDABLE)
def test_an_avoidable_skip_fails_in_ci_and_is_a_skip_elsewhere(way: str, tmp_path: Path) -> None:
    """CI would be green while it proves nothing."""
    assert "1 skipped" in _run(AVOIDABLE[way], tmp_path, forbid="")[1]
    status, said = _run(AVOIDABLE[way], tmp_path, forbid="1")
    assert status != 0
    assert "skipped where nothing may be skipped" in said


def test_what_no_set_up_can_bring_may_be_skipped_in_ci(tmp_path: Path) -> None:
    """CI could never be green on a machine without KVM."""
    status, said = _run(UNAVOIDABLE, tmp_path, forbid="1")
    assert (status, "1 skipped" in said) == (0, True), said


def _run(source: str, folder: Path, *, forbid: str) -> tuple[int, str]:
    (folder / "test_example.py").write_text(source, encoding="utf-8")
    options = ["--config-file", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(folder)]
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", *options, str(folder)]
    environment = {**os.environ, "CI": "", "BULKHEAD_FORBID_SKIPS": forbid}
    ended = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        check=False,
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr
