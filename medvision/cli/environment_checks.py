"""What of a machine's settings `medvision doctor` looks at: variables, folders, limits, proxies."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

from requests.utils import should_bypass_proxies

from medvision.cli.checks import Check, without_secrets
from medvision.cli.options import count_workers
from medvision.files import user_cache

VARIABLES = {
    "MEDVISION_BUNDLE": "",
    "MEDVISION_DATA": "folder",
    "MEDVISION_DEIDENTIFY_KEY": "",
    "MEDVISION_LANGUAGE": "",
    "MEDVISION_LEAKAGE_KEY": "",
    "MEDVISION_LEAKAGE_KEY_FILE": "file",
    "MEDVISION_LOG_FORMAT": "",
    "MEDVISION_MEMORY_GIB": "",
    "MEDVISION_PSEUDONYM_KEY": "",
    "MEDVISION_REPORTS_URL": "",
    "MEDVISION_SIGN_PASSPHRASE": "",
    "MEDVISION_WEIGHTS": "folder",
}
"""What each environment variable of this package names, if it names a place. Values may be secrets."""

DEVELOPERS = ("MEDVISION_BENCH_", "MEDVISION_TEST_", "MEDVISION_FUZZ", "MEDVISION_SOAK_")
SERVERS = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN_FILES = 1024
CACHE_MIB = 500
EARLIEST = 1_767_225_600  # 2026-01-01, before which there was none of this


def environment_checks(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Look at everything, in the order in which a user would mend it."""
    yield check_shadowed()
    yield check_variables(environment)
    yield check_threads(environment)
    yield check_folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a larger folder")
    yield check_folder("cache", user_cache(), "set XDG_CACHE_HOME to a folder that can be written")
    yield check_open_files()
    yield check_encoding()
    yield check_clock()
    yield from check_addresses(environment)


def check_variables(environment: Mapping[str, str]) -> Check:
    """Variables of this package: names that it does not know, places that are not there."""
    ours = sorted(name for name in environment if name.startswith("MEDVISION_"))
    known = [name for name in ours if name in VARIABLES]
    unknown = [name for name in ours if name not in VARIABLES and not name.startswith(DEVELOPERS)]
    absent = [name for name in known if VARIABLES[name] and not Path(environment[name]).expanduser().exists()]
    advice = [_did_you_mean(name) for name in unknown]
    advice += [f"make the {VARIABLES[name]} that {name} names, or unset it" for name in absent]
    if advice:
        found = [*(f"{name} is no variable of medvision" for name in unknown)]
        found += [f"{name} names nothing that is there" for name in absent]
        return Check("variables", "warn", "; ".join(found), "; ".join(advice))
    return Check("variables", "ok", ", ".join(known) or "none set, none needed")


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(name, VARIABLES, n=1)
    return f"did you mean {near[0]} by {name}?" if near else f"unset {name}"


def check_threads(environment: Mapping[str, str]) -> Check:
    """OMP_NUM_THREADS: too many threads stand in each other's way, one leaves cores idle."""
    text, cores = environment.get("OMP_NUM_THREADS", ""), count_workers(None)
    if not text:
        return Check("threads", "ok", f"as many as cores: {cores}")
    if not text.isdecimal() or int(text) == 0:
        advice = f"set OMP_NUM_THREADS to a number such as {cores}, or unset it"
        return Check("threads", "warn", f"OMP_NUM_THREADS={text}", advice)
    if int(text) > cores or (int(text) == 1 and cores > 1):
        words = f"OMP_NUM_THREADS={text} on {cores} cores"
        return Check(
            "threads", "warn", words, f"unset it, or set it to {cores}, unless something else needs it"
        )
    return Check("threads", "ok", f"OMP_NUM_THREADS={text} on {cores} cores")


def check_folder(name: str, folder: Path, advice: str) -> Check:
    """A folder that has to be written, or the nearest one above it that is there."""
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there):
            free_mib = os.statvfs(there).f_bavail * os.statvfs(there).f_frsize >> 20
    except OSError as error:
        return Check(name, "warn", f"{folder}: {error.strerror}", advice)
    if free_mib < CACHE_MIB:
        return Check(name, "warn", f"{folder}: {free_mib} MiB free", advice)
    return Check(name, "ok", f"{folder}")


def check_open_files() -> Check:
    """How many files a process may have open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return Check("open files", "ok", "no limit")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= limit < OPEN_FILES:
        advice = f"ulimit -n {OPEN_FILES}, or LimitNOFILE={OPEN_FILES} in the service"
        return Check("open files", "warn", f"at most {limit}", advice)
    return Check("open files", "ok", f"at most {limit}")


def check_encoding() -> Check:
    """File names and text of other languages need UTF-8."""
    found = sys.getfilesystemencoding()
    if found.lower().replace("-", "") != "utf8":
        return Check("text encoding", "warn", found, "set LANG=C.UTF-8 or PYTHONUTF8=1")
    return Check("text encoding", "ok", found)


def check_clock() -> Check:
    """A clock that is years off spoils certificates, schedules and the days between examinations."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    if time.time() < EARLIEST:
        return Check("clock", "warn", f"it says {today}", "set the clock, by NTP")
    return Check("clock", "ok", today)


def check_addresses(environment: Mapping[str, str]) -> Iterator[Check]:
    """Addresses of servers: their form, and whether a proxy is asked for what lies on this machine."""
    proxies = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy")}
    proxies = {name.removesuffix("_proxy"): value for name, value in proxies.items()}
    for variable in SERVERS:
        uri = environment.get(variable, "")
        parts = urlsplit(uri)
        shown = without_secrets(uri)
        if variable == "PREFECT_API_URL" and uri and not parts.path.rstrip("/").endswith("/api"):
            advice = f"set {variable} to {shown.rstrip('/')}/api"
            yield Check(variable, "warn", f"{shown} does not end in /api", advice)
        local = parts.hostname in LOOPBACK
        if local and proxies.get(parts.scheme) and not should_bypass_proxies(uri, proxies.get("no", "")):
            words = f"{shown} is asked for through the proxy {without_secrets(proxies[parts.scheme])}"
            yield Check("proxy", "warn", words, f"add {parts.hostname} to no_proxy")


def check_shadowed() -> Check:
    """Whether the installed package is the one that runs."""
    import medvision

    running = Path(medvision.__file__).resolve().parent
    files = distribution("medvision").files or []
    editable = any(file.name.startswith("__editable__") or "editable" in file.name for file in files)
    installed = Path(str(distribution("medvision").locate_file("medvision"))).resolve()
    if not editable and installed.is_dir() and installed != running:
        advice = "start it in another folder, or uninstall the one that is not wanted"
        return Check("package", "warn", f"{running} runs, {installed} is installed", advice)
    return Check("package", "ok", str(running))
