"""Which Sigma log sources are converted, and where their fields come from.

A category becomes one Template Type in one or more views. A view is one way in which an event of
that type is an event of the category: criteria that always hold for it, and for each Sigma field
where its value is. A rule becomes its condition in any of the views.

network_connection has two: who connects sees the destination at the other end; who accepts is the
destination, and the source is at the other end (Sigma's Initiated tells them apart).

A rule of that category that asks for the name of the destination becomes one about queries for the
name, because an event of the kernel has an address only.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from content.model import Criterion, Operator, Signed
from content.template_type import TemplateType

PRODUCT = "linux"


@dataclass(frozen=True, slots=True)
class Supplied:
    """The value is a field of the Template Type."""

    field: str


@dataclass(frozen=True, slots=True)
class Account:
    """The name of the account whose number is a field of the Template Type."""

    field: str


@dataclass(frozen=True, slots=True)
class Always:
    """The value is the same for every event of the view."""

    value: bool


Origin = Supplied | Account | Always


@dataclass(frozen=True, slots=True)
class View:
    """One way in which events of a Template Type are events of a category.

    operations: names of the values that `operation` must have one of; empty for all.
    succeeded: only events whose `result` is not an error number.
    """

    origins: Mapping[str, Origin]
    operations: tuple[str, ...] = ()
    succeeded: bool = False

    def criteria(self, template_type: TemplateType) -> tuple[Criterion, ...]:
        """What always holds."""
        fields = {field.name: field for field in template_type.fields}
        found: list[Criterion] = []
        if self.operations:
            operation = fields["operation"]
            values = tuple(operation.values[name] for name in self.operations)
            found.append(Criterion(operation.number, Operator.EQUALS, values))
        if self.succeeded:
            result = fields["result"].number
            found.append(Criterion(result, Operator.GREATER_OR_EQUAL, (Signed(0),)))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Category:
    """A Sigma category and the name of the Template Type that it becomes.

    instead: the category that a rule becomes which asks for such a Sigma field.
    """

    template_type: str
    views: tuple[View, ...]
    instead: Mapping[str, "Category"] = field(default_factory=dict)

    @property
    def fields(self) -> frozenset[str]:
        """The Sigma fields that are there in at least one view."""
        return frozenset(name for view in self.views for name in view.origins)

    def of(self, asked: Collection[str]) -> "Category":
        """The category for a rule that asks for these Sigma fields."""
        return next((self.instead[name] for name in asked if name in self.instead), self)


_PROCESS: Mapping[str, Origin] = {
    "Image": Supplied("image"),
    "CommandLine": Supplied("command_line"),
    "ProcessId": Supplied("pid"),
    "User": Account("user_id"),
    "ParentImage": Supplied("parent_image"),
    "ParentCommandLine": Supplied("parent_command_line"),
    "ParentProcessId": Supplied("parent_pid"),
    "ParentUser": Account("parent_user_id"),
}

# What Sysmon for Linux calls LogonId, for which public rules are written, is the real user id.
_CREATED: Mapping[str, Origin] = {
    **_PROCESS,
    "CurrentDirectory": Supplied("current_directory"),
    "LogonId": Supplied("user_id"),
}

_CONNECTED = View(
    operations=("connect",),
    origins={
        **_PROCESS,
        "DestinationIp": Supplied("remote_address"),
        "DestinationPort": Supplied("remote_port"),
        "Initiated": Always(value=True),
    },
)
_ACCEPTED = View(
    operations=("accept",),
    origins={
        **_PROCESS,
        "DestinationIp": Supplied("local_address"),
        "DestinationPort": Supplied("local_port"),
        "SourceIp": Supplied("remote_address"),
        "SourcePort": Supplied("remote_port"),
        "Initiated": Always(value=False),
    },
)
_RESOLVED = View(
    operations=("query",), origins={**_PROCESS, "DestinationHostname": Supplied("query_name")}
)
_WRITTEN = View(
    operations=("create", "open_write"),
    succeeded=True,
    origins={**_PROCESS, "TargetFilename": Supplied("path")},
)

CATEGORIES: Mapping[str, Category] = MappingProxyType(
    {
        "process_creation": Category("process", (View(_CREATED),)),
        "file_event": Category("file", (_WRITTEN,)),
        "network_connection": Category(
            "network",
            (_CONNECTED, _ACCEPTED),
            {"DestinationHostname": Category("dns", (_RESOLVED,))},
        ),
    }
)
"""By Sigma's name; everything else is refused."""
