"""Where Python packages come from on this machine: pip's configuration, in uv's words.

A machine's administrator configures package indexes, mirrors and certificates for pip (files and
PIP_* variables), which uv does not read. `for_uv` translates what `pip config list` says. Every
package is pinned by hash, so that it does not matter which index serves it.
"""

import ast
import os
from collections.abc import Mapping
from pathlib import Path

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
    if not _has_cache(surroundings):
        chosen["UV_NO_CACHE"] = "1"
    for section in SECTIONS:
        chosen |= said[section]
    return {name: value for name, value in chosen.items() if name not in surroundings}


def _has_cache(surroundings: Mapping[str, str]) -> bool:
    """Whether uv's cache exists or can be made: a system user's home does not exist, for example.

    pip goes without by itself where it can't, but uv stops.
    """
    home = surroundings.get("HOME", "/nonexistent")
    cache = surroundings.get("XDG_CACHE_HOME") or f"{home}/.cache"
    folder = Path(surroundings.get("UV_CACHE_DIR") or f"{cache}/uv")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _in_words_of_uv(option: str, value: str) -> str:
    words = str(ast.literal_eval(value)).split()
    return ("," if option == "find-links" else " ").join(words)
