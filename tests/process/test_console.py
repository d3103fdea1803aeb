"""The operators' console over real HTTPS: who may, what is ordered, and what is refused."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cloud.console import operators
from cloud.console.server import HEADERS
from cloud.limits import LIMITS
from cloud.rollout.plan import STAGED
from cloud.rollout.table import State
from cloud.signing import SigningKey, envelope
from cloud.store import audit, metadata, policies, releases
from content.channel_file import Envelope, content_hash, pack, pack_envelope
from tests.process.cloud_files import channel_file
from tests.process.console_process import ADA, GRACE, HOSTILE, Browser, Console, new_console

APPROVED = STAGED.quickened(0.0, 0, approval=True)
DAY_NS = 86_400 * 10**9
PAGES = ("/", "/rollouts", "/crashes", "/detections", "/quarantine", "/policies", "/audit")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One for all tests that leave it as it was, or don't mind."""
    limits = {"failures_by_address": 1000, "stream_look_seconds": 0.02}
    with new_console(tmp_path_factory.mktemp("console"), APPROVED, **limits) as made:
        made.meet("web-1")
        made.meet("web-2", reduced=True)
        yield made


@pytest.fixture(scope="module")
def ada(console: Console) -> Browser:
    """An operator who is logged in."""
    browser = console.browser()
    assert browser.log_in().status == 303
    return browser


def entries(console: Console) -> list[tuple[str, str]]:
    """Who did what, by the audit log."""
    with closing(console.cloud.open()) as database, database.reading() as store:
        return [(one.actor, one.action) for one in audit.entries(store)]


def stored(console: Console) -> tuple[object, ...]:
    """All that a push stores."""
    with closing(console.cloud.open()) as database, database.reading() as store:
        everything = releases.all_releases(store), metadata.everything(store)
        return (*everything, list(audit.entries(store)))


@pytest.mark.parametrize("path", [*PAGES, "/login", "/static/console.css", "/no/such/page"])
def test_every_answer_has_the_headers(ada: Browser, path: str) -> None:
    """One page without its policy would be enough for markup to become a script."""
    answer = ada.get(path)
    assert answer.status == (404 if "such" in path else 200)
    for name, value in HEADERS:
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", [*PAGES, "/rollouts/00", "/crashes/1"])
def test_without_a_session_there_is_the_login_only(console: Console, path: str) -> None:
    """Whoever reaches the port would see the fleet."""
    answer = console.browser().get(path)
    assert (answer.status, answer.headers["location"], answer.text) == (303, "/login", "")


def test_without_a_session_nothing_is_ordered_and_nothing_streams(console: Console) -> None:
    """Whoever reaches the port could halt protection, or read detections."""
    browser = console.browser()
    assert browser.post("/policies/group", agent_id="web-1", group="x").status == 303
    assert browser.get("/detections/stream").status == 204
    assert browser.post("/policies").status == 404
    assert ("ada", "group") not in entries(console)


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("nobody", ADA[1]), ("ada", GRACE[1]), ("", "")]
)
def test_a_wrong_password_is_refused(console: Console, name: str, password: str) -> None:
    """Anybody could log in."""
    browser = console.browser()
    answer = browser.log_in((name, password))
    assert answer.status == 403
    assert "LOGIN_REFUSED" in answer.text
    assert browser.get("/").status == 303


def test_cookies_are_for_this_site_and_no_script(console: Console) -> None:
    """A session could be read by a script, or sent along by another site."""
    browser = console.browser()
    told = browser.log_in().headers["set-cookie"]
    assert told.startswith("__Host-")
    assert {one.strip().lower() for one in told.split(";")[1:]} == {
        "path=/",
        "secure",
        "httponly",
        "samesite=strict",
    }


@pytest.mark.parametrize("case", ["no token", "another's token", "another site", "another origin"])
def test_a_form_of_somebody_else_is_refused(console: Console, ada: Browser, case: str) -> None:
    """A page that an operator looks at elsewhere could give orders here."""
    token = ada.get("/policies").token
    grace = console.browser()
    grace.log_in(GRACE)
    token = {"no token": "", "another's token": grace.get("/policies").token}.get(case, token)
    headers = {
        "another site": {"Sec_Fetch_Site": "cross-site"},
        "another origin": {"Origin": "https://example.org"},
    }.get(case, {})
    body = f"token={token}&agent_id=web-1&group=csrf".encode()
    kind = "application/x-www-form-urlencoded"
    answer = ada.ask("POST", "/policies/group", body, Content_Type=kind, **headers)
    assert (answer.status, "FORM_INVALID" in answer.text) == (403, True)
    with closing(console.cloud.open()) as database, database.reading() as store:
        assert policies.read(store).groups == {}


