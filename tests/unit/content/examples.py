"""Valid content that tests change in one place each, and the Definitions that it is for."""

from dataclasses import replace
from typing import Any

from content.channel_file import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)
from content.definitions import Rung, TemplateType, load_definitions
from content.problems import Problem
from content.reasons import Reason
from content.supply import Supply
from content.validator import validate

TYPES = load_definitions()
BY_NAME = {template_type.name: template_type for template_type in TYPES.values()}
PROCESS = BY_NAME["process"]
NETWORK = BY_NAME["network"]
IPC = BY_NAME["ipc"]
FULL_SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)

IMAGE = 1
COMMAND_LINE = 2
PID = 4
THREAD_ID = 5

MATCHING = Sample("matches", must_match=True, inputs={IMAGE: b"/bin/sh", PID: 7})
OTHER = Sample("does not match", must_match=False, inputs={IMAGE: b"/bin/ls"})
IMAGE_IS_SHELL = Criterion(IMAGE, Operator.EQUALS, (b"/bin/sh",))

INSTANCE = TemplateInstance(
    id="shell-started",
    disposition=Disposition.DETECT,
    severity=Severity.LOW,
    title="A shell was started",
    description="For tests.",
    attack_techniques=("T1059.004",),
    false_positives=("People.",),
    clauses=(Clause((IMAGE_IS_SHELL,)),),
    samples=(MATCHING, OTHER),
)


def reference(template_type: TemplateType) -> TemplateTypeReference:
    """How content names a Template Type that its author knows as it is."""
    return TemplateTypeReference(
        number=template_type.number,
        version=template_type.version,
        fingerprint=template_type.fingerprint,
        arity=template_type.arity,
    )


def channel_file(
    *instances: TemplateInstance, template_type: TemplateType = PROCESS, version: int = 1
) -> ChannelFile:
    """A Channel File of these instances, or of one valid one."""
    return ChannelFile(reference(template_type), version, instances or (INSTANCE,))


def with_instance(**changes: Any) -> ChannelFile:
    """The valid Channel File with its instance changed."""
    return channel_file(replace(INSTANCE, **changes))


def with_criterion(
    field: int,
    operator: Operator,
    *values: Value,
    template_type: TemplateType = PROCESS,
    negated: bool = False,
    case_sensitive: bool = False,
) -> ChannelFile:
    """A Channel File with one criterion; its samples only have the form of samples."""
    criterion = Criterion(field, operator, values, negated, case_sensitive)
    first = template_type.fields[0]
    value: Value = b"x" if first.capacity else next(iter(first.values.values()))
    samples = (
        Sample("one", must_match=True, inputs={1: value}),
        Sample("another", must_match=False, inputs={1: value}),
    )
    instance = replace(INSTANCE, clauses=(Clause((criterion,)),), samples=samples)
    return channel_file(instance, template_type=template_type)


def problems_of(
    content: ChannelFile, rung: Rung = Rung.BPF_BTF, *, active_version: int = 0
) -> list[Problem]:
    """What the validator says of content for a sensor of this release."""
    return validate(content, Supply.of(TYPES, rung), TYPES, active_version=active_version)


def reasons(problems: list[Problem]) -> list[Reason]:
    """The reason codes, in order."""
    return [problem.reason for problem in problems]


VALUES_OF_EVERY_KIND = channel_file(
    replace(
        INSTANCE,
        clauses=(
            Clause(
                (
                    Criterion(1, Operator.EQUALS, (1, 2)),
                    Criterion(3, Operator.CIDR, (AddressPrefix(b"\x0a\0\0\0", 8),), negated=True),
                    Criterion(7, Operator.LESS, (Signed(-1),)),
                    Criterion(8, Operator.REGEX, (b"/bin/.*sh$", b"x\\xff"), case_sensitive=True),
                    Criterion(4, Operator.EXISTS, ()),
                )
            ),
            Clause((Criterion(5, Operator.EQUALS, (AddressPrefix(bytes(15) + b"\1", 128),)),)),
        ),
        samples=(
            Sample(
                "yes",
                must_match=True,
                inputs={1: 1, 5: AddressPrefix(bytes(15) + b"\1", 128), 7: Signed(-13), 8: b"\xff"},
            ),
            Sample("no", must_match=False, inputs={1: 3}),
        ),
    ),
    template_type=NETWORK,
    version=7,
)
"""Valid content for network in which every kind of value occurs."""

YAML = """\
id: any-shell
template_type: process
schema: "4.0"
title: A shell
description: For tests.
disposition: observe
severity: low
clauses: [[{field: image, operator: ends_with, values: [/sh]}]]
samples:
  - {name: one, matches: true, inputs: {image: /bin/sh}}
  - {name: two, matches: false, inputs: {image: /bin/ls}}
"""
"""A good instance as its author writes it."""
