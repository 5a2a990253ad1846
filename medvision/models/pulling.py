"""`medvision models pull`: weights by a backbone's name or a URL. Runs without torch."""

from __future__ import annotations

import difflib
from pathlib import Path

from medvision.errors import ModelError
from medvision.models.downloads import at_url, fetch, is_url
from medvision.models.published import IMAGENET, DownloadableWeights, find_published, how_to_get


def pull_weights(name: str) -> Path:
    """Bring weights into the folder of weights, where they are not there or in a package already.

    Args:
        name: of a backbone, or a URL with `#sha256=`.

    Returns:
        The file.

    Raises:
        ModelError: an unknown name, weights that only a package holds, or a download that fails.
        OutputError: the file cannot be written.
    """
    if is_url(name):
        return fetch(at_url(name))
    weights = IMAGENET.get(name)
    if weights is None:
        near = difflib.get_close_matches(name, IMAGENET, n=1)
        raise ModelError(
            f"no weights are known by the name {name!r}; "
            + (f"did you mean {near[0]}?" if near else f"choose from {', '.join(IMAGENET)}")
        )
    if isinstance(weights, DownloadableWeights):
        return fetch(weights)
    path = find_published(weights)
    if path is None:
        raise ModelError(f"the weights of {name} come as a package; {how_to_get(name)}")
    return path
