r"""Sigma's regular expressions (PCRE, by their modifiers) in the subset that content may hold.

What is written differently there is rewritten; the rest is left as it is, and what the subset
doesn't have is refused by `content.regex_subset` with the position in the author's spelling:

    .        without the modifier s: any byte but a line break, [^\n]
    $        the very end or before a last line break, \n?$
    *? +?    laziness decides what is captured, never whether there is a match: left out
    (?i)     at the beginning: as the modifier
    \ +tab   a backslash before a space or a control character: \x20

Case counts unless the modifier i says otherwise. A character is a byte, as everywhere in content.
"""

import re
from dataclasses import dataclass

from sigma.types import SigmaRegularExpression, SigmaRegularExpressionFlag

from content.reasons import Reason
from content.regex_subset import ExpressionError, parse
from content.sigma.refusal import RuleRefusedError, Searched, SigmaReason

_INLINE_FLAGS = re.compile(r"\(\?([ims]+)\)")
_FLAGS = {
    "i": SigmaRegularExpressionFlag.IGNORECASE,
    "m": SigmaRegularExpressionFlag.MULTILINE,
    "s": SigmaRegularExpressionFlag.DOTALL,
}
_REPEAT_ENDS = ("*", "+", "?", "}")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the subset, in UTF-8, and whether case counts."""

    value: bytes
    case_sensitive: bool


def convert(expression: SigmaRegularExpression, field: str) -> Expression:
    """The same expression in the subset; RuleRefusedError with the position where there is none."""
    written = str(expression.regexp)
    if expression.contains_placeholder():
        raise RuleRefusedError(
            SigmaReason.VALUE_NOT_SUPPORTED,
            field,
            "an expression with placeholders",
            "an expression that is complete",
            Searched(field),
        )
    flags, start = set(expression.flags), 0
    if inline := _INLINE_FLAGS.match(written):
        flags |= {_FLAGS[letter] for letter in inline[1]}
        start = inline.end()
    translation = _Translation(written, field, dot_matches_all=_FLAGS["s"] in flags)
    case_sensitive = _FLAGS["i"] not in flags
    if not case_sensitive:
        require_ascii_case(written, field)
    value = translation.translate(start, multiline=_FLAGS["m"] in flags)
    return Expression(value, case_sensitive)


def require_ascii_case(text: str, field: str) -> None:
    """RuleRefusedError for letters outside ASCII that have case, which content doesn't fold."""
    for character in text:
        if not character.isascii() and character.lower() != character.upper():
            expected = "letters of ASCII, or the modifier cased"
            raise RuleRefusedError(
                SigmaReason.CASE_NOT_ASCII, field, character, expected, Searched(field, text)
            )


class _Translation:
    """One expression on its way; remembers where each character came from."""

    def __init__(self, written: str, field: str, *, dot_matches_all: bool) -> None:
        self._written = written
        self._field = field
        self._dot = "." if dot_matches_all else r"[^\n]"
        self._characters: list[str] = []
        self._origins: list[int] = []
        self._lazy: int | None = None

    def translate(self, start: int, *, multiline: bool) -> bytes:
        at = start
        while at < len(self._written):
            at = self._part(at, multiline=multiline)
        value = "".join(self._characters).encode()
        try:
            parse(value)
        except ExpressionError as error:
            origins = [*self._origins, len(self._written)]
            origin = origins[min(error.position - 1, len(origins) - 1)]
            raise self._refused(origin, error.found, error.expected) from error
        return value

    def _part(self, at: int, *, multiline: bool) -> int:
        """Translate what begins at a position; returns where the next part begins."""
        character = self._written[at]
        following = self._written[at + 1 : at + 2]
        if character == "\\":
            plain = not following.isprintable() or following == " "
            self._add(
                f"\\x{ord(following):02x}" if following and plain else character + following, at
            )
            return at + 2
        if character == "[":
            end = self._class_end(at)
            self._add(self._written[at:end], at)
            return end
        if character in "^$" and multiline:
            expected = "an expression without anchors, or without the modifier m"
            raise self._refused(at, f"{character} for each line", expected)
        if character == "?" and self._is_lazy(at):
            self._lazy = at
            return at + 1
        self._add({".": self._dot, "$": r"\n?$"}.get(character, character), at)
        return at + 1

    def _is_lazy(self, at: int) -> bool:
        """Whether the ? at a position follows a repeat, and not a literal that looks like one."""
        before = self._written[:at]
        if before[-1:] not in _REPEAT_ENDS or self._lazy == at - 1:
            return False
        backslashes = len(before) - 1 - len(before[:-1].rstrip("\\"))
        return backslashes % 2 == 0

    def _class_end(self, at: int) -> int:
        end = at + 1
        while end < len(self._written) and self._written[end] != "]":
            end += 2 if self._written[end] == "\\" else 1
        return end + 1

    def _add(self, text: str, origin: int) -> None:
        step = 1 if self._written.startswith(text, origin) else 0
        self._characters += text
        self._origins += (origin + step * offset for offset in range(len(text)))

    def _refused(self, at: int, found: str, expected: str) -> RuleRefusedError:
        return RuleRefusedError(
            Reason.EXPRESSION_NOT_ALLOWED,
            f"{self._field}, character {at + 1}",
            found,
            expected,
            Searched(self._field, self._written),
        )
