"""Where Python packages come from on this machine: pip's configuration, in uv's words.

A machine's administrator configures package indexes, mirrors and certificates for pip (files and
PIP_* variables), which uv does not read. `for_uv` translates what `pip config list` says. Every
package is pinned by hash, so that it does not matter which index serves it.
"""

import ast
from collections.abc import Mapping

UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
"""pip's option and the variable that says the same to uv."""

SECTIONS = ("global", "install", ":env:")
"""pip's sections that concern an installation, the strongest last."""


def for_uv(pip_configuration: str, surroundings: Mapping[str, str]) -> dict[str, str]:
    """Variables for uv from the output of `pip config list`.

    What `surroundings` already sets for uv is its user's own word and stays.
    """
    said: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in pip_configuration.splitlines():
        key, separator, value = line.partition("=")
        section, _, option = key.partition(".")
        if separator and section in said and option in UV_NAMES:
            said[section][UV_NAMES[option]] = _in_words_of_uv(option, value)
    chosen = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for section in SECTIONS:
        chosen |= said[section]
    return {name: value for name, value in chosen.items() if name not in surroundings}


def _in_words_of_uv(option: str, value: str) -> str:
    words = str(ast.literal_eval(value)).split()
    return ("," if option == "find-links" else " ").join(words)
