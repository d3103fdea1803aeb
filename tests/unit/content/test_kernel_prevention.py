"""What of content the kernel may carry out by itself, and what content may never prevent."""

from dataclasses import replace

import pytest

from content import samples
from content.kernel_prevention import instance_entries, kernel_entries
from content.model import (
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
)
from content.prevention_table import LONGEST_PATH, MAX_ENTRIES, Compared, Entry
from content.reasons import Reason
from content.vital_paths import PATHS, is_initial, is_vital
from tests.unit.content.examples import COMMAND_LINE, IMAGE, INSTANCE, NETWORK, PROCESS, TYPES
from tests.unit.content.examples import channel_file as file_of

EXECUTABLE = next(one.number for one in PROCESS.fields if one.name == "executable_path")
X = Criterion(IMAGE, Operator.EQUALS, (b"/opt/x",), case_sensitive=True)


def preventing(*clauses: tuple[Criterion, ...], **changes: object) -> TemplateInstance:
    """An instance that is to prevent."""
    made = replace(
        INSTANCE,
        disposition=Disposition.PREVENT,
        clauses=tuple(Clause(criteria) for criteria in clauses),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_an_exact_path_is_for_the_kernel() -> None:
    """The kernel would prevent nothing, or another path than the content says."""
    resolved = replace(X, field=EXECUTABLE, values=(b"/opt/y", b"/opt/z"))
    entries = instance_entries(preventing((X,), (resolved,)), PROCESS)
    assert entries == (
        Entry(Compared.IMAGE, b"/opt/x"),
        Entry(Compared.EXECUTABLE_PATH, b"/opt/y"),
        Entry(Compared.EXECUTABLE_PATH, b"/opt/z"),
    )


@pytest.mark.parametrize(
    "clause",
    [
        (replace(X, case_sensitive=False),),
        (replace(X, negated=True),),
        (replace(X, operator=Operator.STARTS_WITH),),
        (replace(X, operator=Operator.EXISTS, values=(), case_sensitive=False),),
        (replace(X, field=COMMAND_LINE),),
        (X, replace(X, field=COMMAND_LINE)),
        (X, X),
        (replace(X, values=(b"opt/x", b"./x", b"")),),
        (replace(X, values=(b"/opt/x\0y",)),),
        (replace(X, values=(b"/" + b"x" * LONGEST_PATH,)),),
    ],
)
def test_everything_else_is_for_the_verdict(clause: tuple[Criterion, ...]) -> None:
    """The kernel would stop what the content, evaluated as a whole, does not match."""
    assert instance_entries(preventing(clause), PROCESS) == ()


def test_values_are_eligible_one_by_one() -> None:
    """One value that only the verdict can judge would keep the others from the kernel."""
    longest = b"/" + b"x" * (LONGEST_PATH - 1)
    mixed = replace(X, values=(b"x", longest, b"/opt/x"))
    paths = [entry.path for entry in instance_entries(preventing((mixed,)), PROCESS)]
    assert paths == [longest, b"/opt/x"]


def test_only_what_is_to_prevent_prevents() -> None:
    """An instance that is to detect would stop programs, or an event of another type would."""
    assert instance_entries(preventing((X,), disposition=Disposition.DETECT), PROCESS) == ()
    assert instance_entries(preventing((X,)), NETWORK) == ()


def test_the_gravest_come_first_and_the_rest_is_left_to_the_verdict() -> None:
    """Content of a thousand paths would break the table's bound, or push out what matters most."""
    many = replace(X, values=tuple(b"/opt/%d" % number for number in range(MAX_ENTRIES + 50)))
    low = preventing((many,), severity=Severity.LOW)
    grave = preventing((replace(X, values=(b"/zz",)),), id="grave", severity=Severity.CRITICAL)
    entries = kernel_entries([file_of(low, grave)], TYPES)
    assert len(entries) == MAX_ENTRIES
    assert entries[0].path == b"/zz"


def refusals(instance: TemplateInstance) -> list[Reason]:
    """Why the samples' step refuses an instance, its own samples left aside."""
    found = samples.check(file_of(replace(instance, samples=())), TYPES)
    return [problem.reason for problem in found]


@pytest.mark.parametrize("path", ["/bin/sh", "/usr/bin/bash", "/sbin/init", "/usr/sbin/sshd"])
def test_vital_programs_are_never_prevented(path: str) -> None:
    """One wrong path in one Channel File would take every host down."""
    wanted = replace(X, values=(path.encode(),))
    assert refusals(preventing((wanted,))) == [Reason.PREVENTS_VITAL_PROGRAM]
    assert refusals(preventing((replace(wanted, field=EXECUTABLE),))) != []
    broad = replace(X, operator=Operator.GLOB, values=(b"/*",), case_sensitive=False)
    assert refusals(preventing((broad,))) == [Reason.PREVENTS_VITAL_PROGRAM]
    assert refusals(preventing((broad,), disposition=Disposition.DETECT)) == []


def test_what_a_shell_does_can_be_prevented() -> None:
    """Nobody could stop a reverse shell."""
    shell = replace(X, operator=Operator.ENDS_WITH, values=(b"/bash",), case_sensitive=False)
    does = Criterion(COMMAND_LINE, Operator.CONTAINS, (b"/dev/tcp/",))
    assert refusals(preventing((shell, does))) == []
    negated = replace(does, negated=True)
    assert refusals(preventing((shell, negated))) == [Reason.PREVENTS_VITAL_PROGRAM]


def test_samples_are_named_beside_it() -> None:
    """An author would see one kind of problem only."""
    wrong = preventing((replace(X, values=(b"/bin/sh",)),))
    wrong = replace(wrong, samples=(Sample("s", must_match=True, inputs={IMAGE: b"/bin/ls"}),))
    found = [problem.reason for problem in samples.check(file_of(wrong), TYPES)]
    assert found == [Reason.SAMPLE_FAILED, Reason.PREVENTS_VITAL_PROGRAM]


def test_vital_paths_are_recognised_as_they_are_written() -> None:
    """A path with dots in it would get around the list."""
    assert is_vital("/usr/../bin//sh")
    assert is_vital("/lib/systemd/systemd-networkd")
    assert not is_vital("/opt/sh")
    assert not is_vital("/bin/sh2")
    assert is_initial("/sbin/init")
    assert not is_initial("/bin/sh")
    assert all(path.startswith("/") for path in PATHS)
