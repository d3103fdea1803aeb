"""The Python environment: Debian's interpreter, every package pinned by hash, and the project.

The stamp inside the environment says what it was made from. It is removed before anything is
changed and written last, so that an interruption at any moment leaves an environment without a
stamp, which the next run makes anew. With a stamp that no longer fits, the packages are brought up
to date in place.

Order: interpreter, uv (through pip, which knows this machine's indexes), packages, the project.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from scripts.machine import indexes
from scripts.machine.place import PACKAGES, Place, source_paths
from scripts.machine.progress import SetupError, run, say, step
from scripts.machine.rights import as_root

INTERPRETER = "/usr/bin/python3"
BUNDLED_PIP = Path("/usr/share/python-wheels")
"""Where python3-venv brings the pip that a new environment starts with."""

PACKAGE_LOCKS = ("requirements/runtime.lock", "requirements/development.lock")
BOOTSTRAP_LOCK = "requirements/bootstrap.lock"
STAMP = "bulkhead-stamp.json"
UMASK = 0o022
"""Others may read and execute what set-up makes, whatever the umask of who runs it."""


def make(place: Place) -> bool:
    """Bring the environment up to date; False if it was already."""
    wanted = _wanted_stamp(place)
    found = _read_stamp(place)
    if found == wanted:
        return False
    os.umask(UMASK)
    _remove_what_is_in_the_way(place, keep=bool(found))
    (place.folder / STAMP).unlink(missing_ok=True)
    if found.get("packages") != wanted["packages"]:
        with step("installing Python packages, pinned by hash"):
            _install_packages(place)
    with step(f"installing Bulkhead itself {'in place' if place.in_checkout else 'as a copy'}"):
        _install_project(place)
    if not place.in_checkout:
        run(["chmod", "-R", "go+rX", str(place.folder)])
        say(f"the environment is in {place.folder}: other users can't reach {place.checkout}")
    (place.folder / STAMP).write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    return True


def _wanted_stamp(place: Place) -> dict[str, str]:
    locks = [place.checkout / name for name in (BOOTSTRAP_LOCK, *PACKAGE_LOCKS)]
    project = [place.checkout / "pyproject.toml"]
    if not place.in_checkout:
        project += [path for path in source_paths(place.checkout) if path.is_file()]
    return {
        "checkout": str(place.checkout),
        "interpreter": f"{INTERPRETER} {sys.version}",
        "packages": _digest(locks),
        "project": _digest(project),
    }


def _read_stamp(place: Place) -> dict[str, str]:
    """The stamp, or nothing where the environment is unfinished, foreign or for another Python."""
    try:
        found = json.loads((place.folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    wanted = {"checkout": str(place.checkout), "interpreter": f"{INTERPRETER} {sys.version}"}
    if not isinstance(found, dict) or any(found.get(key) != wanted[key] for key in wanted):
        return {}
    return found if place.link.resolve() == place.folder.resolve() else {}


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _remove_what_is_in_the_way(place: Place, *, keep: bool) -> None:
    link = place.link
    if link.is_symlink() and (place.in_checkout or link.resolve() != place.folder):
        link.unlink()
    if not keep:
        for folder in {place.folder, link}:
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
    if not place.in_checkout:
        if not place.folder.is_dir():
            _make_shared_folder(place.folder)
        if not link.is_symlink():
            link.symlink_to(place.folder)


def _make_shared_folder(folder: Path) -> None:
    owner = ["-o", str(os.geteuid()), "-g", str(os.getegid())]
    run(as_root(["install", "-d", "-m", "0755", str(folder.parent)]))
    run(as_root(["install", "-d", "-m", "0755", *owner, str(folder)]))


def _install_packages(place: Place) -> None:
    python = str(place.python)
    if not place.python.exists():
        flags = ["--system-site-packages", "--without-pip"]
        run([INTERPRETER, "-m", "venv", *flags, str(place.folder)])
    pip = [python, "-m", "pip"]
    surroundings = _with_bundled_pip()
    hashed = ["install", "--quiet", "--no-deps", "--require-hashes"]
    locks = [str(place.checkout / name) for name in PACKAGE_LOCKS]
    try:
        run([*pip, *hashed, "-r", str(place.checkout / BOOTSTRAP_LOCK)], surroundings)
    except SetupError as error:
        raise SetupError(f"{error}\n  without pip: install the package python3-venv") from error
    try:
        locks_of_uv = [*locks, str(place.checkout / BOOTSTRAP_LOCK)]
        _uv(place, "sync", "--require-hashes", "--compile-bytecode", *locks_of_uv)
    except SetupError as error:
        print()  # ends the line of the step that is under way
        say(f"uv could not, so pip does it (slower): {error}")
        run([*pip, *hashed, *(word for lock in locks for word in ("-r", lock))], surroundings)


def _install_project(place: Place) -> None:
    how = ["--editable"] if place.in_checkout else ["--reinstall"]
    options = ["--no-deps", "--no-build-isolation", "--offline", "--compile-bytecode"]
    _uv(place, "install", *options, *how, str(place.checkout))
    if place.in_checkout:
        # Roles may not write: they would otherwise compile the sources at every start.
        folders = [str(place.checkout / package) for package in PACKAGES]
        run([str(place.python), "-m", "compileall", "-qq", *folders])


def _uv(place: Place, verb: str, *arguments: str) -> None:
    pip = [str(place.python), "-m", "pip", "config", "list"]
    settings = indexes.for_uv(run(pip, _with_bundled_pip()), os.environ)
    uv = [str(place.folder / "bin" / "uv"), "pip", verb, "--quiet", "--no-config"]
    target = ["--python", str(place.python), "--link-mode", "copy"]
    run([*uv, *target, *arguments], {**os.environ, **settings})


def _with_bundled_pip() -> dict[str, str]:
    wheels = sorted(BUNDLED_PIP.glob("pip-*.whl"))
    return {**os.environ, "PYTHONPATH": str(wheels[-1])} if wheels else dict(os.environ)
