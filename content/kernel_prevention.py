"""Which part of content the kernel can carry out by itself. Pure.

A value of a prevent instance of Template Type process is eligible if it alone decides: its clause
has one criterion, `equals` on `image` or `executable_path`, case-sensitive and not negated, and the
value is an absolute path that fits the kernel's table. Every other clause, and every other value,
is left to the supervisor's verdict. What is eligible is exactly what the interpreter matches: the
kernel compares the same bytes with the same text.
"""

from collections.abc import Iterable, Iterator, Mapping

from content.model import ChannelFile, Clause, Disposition, Operator, TemplateInstance
from content.prevention_table import LONGEST_PATH, MAX_ENTRIES, Compared, Entry
from content.template_type import TemplateType

PROCESS = "process"
FIELDS: Mapping[str, Compared] = {
    "image": Compared.IMAGE,
    "executable_path": Compared.EXECUTABLE_PATH,
}


def kernel_entries(
    files: Iterable[ChannelFile], types: Mapping[int, TemplateType]
) -> tuple[Entry, ...]:
    """What the kernel is to prevent, each once: gravest instances first, at most MAX_ENTRIES."""
    found: list[tuple[int, Entry]] = []
    for file in files:
        template_type = types[file.template_type.number]
        for instance in file.instances:
            entries = instance_entries(instance, template_type)
            found += [(-int(instance.severity), entry) for entry in entries]
    in_order = dict.fromkeys(entry for _, entry in sorted(found))
    return tuple(in_order)[:MAX_ENTRIES]


def instance_entries(instance: TemplateInstance, template_type: TemplateType) -> tuple[Entry, ...]:
    """The same for one instance, without the limit."""
    if instance.disposition is not Disposition.PREVENT or template_type.name != PROCESS:
        return ()
    numbers = {
        field.number: FIELDS[field.name] for field in template_type.fields if field.name in FIELDS
    }
    return tuple(entry for clause in instance.clauses for entry in _of_clause(clause, numbers))


def _of_clause(clause: Clause, fields: Mapping[int, Compared]) -> Iterator[Entry]:
    if len(clause.criteria) != 1:
        return
    (criterion,) = clause.criteria
    exact = criterion.operator is Operator.EQUALS and criterion.case_sensitive
    if not exact or criterion.negated or criterion.field not in fields:
        return
    for value in criterion.values:
        if isinstance(value, bytes) and _fits(value):
            yield Entry(fields[criterion.field], value)


def _fits(path: bytes) -> bool:
    return path.startswith(b"/") and len(path) <= LONGEST_PATH and b"\0" not in path
