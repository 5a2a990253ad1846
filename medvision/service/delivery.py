"""Results go where they are wanted, each file once; each confirmation is on record before the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from medvision.config.network import DestinationConfig
from medvision.dicom.network.errands import Errands
from medvision.dicom.network.peers import PeerError, configured_peer
from medvision.dicom.network.sender import Outgoing, outgoing, send
from medvision.dicom.network.web import WebArchive, read_token
from medvision.errors import ConfigError
from medvision.files import file_sha256
from medvision.service.records import Records

logger = logging.getLogger(__name__)


class Courier:
    """Brings the DICOM objects among the results to one destination."""

    def __init__(self, config: DestinationConfig, ae_title: str, results: Path, records: Records) -> None:
        """Nothing is to be brought yet.

        Args:
            config: where to.
            ae_title: this side's.
            results: a folder for each study.
            records: what was confirmed.

        Raises:
            ConfigError: a certificate or token cannot be read.
        """
        self.name = config.name
        self._ae_title = ae_title
        self._results = results
        self._records = records
        self._peer = configured_peer(config.peer) if config.peer else None
        web = config.web
        self._web = WebArchive(web.url, read_token(web.token_file), web.authorities) if web else None
        self._errands = Errands("results", failures=(PeerError, OSError))

    def add(self, study: str) -> None:
        """Bring what this study has and the destination has not."""
        self._errands.add(study, partial(self.deliver, study))

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        self._errands.run(stop)

    def __len__(self) -> int:
        """How many studies have something that the destination may not have."""
        return len(self._errands)

    def deliver(self, study: str) -> None:
        """Send what has not been confirmed.

        Raises:
            PeerError: the destination did not take all of it.
        """
        missing = self.missing(study)
        if not missing:
            return
        stored = partial(self._note, study)
        if self._peer is not None:
            send(missing, self._peer, ae_title=self._ae_title, stored=stored)
        elif self._web is not None:
            self._web.store(missing, stored)
        logger.info("study %s: %d objects sent to %s", study, len(missing), self.name)

    def missing(self, study: str) -> Sequence[Outgoing]:
        """Objects of a study that the destination has not confirmed as they are now."""
        known = self._records.get(study).delivered.get(self.name, {})
        files = outgoing(dicom_results(self._results / study))
        return [file for file in files if known.get(file.instance.sop_instance_uid) != file_sha256(file.path)]

    def _note(self, study: str, file: Outgoing) -> None:
        self._records.note_delivered(study, self.name, file.instance.sop_instance_uid, file_sha256(file.path))


def dicom_results(folder: Path) -> list[Path]:
    """The DICOM objects of all finished cases of an OUT folder."""
    finished = sorted(path.parent for path in folder.glob("*/report.json"))
    return [
        path for case in finished for path in sorted(case.rglob("*.dcm")) if not path.name.startswith(".")
    ]


def couriers(
    destinations: Sequence[DestinationConfig], ae_title: str, results: Path, records: Records
) -> list[Courier]:
    """One courier a destination.

    Raises:
        ConfigError: two destinations have the same name, or a certificate or token cannot be read.
    """
    names = [config.name for config in destinations]
    if double := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"send_to names {', '.join(sorted(double))} twice; name each destination once")
    return [Courier(config, ae_title, results, records) for config in destinations]