def test_the_login_form_is_this_site_s_too(console: Console) -> None:
    """Somebody could be logged in under another's name, unknowingly."""
    body = f"name={ADA[0]}&password={ADA[1].replace(' ', '+')}&token=x".encode()
    kind = "application/x-www-form-urlencoded"
    answer = console.browser().ask("POST", "/login", body, Content_Type=kind)
    assert (answer.status, "FORM_INVALID" in answer.text) == (403, True)


def test_a_session_ends_with_logout_password_and_operator(console: Console) -> None:
    """Who was let go could still give orders."""
    with closing(console.cloud.open()) as database:
        arguments = (console.cloud, database, "temp")
        operators.add(*arguments, "a first password", "test", 1)
        browser, other, third = (console.browser() for _ in range(3))
        browser.log_in(("temp", "a first password"))
        other.log_in(("temp", "a first password"))
        assert browser.get("/").status == 200
        assert browser.post("/logout", token=browser.get("/").token).status == 303
        assert (browser.get("/").status, other.get("/").status) == (303, 200)
        operators.change(*arguments, "another password", "test", 2)
        assert other.get("/").status == 303
        third.log_in(("temp", "another password"))
        assert third.get("/").status == 200
        operators.remove(*arguments, "test", 3)
        assert third.get("/").status == 303


def test_a_session_expires(tmp_path: Path) -> None:
    """A browser that was left open would give orders for ever."""
    with new_console(tmp_path, session_idle_seconds=0.6, failures_by_name=2) as console:
        browser = console.browser()
        browser.log_in()
        assert browser.get("/").status == 200
        time.sleep(0.8)
        assert browser.get("/").status == 303
        for _ in range(2):
            assert browser.log_in(("ada", "wrong")).status == 403
        throttled = browser.log_in()
        assert (throttled.status, "LOGIN_THROTTLED" in throttled.text) == (429, True)
        assert browser.log_in(GRACE).status == 303


def test_a_rollout_is_paused_resumed_promoted_and_halted(console: Console, ada: Browser) -> None:
    """Operators would need a shell on the cloud's host in an emergency."""
    name = console.push(1)
    path = f"/rollouts/{name.hex()}"
    page = ada.get(path)
    assert "<svg" in page.text
    assert "Promote" not in page.text
    assert ada.post(f"{path}/pause", token=page.token, revision=page.revision).status == 303
    page = ada.get(path)
    assert "Paused." in page.text
    assert ada.post(f"{path}/resume", token=page.token, revision=page.revision).status == 303
    console.passed(name)
    page = ada.get(path)
    order = {"token": page.token, "revision": page.revision, "stage": "internal"}
    assert ada.post(f"{path}/promote", **order).status == 303
    assert console.state(name) is State.CANARY
    assert ada.post(f"{path}/halt", token=page.token, reason="why not").status == 403
    assert ada.post(f"{path}/halt", token=page.token, reason=HOSTILE, sure="yes").status == 303
    assert console.state(name) is State.HALTED
    halted = ada.get(path).text
    assert "Halted is the end" in halted
    assert "<script>alert" not in halted
    again = ada.post(f"{path}/halt", token=page.token, reason="again", sure="yes")
    assert (again.status, "ROLLOUT_REFUSED" in again.text) == (409, True)
    done = [action for who, action in entries(console) if who == "ada"]
    assert [one for one in done if one != "push"] == ["pause", "resume", "promote", "halt"]


def test_of_two_operators_at_once_one_is_told(console: Console, ada: Browser) -> None:
    """An order would be carried out on what its operator has not seen."""
    name = console.push(2)
    path = f"/rollouts/{name.hex()}"
    grace = console.browser()
    grace.log_in(GRACE)
    seen_by_ada, seen_by_grace = ada.get(path), grace.get(path)
    first = {"token": seen_by_ada.token, "revision": seen_by_ada.revision}
    assert ada.post(f"{path}/pause", **first).status == 303
    second = {"token": seen_by_grace.token, "revision": seen_by_grace.revision}
    answer = grace.post(f"{path}/pause", **second)
    assert (answer.status, "ROLLOUT_CHANGED" in answer.text) == (409, True)
    assert ("grace", "pause") not in entries(console)


