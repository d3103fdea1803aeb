"""A sensor's verifier and the honest repository that it is enrolled in, for the tests."""

import asyncio
import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Targets

from agent.link.errors import FetchRefusedError
from agent.link.metadata_store import MetadataStore
from agent.link.verifier import Verifier
from content.channel_file import content_hash
from tests.process.link_repository import Repository

OLD, NEW = b"content of yesterday", b"content of today"


class Sensor:
    """A verifier with its store, and a clock that runs with the repository's."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self.folder = folder
        self.repository = repository
        self.skew = timedelta()
        self.start()

    def start(self) -> None:
        """A link starts, with what the one before it has stored."""
        self.store = MetadataStore(self.folder)
        self.verifier = Verifier(
            self.repository.installed, self.store, lambda: self.repository.now + self.skew
        )

    def restart(self) -> None:
        """The link dies and another one starts."""
        self.store.close()
        self.start()

    def refresh(self) -> None:
        """A refresh from the repository's metadata as they are."""
        asyncio.run(self.verifier.refresh(self.repository.fetch))

    def refusal(self) -> tuple[str, str]:
        """A refresh that has to fail: its reason and place."""
        with pytest.raises(FetchRefusedError) as refused:
            self.refresh()
        return str(refused.value.reason), refused.value.place

    def has(self, payload: bytes) -> bool:
        """Whether a payload would be fetched."""
        with contextlib.suppress(FetchRefusedError):
            self.verifier.target(content_hash(payload))
            return True
        return False


def copied_targets(repository: Repository) -> Metadata[Targets]:
    """What the repository's targets metadata say, without their signatures."""
    assert repository.targets is not None
    return Metadata(Targets.from_dict(repository.targets.signed.to_dict()))


def newest(repository: Repository, role: str) -> tuple[str, int]:
    """Where the newest metadata of a role are."""
    return role, max(version for name, version in repository.metadata if name == role)


def forge(repository: Repository, role: str, change: dict[str, Any]) -> None:
    """Change a role's newest metadata after they were signed."""
    place = newest(repository, role)
    document = json.loads(repository.metadata[place])
    document["signed"].update(change)
    data = json.dumps(document).encode()
    repository.metadata[place] = data
    if role == "timestamp":
        repository.metadata[("timestamp", 0)] = data
