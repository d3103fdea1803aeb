"""Sigma rules from files and folders into a folder of authors' files, one per rule.

`import_rules` converts in memory; `write` puts what was converted on disk. A rule that is refused
stands in the outcome with its reason and leaves no file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from content.checking import YAML_SUFFIXES
from content.escape import safe
from content.files import replace_file
from content.limits import LIMITS
from content.matching.matcher import MatcherError
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.sigma.converter import Choices, Converted, Converter
from content.sigma.refusal import Refusal, RuleRefusedError, of_problem
from content.sigma.source import RuleSource, read_rule
from content.template_type import Rung, TemplateType


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of every rule, in the order of the files."""

    converted: tuple[Converted, ...]
    refused: tuple[Refusal, ...]

    @property
    def by_reason(self) -> dict[str, int]:
        """How many rules were refused for each reason, most first."""
        return dict(Counter(one.reason for one in self.refused).most_common())


def import_rules(
    paths: Sequence[Path],
    types: Mapping[int, TemplateType],
    rung: Rung,
    choices: Choices | None = None,
) -> Outcome:
    """Convert files, and folders with all YAML below them.

    ContentError for a folder without rules or more rules than a Channel File has instances; OSError
    passes through.
    """
    converter = Converter(types, rung, choices)
    converted: dict[str, Converted] = {}
    refused: list[Refusal] = []
    for path in _rule_files(paths):
        result = _convert(path, converter)
        if isinstance(result, Converted) and result.instance.id in converted:
            result = _duplicate(result, converted[result.instance.id])
        if isinstance(result, Refusal):
            refused.append(result)
        else:
            converted[result.instance.id] = result
    return Outcome(tuple(converted.values()), tuple(refused))


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """Write each instance to a file named by its id; a file of that name is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in outcome.converted:
        path = folder / f"{one.instance.id}.yaml"
        replace_file(path, one.text.encode())
        written.append(path)
    return written


def _convert(path: Path, converter: Converter) -> Converted | Refusal:
    try:
        source = read_rule(path)
    except ContentError as error:
        return of_problem(path, "", error.problems[0])
    except RuleRefusedError as error:
        return _refusal(path, "", error, None)
    title = source.rule.title
    try:
        return converter.convert(source)
    except ContentError as error:
        return of_problem(path, title, error.problems[0])
    except MatcherError as error:
        reason, expected = Reason.EXPRESSION_NOT_ALLOWED, "expressions that can be compiled"
        return of_problem(path, title, Problem(reason, "detection", safe(str(error)), expected))
    except RuleRefusedError as error:
        return _refusal(path, title, error, source)


def _refusal(path: Path, title: str, error: RuleRefusedError, source: RuleSource | None) -> Refusal:
    mark = source.mark(error) if source else error.mark
    return Refusal(
        file=path,
        title=title,
        reason=str(error.reason),
        place=error.place,
        found=error.found,
        expected=error.expected,
        line=mark.line if mark else 0,
        column=mark.column if mark else 0,
    )


def _duplicate(result: Converted, first: Converted) -> Refusal:
    found = f"{result.instance.id}, as in {safe(str(first.source))}"
    problem = Problem(Reason.DUPLICATE_ID, "id", found, "each title and id once")
    return of_problem(result.source, result.instance.title, problem)


def _rule_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as given, folders' YAML sorted; each file once."""
    found: dict[Path, Path] = {}
    for path in paths:
        below = sorted(_yaml_below(path)) if path.is_dir() else [path]
        if not below:
            problem = Problem(Reason.EMPTY_FILE, "folder", "no rules", "*.yml files", str(path))
            raise ContentError([problem])
        for file in below:
            found.setdefault(file.resolve(), file)
        if len(found) > LIMITS.instances:
            expected = f"at most {LIMITS.instances} rules"
            raise ContentError(
                [Problem(Reason.LIMIT_EXCEEDED, "folder", "more rules", expected, str(path))]
            )
    return iter(found.values())


def _yaml_below(folder: Path) -> Iterator[Path]:
    return (one for one in folder.rglob("*") if one.suffix in YAML_SUFFIXES and one.is_file())