def test_content_that_was_signed_elsewhere_is_pushed(console: Console, ada: Browser) -> None:
    """The key would have to lie where the web page is served."""
    parts = console.sign(channel_file(90))
    name = content_hash(parts.signed.payload)
    token = ada.get("/rollouts").token
    answer = ada.upload("/push", token, "release", parts.written())
    assert answer.status == 303
    assert answer.headers["location"] == f"/rollouts/{name.hex()}"
    assert console.state(name) is State.INTERNAL
    assert entries(console)[-1] == ("ada", "push")
    with closing(console.cloud.open()) as database, database.reading() as store:
        assert metadata.newest(store, "targets") == parts.targets.to_bytes()
        assert releases.halt_order(store, name) == parts.halt


CASES = {
    "unsigned": "SIGNATURE_INVALID",
    "another key": "SIGNATURE_INVALID",
    "older version": "VERSION_NOT_NEWER",
    "another push meanwhile": "RELEASE_OUTDATED",
    "no file of ours": "SIGNATURE_INVALID",
}


@pytest.mark.parametrize("case", CASES)
def test_content_that_is_not_signed_or_not_sound_is_not_pushed(
    console: Console, ada: Browser, case: str
) -> None:
    """Whoever has an operator's password would have all hosts."""
    version = 100 + 2 * list(CASES).index(case)
    content = channel_file(version, word=case)
    parts = console.sign(content)
    if case == "another key":
        key = SigningKey.generate()
        parts = replace(parts, signed=envelope(parts.signed.payload, [key]))
    files = {"unsigned": pack_envelope(Envelope(pack(content))), "no file of ours": b"[" * 100_000}
    if CASES[case] != "SIGNATURE_INVALID":
        console.push(version + 1 if case == "older version" else version - 1)
    before = stored(console)
    release = files.get(case, parts.written())
    answer = ada.upload("/push", ada.get("/rollouts").token, "release", release)
    assert (answer.status, CASES[case] in answer.text) == (409, True)
    assert stored(console) == before


def test_a_version_is_pinned_and_a_group_paused(console: Console, ada: Browser) -> None:
    """A customer's wish would need a shell on the cloud's host."""
    token = ada.get("/policies").token
    form = {"token": token, "category": "ipc", "ring": "general", "delay_hours": "0"}
    assert ada.post("/policies/set", **form, group="frozen", pin="3", paused="yes").status == 303
    assert "pinned to 3" in ada.get("/policies").text
    with closing(console.cloud.open()) as database, database.reading() as store:
        ((_, policy),) = policies.read(store).policies.items()
    assert (policy.pinned, policy.paused, policy.prevention) == (3, True, False)
    for wrong in ({"pin": "x"}, {"pin": "-1"}, {"pin": "3", "ring": "saturn"}):
        assert ada.post("/policies/set", **{**form, "group": "g", **wrong}).status == 403
    refused = ada.post("/policies/set", **{**form, "category": "all"}, group="g", pin="3")
    assert (refused.status, "POLICY_INVALID" in refused.text) == (400, True)


def test_what_hosts_have_chosen_is_text_on_every_page(console: Console, ada: Browser) -> None:
    """A process with the right name would act as the operator who looks at it."""
    name = console.push(197)
    console.meet("web-3", platform=HOSTILE)
    console.detect(HOSTILE.encode(), number=50)
    console.crash(name, number=50, suspect_instance_id=HOSTILE, action=HOSTILE)
    console.quarantine("web-3", name, HOSTILE)
    for path in (*PAGES, "/crashes/1"):
        text = ada.get(path).text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    for path in ("/", "/crashes", "/detections", "/quarantine"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\x0a" in ada.get(path).text


def test_detections_are_streamed_as_they_come(console: Console, ada: Browser) -> None:
    """The page would show what was, and not what is."""
    cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    with closing(ada.connection()) as connection:
        connection.request("GET", "/detections/stream?after=0", headers={"Cookie": cookie})
        response = connection.getresponse()
        assert response.headers["content-type"].startswith("text/event-stream")
        console.detect(b"/bin/sh -c 'a\nb'", number=60)
        while not (line := response.readline()).startswith(b"data: ") or b"-c 'a" not in line:
            assert line
        assert b"'a\\\\x0ab'" in line


def test_a_halt_whose_order_has_expired_is_said_to_reach_nobody(
    console: Console, ada: Browser
) -> None:
    """An operator would believe that a host which comes back gives up what was halted."""
    name = console.push(200, at=time.time_ns() - (LIMITS.order_days + 1) * DAY_NS)
    path = f"/rollouts/{name.hex()}"
    assert "has expired" not in ada.get(path).text
    order = {"token": ada.get(path).token, "reason": "why not", "sure": "yes"}
    assert ada.post(f"{path}/halt", **order).status == 303
    assert "The order to give it up has expired" in ada.get(path).text
