"""Debian packages of any release, from the mirrors that this machine is configured for.

A release gets package lists of its own in the cache: the machine's lists, cache and state are never
touched. Signatures are checked with Debian's own keys. The mirrors are those that apt names for the
machine's Debian sources, so that whoever has set up a mirror is not asked twice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.vm import commands
from lab.vm.errors import VmError, VmReason

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MAIN = "Debian"
SECURITY = "Debian-Security"
"""Labels of the two archives in their signed Release files."""

TARGETS = ("--format", "$(LABEL) $(SITE)", "Created-By: Packages")


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Addresses of Debian's archive and of its security archive (None: not configured)."""

    main: str
    security: str | None


def configured_mirrors() -> Mirrors:
    """Those of this machine; ARCHIVE_UNKNOWN where apt knows no Debian archive."""
    return mirrors_in(
        commands.run(VmReason.ARCHIVE_UNKNOWN, "apt-get", "indextargets", *TARGETS).splitlines()
    )


def mirrors_in(targets: Iterable[str]) -> Mirrors:
    """Read lines of label and site, as `apt-get indextargets` prints them."""
    sites: dict[str, str] = {}
    for line in targets:
        label, _, site = line.partition(" ")
        sites.setdefault(label, site.strip())
    if MAIN not in sites:
        raise VmError(
            VmReason.ARCHIVE_UNKNOWN,
            "apt names no archive with the label Debian: run apt-get update on a Debian",
        )
    return Mirrors(sites[MAIN], sites.get(SECURITY))


def source_lines(mirrors: Mirrors, release: str) -> list[str]:
    """A release in apt's words: packages and, where there is a mirror, security updates."""
    lines = [f"deb [signed-by={KEYS}] {mirrors.main} {release} main"]
    if mirrors.security is not None:
        lines.append(f"deb [signed-by={KEYS}] {mirrors.security} {release}-security main")
    return lines


@dataclass(frozen=True, slots=True)
class Archive:
    """One release, with package lists in a folder of their own."""

    release: str
    folder: Path

    def update(self, mirrors: Mirrors) -> None:
        """Fetch the package lists; ARCHIVE_UNREACHABLE where a mirror has no such release."""
        for part in ("lists/partial", "archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        text = "\n".join(source_lines(mirrors, self.release)) + "\n"
        self._sources.write_text(text, encoding="utf-8")
        self._apt("apt-get", VmReason.ARCHIVE_UNREACHABLE, "--error-on=any", "update")

    def real_package(self, metapackage: str) -> str:
        """The package with a version in its name that a metapackage depends on now."""
        shown = self._apt(
            "apt-cache", VmReason.PACKAGE_MISSING, "--no-all-versions", "show", metapackage
        )
        return dependency(shown, metapackage)

    def download(self, package: str, folder: Path) -> Path:
        """Fetch a package's file into an empty folder; its path."""
        self._apt("apt-get", VmReason.ARCHIVE_UNREACHABLE, "download", package, folder=folder)
        (path,) = folder.glob("*.deb")
        return path

    @property
    def _sources(self) -> Path:
        return self.folder / "sources.list"

    def _apt(
        self, command: str, reason: VmReason, *arguments: str, folder: Path | None = None
    ) -> str:
        settings = {
            "Dir::Etc::sourcelist": self._sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State": self.folder,
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.folder,
            # The user that apt fetches as can't reach every checkout.
            "APT::Sandbox::User": "root",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return commands.run(reason, command, "-q", *options, *arguments, folder=folder)


def dependency(shown: str, metapackage: str) -> str:
    """The first package of the field Depends in what `apt-cache show` says."""
    found = re.search(r"^Depends: ([a-z0-9][a-z0-9+.-]+)", shown, re.MULTILINE)
    if found is None:
        raise VmError(VmReason.PACKAGE_MISSING, f"{metapackage} depends on nothing")
    return found[1]
