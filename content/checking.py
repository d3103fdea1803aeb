"""What an author's check does: form, validation, samples; each file's problems with their place.

In order, each step only where the one before found nothing to stop it:

    1. every YAML file is read into a Template Instance, every .channel file loaded strictly
    2. instances are put together, one Channel File per Template Type
    3. each Channel File is validated against what a sensor supplies on the given rung
    4. it is packed, and loaded as whoever receives it will load it
    5. its samples go through the Content Interpreter
    6. what is accepted is priced, and warned of where it is costly (`content.advice`)

The cloud and the sensor do 3 to 5 again with the same code, the cloud 6 as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from content import samples
from content.advice import warnings_of
from content.authoring import AuthoredChannelFile, AuthoredInstance, assemble, read_instance
from content.channel_file import ChannelFile, load, pack, read_envelope
from content.escape import safe
from content.kernel_prevention import kernel_entries
from content.limits import LIMITS
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.supply import Supply
from content.template_type import Rung, TemplateType
from content.validator import validate

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
PACKED_SUFFIX = ".channel"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: Channel Files put together from YAML, packed ones by path, all problems.

    warnings: of files that have no problem; they refuse nothing.
    """

    authored: tuple[AuthoredChannelFile, ...]
    packed: Mapping[Path, ChannelFile]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def instances(self) -> int:
        """How many instances could be read."""
        return sum(len(file.instances) for file in self.files)

    @property
    def files(self) -> list[ChannelFile]:
        """All Channel Files, put together or packed."""
        return [one.channel_file for one in self.authored] + list(self.packed.values())

    def kernel_paths(self, types: Mapping[int, TemplateType], rung: Rung) -> list[str]:
        """Paths that the kernel would prevent by itself on a rung, escaped."""
        entries = kernel_entries(self.files, types) if rung is Rung.BPF_BTF else ()
        return [safe(entry.path) for entry in entries]


def check(
    paths: Sequence[Path], types: Mapping[int, TemplateType], rung: Rung, version: int = 1
) -> Checked:
    """Check files, and folders with all that is below them; OSError passes through.

    version: what Channel Files put together from YAML are to have.
    """
    # 1. Read. 2. Put together.
    found = read_all(paths, types, version)
    authored, packed, problems = found.authored, found.packed, list(found.problems)
    # 3 to 6. Validate, pack and load, try the samples, price.
    supply = Supply.of(types, rung)
    warnings: list[Problem] = []
    for one in authored:
        judged, warned = _judge(one.channel_file, supply, types)
        problems += map(one.locate, judged)
        warnings += map(one.locate, warned)
    for path, channel_file in packed.items():
        judged, warned = _judge(channel_file, supply, types)
        problems += [replace(problem, file=str(path)) for problem in judged]
        warnings += [replace(problem, file=str(path)) for problem in warned]
    return Checked(authored, packed, _in_order(problems), _in_order(warnings))


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    problems.sort(key=lambda one: (one.file, one.line, one.column))
    return tuple(problems[: LIMITS.problems])


def read_all(paths: Sequence[Path], types: Mapping[int, TemplateType], version: int = 1) -> Checked:
    """Steps 1 and 2 only, with all problems of form; OSError passes through."""
    instances: list[AuthoredInstance] = []
    packed: dict[Path, ChannelFile] = {}
    problems: list[Problem] = []
    for path in _files(paths):
        try:
            if path.suffix == PACKED_SUFFIX:
                packed[path] = load(read_envelope(path).payload)
            else:
                instances.append(read_instance(path, types))
        except ContentError as error:
            problems += [replace(one, file=one.file or str(path)) for one in error.problems]
    authored = tuple(assemble(instances, version))
    return Checked(authored, packed, tuple(problems[: LIMITS.problems]))


def _judge(
    channel_file: ChannelFile, supply: Supply, types: Mapping[int, TemplateType]
) -> tuple[list[Problem], list[Problem]]:
    """Problems; warnings, where there is no problem."""
    problems = validate(channel_file, supply, types)
    if problems:
        return problems, []
    try:
        load(pack(channel_file))
    except ContentError as error:
        return list(error.problems), []
    if problems := samples.check(channel_file, types):
        return problems, []
    return [], warnings_of(channel_file, types[channel_file.template_type.number])


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as given, folders' content sorted; each file once."""
    seen: set[Path] = set()
    for path in paths:
        below = sorted(_content_below(path)) if path.is_dir() else [path]
        if not below:
            expected = f"*.yaml or *{PACKED_SUFFIX} files"
            raise ContentError(
                [Problem(Reason.EMPTY_FILE, "folder", "no content", expected, str(path))]
            )
        for file in below:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _content_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix in YAML_SUFFIXES | {PACKED_SUFFIX} and path.is_file():
            yield path
