"""Where guests' packages come from: what apt says is understood, and nothing else is believed."""

import pytest

from lab.vm.debian import Mirrors, dependency, mirrors_in, source_lines
from lab.vm.errors import VmError, VmReason

TARGETS = [
    "Other vendor mirror://elsewhere",
    "Debian mirror://main/debian",
    "Debian mirror://main/debian",
    "Debian-Security mirror://security/debian-security",
]


def test_mirrors_are_those_of_debian_only() -> None:
    """A guest would be built from a vendor's repository, or not from the mirror of this site."""
    expected = Mirrors("mirror://main/debian", "mirror://security/debian-security")
    assert mirrors_in(TARGETS) == expected


def test_machine_without_a_debian_archive_is_refused() -> None:
    """A machine that is no Debian would fail with words that nobody understands."""
    with pytest.raises(VmError) as refusal:
        mirrors_in(["Ubuntu mirror://elsewhere"])
    assert refusal.value.reason is VmReason.ARCHIVE_UNKNOWN


def test_sources_name_the_keys_and_the_security_archive_where_there_is_one() -> None:
    """Packages would be taken unsigned, or a kernel without its security updates."""
    both = source_lines(Mirrors("a:", "b:"), "bookworm")
    assert [line.split("] ")[1] for line in both] == [
        "a: bookworm main",
        "b: bookworm-security main",
    ]
    assert all("signed-by=" in line for line in both)
    assert len(source_lines(Mirrors("a:", None), "bookworm")) == 1


def test_dependency_of_a_metapackage() -> None:
    """The matrix would fetch a package that is only a name, and find no kernel in it."""
    shown = (
        "Package: linux-image-cloud-amd64\nDepends: linux-image-6.12.1+deb13-cloud-amd64 (= 1)\n"
    )
    name = "linux-image-6.12.1+deb13-cloud-amd64"
    assert dependency(shown, "linux-image-cloud-amd64") == name
    with pytest.raises(VmError) as refusal:
        dependency("Package: real\n", "real")
    assert refusal.value.reason is VmReason.PACKAGE_MISSING
