"""What a page or an order is given, and what it answers: data, without the web framework."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud.console.forms import NO_FORM, Form
from cloud.console.limits import LIMITS, ConsoleLimits
from cloud.console.sessions import Session
from cloud.errors import CloudReason, RequestError
from cloud.folder import CloudFolder
from cloud.store.database import Database
from cloud.views import Types

WHOLE_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page works with."""

    cloud: CloudFolder
    database: Database
    types: Types
    limits: ConsoleLimits = LIMITS


@dataclass(frozen=True, slots=True)
class Visit:
    """One request by an operator who is logged in; `path` and `query` as they were asked for."""

    desk: Desk
    session: Session
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Form = NO_FORM

    @property
    def operator(self) -> str:
        """Whose name an order stands under in the audit log."""
        return self.session.operator.name

    def hash_asked_for(self) -> bytes:
        """The content hash in the path."""
        try:
            return bytes.fromhex(self.path["content_hash"])
        except ValueError as error:
            raise unknown("no hash of a Channel File") from error

    def number_asked_for(self) -> int:
        """The number in the path."""
        if not WHOLE_NUMBER.fullmatch(self.path["number"]):
            raise unknown("no number of a report")
        return int(self.path["number"])


@dataclass(frozen=True, slots=True)
class Page:
    """A template and what it shows."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An order was carried out: where it can be seen, and what is told there."""

    location: str
    note: str


Answer = Page | Elsewhere


def unknown(what: str) -> RequestError:
    """There is no such page."""
    return RequestError(CloudReason.PAGE_UNKNOWN, f"{what}; expected a page that this one links to")
