r"""The regular expressions that content may hold: a subset whose matching takes linear time.

`parse` turns an expression into a tree that says exactly which bytes match; every engine is fed
from the tree, never from the author's spelling, so dialects can't differ. An expression is:

    alternatives       a|b              grouping            (a) or (?:a), nothing is captured
    one byte           a  \.  \x2f  \t \n \r \f \v           any byte, newlines too: .
    classes            [a-z_] [^/]  \d \D \w \W \s \S (ASCII)
    repeats            *  +  ?  {n}  {n,}  {n,m}             anchors: ^ $ (very start, very end)

Anchors stand only at the beginning (^) or end ($) of the whole expression or of one of its
outermost alternatives. A character outside ASCII is its UTF-8 bytes, and repeats as a whole.
Everything else is refused with its position: backreferences, lookaround, lazy, possessive and
atomic parts, inline flags, named groups, \b, \p, octal, POSIX classes, control characters that are
not written as escapes, sizes over `content.limits`, and an expression that matches the empty text
(it would match everything).
"""

import string
from dataclasses import dataclass

from content.limits import LIMITS
from content.problems import ContentError, Problem
from content.reasons import Reason


@dataclass(frozen=True, slots=True)
class ByteSet:
    """One byte out of a set that is not empty."""

    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Items one after another; at least one."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    """Any one of at least two options."""

    options: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """The item from `minimum` to `maximum` times; None is without end."""

    item: "Node"
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """The very start of the text."""


@dataclass(frozen=True, slots=True)
class End:
    """The very end of the text; a final newline is text like any other."""


Node = ByteSet | Sequence | Alternation | Repeat | Start | End

ALL_BYTES = frozenset(range(256))
LETTERS = frozenset(string.ascii_letters.encode())
CASE_BIT = 0x20
"""The bit in which the two cases of an ASCII letter differ."""

EXACT = tuple(ByteSet(frozenset({byte})) for byte in range(256))
"""Each byte as itself."""

FOLDED = tuple(
    ByteSet(frozenset({byte, byte ^ CASE_BIT})) if byte in LETTERS else EXACT[byte]
    for byte in range(256)
)
"""Each byte with the other case of an ASCII letter."""

_DIGITS = frozenset(b"0123456789")
_WORD = frozenset(string.ascii_letters.encode() + b"0123456789_")
_SPACE = frozenset(b" \t\n\r\f\v")
_CLASSES = {
    "d": _DIGITS,
    "D": ALL_BYTES - _DIGITS,
    "w": _WORD,
    "W": ALL_BYTES - _WORD,
    "s": _SPACE,
    "S": ALL_BYTES - _SPACE,
}
_CONTROLS = {"t": 0x09, "n": 0x0A, "r": 0x0D, "f": 0x0C, "v": 0x0B}
_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_COUNT_DIGITS = 4
_HEX_DIGITS = 2
_REPEATS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class ExpressionError(ContentError):
    """An expression (or glob) is not allowed; `position` counts characters from 1."""

    def __init__(self, position: int, found: str, expected: str) -> None:
        self.position = position
        self.found = found
        self.expected = expected
        place = f"character {position}"
        super().__init__([Problem(Reason.EXPRESSION_NOT_ALLOWED, place, found, expected)])


def parse(expression: bytes, *, case_sensitive: bool = True) -> Node:
    """The tree of an expression (UTF-8); ExpressionError with the position where it is not one.

    Without case_sensitive, letters of ASCII stand for both cases; `[^a]` then excludes both.
    """
    try:
        text = expression.decode("utf-8")
    except UnicodeDecodeError as error:
        before = len(expression[: error.start].decode("utf-8"))
        found = f"byte 0x{expression[error.start]:02x}, which is not UTF-8"
        raise ExpressionError(before + 1, found, f"\\x{expression[error.start]:02x}") from error
    if len(text) > LIMITS.expression_characters:
        limit = LIMITS.expression_characters
        raise ExpressionError(limit + 1, f"{len(text)} characters", f"at most {limit}")
    node = _Parser(text, case_sensitive=case_sensitive).expression()
    if matches_empty(node):
        expected = "an expression that needs at least one byte"
        raise ExpressionError(1, "an expression that matches the empty text", expected)
    return node


def matches_empty(node: Node) -> bool:
    """Whether the node matches the empty text somewhere."""
    if isinstance(node, Sequence):
        return all(matches_empty(item) for item in node.items)
    if isinstance(node, Alternation):
        return any(matches_empty(option) for option in node.options)
    if isinstance(node, Repeat):
        return node.minimum == 0 or matches_empty(node.item)
    return isinstance(node, Start | End)


def positions(node: Node) -> int:
    """How many bytes sets the node has once every repeat is written out: its size in a machine."""
    if isinstance(node, Sequence):
        return sum(map(positions, node.items))
    if isinstance(node, Alternation):
        return sum(map(positions, node.options))
    if isinstance(node, Repeat):
        return positions(node.item) * max(node.minimum, node.maximum or 1)
    return int(isinstance(node, ByteSet))


class _Parser:
    """Recursive descent; each method reads what its name says from `_at` on."""

    def __init__(self, text: str, *, case_sensitive: bool) -> None:
        self._text = text
        self._case_sensitive = case_sensitive
        self._literals = EXACT if case_sensitive else FOLDED
        self._at = 0

    def expression(self) -> Node:
        node = self._alternatives(0)
        if self._at < len(self._text):
            raise self._error("a ) that closes nothing", "\\)")
        if positions(node) > LIMITS.expression_positions:
            raise ExpressionError(
                1,
                f"{positions(node)} positions once repeats are written out",
                f"at most {LIMITS.expression_positions}",
            )
        return node

    def _alternatives(self, depth: int) -> Node:
        if depth > LIMITS.expression_depth:
            raise self._error("deeper nesting", f"at most {LIMITS.expression_depth} levels")
        options = [self._sequence(depth)]
        while self._take("|"):
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def _sequence(self, depth: int) -> Node:
        items: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            if items and isinstance(items[-1], End):
                self._at -= 1
                raise self._error("$ before the end", "$ at the very end, or \\$")
            items.append(self._item(depth, first=not items))
        if not items:
            raise self._error("nothing to match", 'at least one character (or "?" after a group)')
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _item(self, depth: int, *, first: bool) -> Node:
        if self._peek() in ("^", "$"):
            return self._anchor(depth, first=first)
        node = self._atom(depth)
        bounds = self._repeat()
        if bounds is None:
            return node
        if self._peek() in (*_REPEATS, "{"):
            kinds = {"?": "a lazy repeat", "+": "a possessive repeat"}
            raise self._error(
                kinds.get(self._peek(), "a repeat of a repeat"), "one greedy repeat; group to nest"
            )
        return Repeat(node, *bounds)

    def _anchor(self, depth: int, *, first: bool) -> Node:
        character = self._peek()
        if depth or (character == "^" and not first):
            raise self._error(
                f"{character} inside the expression",
                f"{character} only at the edge of an outermost alternative, or \\{character}",
            )
        self._at += 1
        if self._peek() in (*_REPEATS, "{"):
            raise self._error("a repeat of an anchor", "a repeat of something that has a length")
        return Start() if character == "^" else End()

    def _atom(self, depth: int) -> Node:
        character = self._peek()
        if character == "(":
            return self._group(depth)
        if character == "[":
            return ByteSet(self._class())
        if character == "\\":
            return ByteSet(self._folded(self._escape()))
        if character == ".":
            self._at += 1
            return ByteSet(ALL_BYTES)
        if character in _SPECIAL:
            raise self._error(f"{character} without meaning here", f"\\{character}")
        items = tuple([self._literals[byte] for byte in self._plain()])
        return items[0] if len(items) == 1 else Sequence(items)

    def _group(self, depth: int) -> Node:
        opened = self._at
        self._at += 1
        if self._take("?") and not self._take(":"):
            raise self._error("an extension (lookaround, flags, atomic or named group)", "( or (?:")
        node = self._alternatives(depth + 1)
        if not self._take(")"):
            self._at = opened
            raise self._error("a ( that is not closed", "a ) for it")
        return node

    def _repeat(self) -> tuple[int, int | None] | None:
        character = self._peek()
        if character in _REPEATS:
            self._at += 1
            return _REPEATS[character]
        return self._counted_repeat() if character == "{" else None

    def _counted_repeat(self) -> tuple[int, int | None]:
        opened = self._at
        self._at += 1
        minimum = maximum = self._count()
        if self._take(","):
            maximum = self._count()
        closed = self._take("}")
        counts = [count for count in (minimum, maximum) if count is not None]
        in_order = minimum is not None and counts == sorted(counts)
        if not closed or not in_order or not 0 <= counts[-1] <= LIMITS.repeat_count or maximum == 0:
            self._at = opened
            expected = f"{{n}}, {{n,}} or {{n,m}} up to {LIMITS.repeat_count}, or \\{{"
            raise self._error("a repeat that is damaged or too large", expected)
        return minimum or 0, maximum

    def _count(self) -> int | None:
        start = self._at
        while self._peek() in string.digits and self._peek() and self._at - start < _COUNT_DIGITS:
            self._at += 1
        return int(self._text[start : self._at]) if self._at > start else None

    def _class(self) -> frozenset[int]:
        opened = self._at
        self._at += 1
        negated = self._take("^")
        members: set[int] = set()
        while not self._take("]"):
            if not self._peek() or self._peek() == "[":
                if not self._peek():
                    self._at = opened
                raise self._error("a [ that is not closed, or one inside a class", "\\[")
            members |= self._range()
        folded = self._folded(frozenset(members))  # before it is negated
        found = ALL_BYTES - folded if negated else folded
        if not found or not members:
            self._at = opened
            raise self._error("a class that holds nothing", "a class of at least one byte")
        return found

    def _range(self) -> frozenset[int]:
        started = self._at
        low = self._member()
        if not (self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", "")):
            return low
        self._at += 1
        high = self._member()
        if len(low) != 1 or len(high) != 1 or min(low) > min(high):
            self._at = started
            raise self._error("a range without order or of classes", "low-high, one byte each")
        return frozenset(range(min(low), min(high) + 1))

    def _member(self) -> frozenset[int]:
        if self._peek() == "\\":
            return self._escape()
        started = self._at
        encoded = self._plain()
        if len(encoded) != 1:
            self._at = started
            expected = "ASCII in classes; alternatives such as (a|ä) for other characters"
            raise self._error("a character of several bytes in a class", expected)
        return frozenset(encoded)

    def _escape(self) -> frozenset[int]:
        started = self._at
        character = self._text[started + 1 : started + 2]
        self._at += 2
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            return frozenset((_CONTROLS[character],))
        if character in string.punctuation and character:
            return frozenset(character.encode())
        digits = self._text[started + 2 : started + 4]
        if character == "x" and len(digits) == _HEX_DIGITS and set(digits) <= set(string.hexdigits):
            self._at += 2
            return frozenset((int(digits, 16),))
        self._at = started
        expected = "\\d \\w \\s (and capitals), \\t \\n \\r \\f \\v, \\xHH or \\ before punctuation"
        raise self._error(f"a backslash before {character or 'nothing'}", expected)

    def _plain(self) -> bytes:
        """The UTF-8 bytes of one character that stands for itself."""
        character = self._peek()
        if not character.isprintable():
            escape = f"\\x{ord(character):02x}" if character.isascii() else "\\xHH for each byte"
            raise self._error(f"U+{ord(character):04X}, which can't be seen", escape)
        self._at += 1
        return character.encode()

    def _folded(self, members: frozenset[int]) -> frozenset[int]:
        if self._case_sensitive:
            return members
        return members | {byte ^ CASE_BIT for byte in members & LETTERS}

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _error(self, found: str, expected: str) -> ExpressionError:
        return ExpressionError(self._at + 1, found, expected)
