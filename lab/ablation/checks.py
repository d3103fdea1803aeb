"""The safeguards themselves: each is the product's own check, on what was released in 2024.

A check returns why it refuses, as a reason code, or "" where it passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress

from content import interface_cases, samples
from content.channel_file import ChannelFile, pack
from content.definitions import TemplateType
from content.interpreter import Engine
from content.problems import ContentError, Problem
from content.supply import Supply
from content.validator import validate
from lab.ablation.apart import Crash, apart
from lab.ablation.history import RUNG, authors_type, sensors_type, supplied
from lab.ablation.sensor import SuppliedOnly, engine
from lab.unchecked.compiled import Compiled
from probes.errors import ProbeError
from probes.supply import check_supplied

CRASHED = "CRASHED"
"""Instead of a reason code: the test did not end with an answer, but with a signal."""


def build_check() -> str:
    """Finding 1: the Definition against the fields that the sensor's code fills in."""
    kind = sensors_type()
    filled = {field.name for field in kind.fields if RUNG in field.rungs}
    try:
        check_supplied(authors_type(), filled, RUNG)
    except ProbeError as error:
        return str(error.reason)
    return ""


def field_tests(*, checked: bool) -> str:
    """Finding 3: a match and a non-match for every field, through the sensor's interpreter."""
    return _reason(
        apart(lambda: _first(interface_cases.check(authors_type(), _factory(checked=checked))))
    )


def validator(file: ChannelFile) -> str:
    """Finding 4: the file against what the sensor supplies."""
    return _first(validate(file, Supply.of(supplied(), RUNG), supplied()))


def trial(file: ChannelFile, *, checked: bool) -> str:
    """Finding 5: the file's own samples, through the sensor's interpreter."""
    believed = {**supplied(), sensors_type().number: authors_type()}
    return _reason(apart(lambda: _first(samples.check(file, believed, _factory(checked=checked)))))


def _factory(*, checked: bool) -> interface_cases.EngineFactory:
    def build(files: Sequence[ChannelFile], _types: Mapping[int, TemplateType]) -> Engine:
        try:
            return SuppliedOnly(engine(files, checked=checked))
        except ContentError:
            if checked:
                raise
            # Instances with operators that the C code lacks go to the checked interpreter, whose
            # refusal would be the merit of another safeguard.
            return SuppliedOnly(engine([_in_c(file) for file in files], checked=False))

    return build


def _in_c(file: ChannelFile) -> ChannelFile:
    known = [one.supported for one in Compiled(pack(file)).identities]
    return replace(file, instances=tuple(compress(file.instances, known)))


def _first(problems: Sequence[Problem]) -> str:
    return str(problems[0].reason) if problems else ""


def _reason(result: str | Crash) -> str:
    return CRASHED if isinstance(result, Crash) else result
