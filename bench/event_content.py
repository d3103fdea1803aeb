"""Content of a chosen size for the events of `bench.event_load`: one instance matches the canary.

File instances have the shape of those that are shipped: a part, beginning or end of a path, in
half of them an operation, in a quarter programs that are permitted. Each has a marker of its own,
so that only the first one matches, and only the load's canary. For execs the instances are those of
`bench.interpreter_load`.
"""

from dataclasses import replace

from bench.interpreter_load import COMMAND_LINE, OTHER_IMAGE, PARENT_IMAGE, make
from bench.interpreter_load import IMAGE as PROCESS_IMAGE
from content.definitions import load_definitions
from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)

OPERATION, PATH, IMAGE = 1, 2, 7
OPEN_WRITE, CREATE = 1, 2
WRITER = b"/usr/bin/writer"
CANARY = b"/canary"
CANARY_INSTANCE = "bench-file-0"


def file_content(instances: int, version: int = 1) -> ChannelFile:
    """So many instances for Template Type file, of which the first matches paths of the canary."""
    content = tuple(_file_instance(number) for number in range(instances))
    return ChannelFile(_reference("file"), version, content)


def process_content(instances: int) -> ChannelFile:
    """So many instances for Template Type process; execs of the load match none."""
    file = make(instances, 1).channel_file
    complete = tuple(_with_samples(one, number) for number, one in enumerate(file.instances))
    return replace(file, instances=complete)


def _with_samples(instance: TemplateInstance, number: int) -> TemplateInstance:
    """The same with the samples that a sensor demands."""
    marker = b"/srv/tool-%05d/" % number
    image, command_line = marker + b"bash", b"bash -c " + marker + b"data.zip"
    matching: dict[int, Value] = {
        PROCESS_IMAGE: image,
        COMMAND_LINE: command_line,
        PARENT_IMAGE: image,
    }
    other = {**matching, PROCESS_IMAGE: OTHER_IMAGE}
    samples = (
        Sample("its program", must_match=True, inputs=matching),
        Sample("another program", must_match=False, inputs=other),
    )
    return replace(
        instance, false_positives=("None: the path exists in benchmarks only",), samples=samples
    )


def _reference(name: str) -> TemplateTypeReference:
    found = next(one for one in load_definitions().values() if one.name == name)
    return TemplateTypeReference(found.number, found.version, found.fingerprint, found.arity)


def _file_instance(number: int) -> TemplateInstance:
    path, example = _path(number)
    criteria = [path]
    if number % 2:
        criteria.append(Criterion(OPERATION, Operator.EQUALS, (OPEN_WRITE, CREATE)))
    if number % 4 == 1:
        permitted = (b"/dpkg", b"/apt-%05d" % number)
        criteria.append(Criterion(IMAGE, Operator.ENDS_WITH, permitted, negated=True))
    inputs: dict[int, Value] = {OPERATION: CREATE, PATH: example, IMAGE: WRITER}
    return TemplateInstance(
        id=f"bench-file-{number}",
        disposition=Disposition.DETECT,
        severity=Severity.LOW,
        title="For a benchmark",
        description="For a benchmark",
        attack_techniques=(),
        false_positives=("None: the path exists in benchmarks only",),
        clauses=(Clause(tuple(criteria)),),
        samples=(
            Sample("the path", must_match=True, inputs=inputs),
            Sample("another path", must_match=False, inputs={**inputs, PATH: b"/tmp/other"}),
        ),
    )


def _path(number: int) -> tuple[Criterion, bytes]:
    """A criterion that few paths satisfy, and a path that does."""
    marker = b"/srv/data-%05d/" % number
    if number == 0:
        return Criterion(PATH, Operator.ENDS_WITH, (CANARY,)), b"/srv" + CANARY
    match number % 10:
        case 0:
            expression = marker + rb"[a-z0-9.]*\.(?:key|pem)"
            return Criterion(PATH, Operator.REGEX, (expression,)), marker + b"host.key"
        case 1 | 2:
            return Criterion(PATH, Operator.STARTS_WITH, (marker,)), marker + b"file"
        case 3 | 4:
            name = b"/secret-%05d.conf" % number
            return Criterion(PATH, Operator.ENDS_WITH, (name,)), b"/etc" + name
        case 5:
            return Criterion(PATH, Operator.EQUALS, (marker + b"id_rsa",)), marker + b"id_rsa"
    return Criterion(PATH, Operator.CONTAINS, (marker,)), b"/mnt" + marker + b"file"
