"""Texts that programs stumble over, gathered for these tests: what people and attackers type."""

LANGUAGE = [
    "é", "e\u0301", "\ufb00", "ß", "İ", "\u0131", "\u212a", "\u017f", "Σίσυφος", "ΣΊΣΥΦΟΣ",
    "日本語", "한국어", "ไทย", "עברית", "العربية", "हिन्दी",
    "Z\u0351\u036b\u0343\u036a\u0302\u034f\u0334",
    "\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "½²³", "\uff21\uff22\uff23", "\U0001d504\U0001d505", "…", "—", "“quoted”", "«»", "\u00a0",
    "\u3000",
]  # fmt: skip
INVISIBLE = [
    "\u200b", "\u200d", "\ufeff", "\u00ad", "\u2028", "\u2029", "\x85", "\u202egpj.exe",
    "\u2066hidden\u2069", "\U000e0001", "\ue000", "\uffff", "\U0010ffff", "a\u0000b", "\t", "\r\n",
    "a\rb", "a\nb", "\x0b\x0c", "\x7f", "\x1b[2J\x1b]0;title\x07", "\x08\x08\x08root",
]  # fmt: skip
VALUES = [
    "no", "Yes", "null", "~", "NaN", "-inf", "undefined", "None", "true", "012", "0x1f", "1e3",
    "1_000", "12:30", "2024-07-19", "-0", "+1", "9" * 40, "-9223372036854775809", ".5", "=", "<<",
    "- a", "? a", "a: b", "a #b", "#", "*a", "&a", "!a", "|", ">", "%TAG", "@", "`", "{", "}",
    "[a", "'", '"', "''", "\\", "\\\\", "\\u0000", "---", "...", "]", ",", ":", " lead", "trail ",
]  # fmt: skip
SYNTAX = [
    "'; DROP TABLE detections; --", "$(reboot)", "`reboot`", "; reboot", "| reboot", "&& reboot",
    "${IFS}", "%s%s%n", "{0.__class__}", "{{7*7}}", "<script>alert(1)</script>", "<!ENTITY x>",
    "../../../etc/passwd", "/dev/null", "//", "/", ".", "..", "~root", "C:\\con", "file:///", "-rf",
    "--", "[bold red]x[/]", ":smile:", "\\N{DEGREE SIGN}", "__proto__", "x" * 200,
]  # fmt: skip
PATTERNS = [
    "(", ")", "[", "[]", "[^]", "[z-a]", "{1,2}", "a{2,1}", "a{99999}", "*", "+", "?", "a**",
    "a+?", "a++", "(?i)a", "(?=a)", "(?<n>a)", "(a)\\1", "\\b", "\\p{L}", "\\Q.\\E", "(a+)+$",
    "(a|aa)+$", "(.*)*", "^$", "$a", "a^", "\\x", "\\xZZ", "\\0", "a|", "|a", "(?#", "[[:alpha:]]",
    "*" * 100, "?" * 100, "(" * 60 + "a" + ")" * 60, "(a?){30}a{30}",
]  # fmt: skip

TEXTS = [*LANGUAGE, *INVISIBLE, *VALUES, *SYNTAX, *PATTERNS]
NOT_UTF8 = [
    b"\xff", b"\xfe\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xc3(",
    b"\x80abc", b"caf\xe9", b"\xe2\x82", b"a\xff\nb", b"\xf8\x88\x80\x80\x80",
]  # fmt: skip
"""Overlong forms, halves of surrogates, numbers beyond Unicode, characters that are cut off."""

BYTES = [*(text.encode() for text in TEXTS), *NOT_UTF8]
