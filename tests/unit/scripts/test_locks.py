"""The pins that everybody installs hold names, versions and hashes, and nothing of a machine."""

import json
import re

import pytest

from tests.needs import CHECKOUT

LOCKS = sorted((CHECKOUT / "requirements").glob("*.lock"))
LINE = re.compile(
    r"#.*"
    r"|[a-z0-9.-]+==[a-z0-9.!+]+( ; [a-z_ '<>=!0-9.A-Zand]+)? \\"
    r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
)


@pytest.mark.parametrize("name", [lock.name for lock in LOCKS])
def test_a_lock_holds_nothing_but_pins(name: str) -> None:
    """An address of one machine's index would be asked by everybody, or a package go unverified."""
    lines = (CHECKOUT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    names = [line.split("==")[0] for line in lines if "==" in line]
    assert names
    # The package of that name is an unrelated lattice library; ours is Debian's python3-bpfcc.
    assert "bcc" not in names


def test_the_lock_of_npm_holds_no_addresses() -> None:
    """The same for the linter of the wire."""
    lock = json.loads((CHECKOUT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert [path for path, package in packages.items() if "resolved" in package] == []
    assert [path for path, package in packages.items() if "integrity" not in package] == []


def test_the_lock_of_npm_knows_every_platform() -> None:
    """`npm ci` refuses a lock that was made where some platforms' packages could not be had."""
    lock = json.loads((CHECKOUT / "package-lock.json").read_text(encoding="utf-8"))
    wanted = lock["packages"]["node_modules/@bufbuild/buf"]["optionalDependencies"]
    assert [name for name in wanted if f"node_modules/{name}" not in lock["packages"]] == []
