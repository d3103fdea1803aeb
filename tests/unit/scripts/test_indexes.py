"""pip's configuration of a machine reaches uv in uv's own words."""

from pathlib import Path

from scripts.machine.indexes import for_uv

CONFIGURED = """\
:env:.default-timeout='180'
global.cert='/etc/ssl/certs/ca-certificates.crt'
global.extra-index-url='https://one.example/simple https://two.example/simple'
global.find-links='/srv/wheels /srv/more'
global.index-url='https://weak.example/simple'
install.index-url='https://strong.example/simple'
install.no-deps='true'
download.index-url='https://elsewhere.example/simple'
"""


def test_a_machines_indexes_and_certificates_are_translated(tmp_path: Path) -> None:
    """Behind a company's mirror the set-up would ask the public index, and fail."""
    assert for_uv(CONFIGURED, {"HOME": str(tmp_path)}) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://strong.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_FIND_LINKS": "/srv/wheels,/srv/more",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }


def test_what_is_said_to_uv_itself_stays(tmp_path: Path) -> None:
    """A user's own word for uv would be overwritten by what pip was told."""
    surroundings = {"HOME": str(tmp_path), "UV_DEFAULT_INDEX": "https://mine.example/simple"}
    assert "UV_DEFAULT_INDEX" not in for_uv(CONFIGURED, surroundings)


def test_without_configuration_nothing_is_made_up(tmp_path: Path) -> None:
    """An index that nobody configured would be asked."""
    assert for_uv("", {"HOME": str(tmp_path)}) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_no_cache_where_none_can_be_made() -> None:
    """For a user without a home uv would stop, where pip only goes without a cache."""
    assert for_uv("", {"HOME": "/proc/nowhere"})["UV_NO_CACHE"] == "1"
