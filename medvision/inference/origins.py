"""Where a run's scans and model lay, for `verify`: in the user's cache, because OUT may be passed on.

One small JSON file an OUT folder, readable by its owner only: paths may name patients. Nothing depends on it;
without it `verify` is told the places.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.files import cache_name, read_json, user_cache, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origins:
    """Absolute paths.

    Attributes:
        sources: as given to infer.
        model: the model directory; None where the model was handed over loaded.
    """

    sources: tuple[Path, ...]
    model: Path | None


def cached_origins(out: Path) -> Path:
    """Where the origins of an OUT folder are kept."""
    return user_cache() / "origins" / f"{cache_name(out)}.json"


def remember_origins(out: Path, sources: Sequence[Path], model: Path | None) -> None:
    """Keep them; where the cache cannot be written, say so and go on."""
    place = cached_origins(out)
    document = {
        "sources": [str(source.resolve()) for source in sources],
        "model": None if model is None else str(model.resolve()),
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
        write_text(place, json.dumps(document, indent=2) + "\n")
        place.chmod(0o600)
    except (OSError, UnicodeEncodeError) as error:
        logger.info("verify will have to be told the sources: cannot write %s: %s", place, error)


def recall_origins(out: Path) -> Origins | None:
    """What is known of an OUT folder; None where nothing is, or the file is damaged."""
    try:
        document = read_json(cached_origins(out))
        model = document["model"]
        return Origins(tuple(map(Path, document["sources"])), None if model is None else Path(model))
    except (OSError, ValueError, KeyError, TypeError):
        return None
