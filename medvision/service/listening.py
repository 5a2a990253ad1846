"""`medvision listen` as one call: studies come in, each complete one is looked at, results go out.

OUT/inbox/<study UID>/<series UID>/<SOP instance UID>.dcm     what was received
OUT/results/<study UID>/                                       an OUT folder of `infer` for each study
OUT/state/                                                     what has been done, so that a restart goes on
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from medvision.config.network import ListenConfig
from medvision.dicom.network.arrivals import Arrivals, Patience
from medvision.dicom.network.commitment import Commitments
from medvision.dicom.network.inbox import GIB, Inbox, Room
from medvision.dicom.network.instances import Instance
from medvision.dicom.network.peers import configured_peer
from medvision.dicom.network.procedures import Procedures
from medvision.dicom.network.receiver import Address, Receiver
from medvision.dicom.network.tls import server_context
from medvision.errors import ModelError
from medvision.exclusive import alone_in
from medvision.files import make_folder
from medvision.log_context import log_fields
from medvision.reporting.fhir import PatientIdentity
from medvision.service.alarm import Alarm
from medvision.service.analyst import AnalysisSettings, Analyst, BrokeDownError, Outcome, StoppedError
from medvision.service.delivery import couriers
from medvision.service.monitor import Vitals, watched
from medvision.service.records import Records
from medvision.service.unfinished import Unfinished

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a study is tried whose analysis breaks down."""
_LOOK_SECONDS = 0.25
_PRUNE_SECONDS = 600.0
_DAY_SECONDS = 86_400.0
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ListenResult:
    """What a service has done between start and stop.

    Attributes:
        stored: objects that were new, or replaced another.
        doubled: objects that were here already.
        refused: objects that were not taken.
        analysed: studies looked at.
        failed: of these, with something that went wrong.
    """

    stored: int
    doubled: int
    refused: int
    analysed: int
    failed: int


def listen(
    config: ListenConfig, out: Path, analysis: AnalysisSettings | None, stop: threading.Event
) -> ListenResult:
    """Receive studies, look at them, send the results on, until told to stop.

    Args:
        config: who may send, how much is kept, where results go.
        out: folder to write; readable by its owner only, because it holds images with names.
        analysis: with which model studies are looked at; None only receives.
        stop: ends the service when set; what was begun is taken up again at the next start.

    Raises:
        OutputError: OUT cannot be written, another service uses it, or the address cannot be bound.
        ConfigError: a certificate or token cannot be read.
        ModelError: the model cannot be used.
    """
    with alone_in(make_folder(out), "receiver"):
        analyst = Analyst(analysis) if analysis else None
        try:
            service = Service(config, out, analyst)
            if analyst:
                logger.info("loading the model")
                analyst.start(stop)
            return service.run(stop)
        except StoppedError:
            return ListenResult(stored=0, doubled=0, refused=0, analysed=0, failed=0)
        finally:
            if analyst:
                analyst.close()


class Service:
    """A receiver with what comes after it."""

    def __init__(self, config: ListenConfig, out: Path, analyst: Analyst | None) -> None:
        """Open OUT and take up what was not finished.

        Args:
            config: who may send, how much is kept, where results go.
            out: folder to write; readable by its owner only, because it holds images with names.
            analyst: looks at studies; None only receives.

        Raises:
            OutputError: OUT cannot be written, or another service uses it.
            ConfigError: a certificate or token cannot be read.
        """
        self._config = config
        self._analyst = analyst
        self._state = out / "state"
        self._results = out / "results"
        make_folder(out).chmod(0o700)
        self._records = Records(self._state / "studies")
        self._inbox = Inbox(out / "inbox", _room(config))
        self._unfinished = Unfinished(self._state / "receiving")
        patience = Patience(config.quiet_seconds, config.interrupted_seconds, config.mpps_seconds)
        self._arrivals = Arrivals(patience, self._present)
        self._procedures = Procedures(self._state / "procedures", self._arrivals)
        peers = [configured_peer(peer) for peer in config.peers]
        self._commitments = (
            Commitments(self._state / "commitments", self._inbox, config.ae_title, peers)
            if config.keep_days is None
            else None
        )
        self._couriers = couriers(config.send_to, config.ae_title, self._results, self._records)
        self._alarm = (
            Alarm(config.alarm, self._results, self._records, self._identity) if config.alarm else None
        )
        self._receiver = Receiver(
            _address(config),
            self._inbox,
            arrived=self._arrived,
            interrupted=self._arrivals.interrupt,
            released=self._released,
            procedures=self._procedures,
            commitments=self._commitments,
        )
        self._analysed = self._failed = 0
        self._analysis_seconds = 0.0
        self._pruned = time.monotonic()
        self._clock_s = time.time() - time.monotonic()

    def run(self, stop: threading.Event) -> ListenResult:
        """Listen until told to stop; then let what is being received come to an end.

        Raises:
            OutputError: an address cannot be bound.
        """
        self._take_up()
        port = self._receiver.open()
        _announce(self._config, port)
        helpers = [threading.Thread(target=run, args=(stop,), daemon=True) for run in self._helpers()]
        for helper in helpers:
            helper.start()
        try:
            with self._watched():
                while not stop.wait(_LOOK_SECONDS):
                    self._work(stop)
        finally:
            stop.set()
            self._receiver.close()
            for helper in helpers:
                helper.join(_LOOK_SECONDS)
        return self._result()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self._config.monitor_port is None:
            yield
            return
        host = self._config.monitor_host
        with watched(host, self._config.monitor_port, self.vitals) as port:
            logger.info("http://%s:%d/health and /metrics tell how it is", host, port)
            yield

    def vitals(self) -> Vitals:
        """How the service is at this moment."""
        tally = self._receiver.tally
        trouble = [self._inbox.why_full()]
        if self._analyst and not self._analyst.alive:
            trouble.append("the process that looks at studies has ended; the next study starts it anew")
        return Vitals(
            objects={name: getattr(tally, name) for name in ("new", "same", "replaced", "refused")},
            studies={"good": self._analysed - self._failed, "failed": self._failed},
            waiting=len(self._arrivals),
            analysis_seconds=self._analysis_seconds,
            undelivered={courier.name: len(courier) for courier in self._couriers},
            used_bytes=self._inbox.used_bytes,
            free_bytes=self._inbox.free_bytes,
            trouble=tuple(filter(None, trouble)),
        )

    def _helpers(self) -> Iterator[Callable[[threading.Event], None]]:
        yield from (courier.run for courier in self._couriers)
        if self._commitments:
            yield self._commitments.run
        if self._alarm:
            yield self._alarm.run

    def _arrived(self, instance: Instance) -> None:
        self._unfinished.mark(instance.study_instance_uid)
        self._arrivals.note(instance.study_instance_uid, instance.study_size)

    def _released(self, studies: set[str]) -> None:
        self._arrivals.settle(studies)
        self._unfinished.clear(studies)

    def _present(self, study: str) -> list[str]:
        return [path.stem for path in self._inbox.instances(study)]

    def _take_up(self) -> None:
        """What came and was not looked at before the last end; what was not delivered."""
        for study in self._inbox.studies():
            if self._records.get(study).stamp != self._inbox.stamp(study):
                self._arrivals.note(study)
                if study in self._unfinished:
                    self._arrivals.interrupt({study})
        for study in self._records.studies():
            self._pass_on(study)

    def _work(self, stop: threading.Event) -> None:
        """Look at studies until none is due."""
        while not stop.is_set():
            study = self._arrivals.take()
            if study is None:
                break
            if self._analyst is None:  # who only receives waits for no more of it
                continue
            try:
                with log_fields(case=study):
                    self._analyse(study, self._analyst, stop)
            except StoppedError:
                return
        if time.monotonic() - self._pruned > _PRUNE_SECONDS:
            self._pruned = time.monotonic()
            self._prune()

    def _analyse(self, study: str, analyst: Analyst, stop: threading.Event) -> None:
        self._unfinished.clear({study})  # it was waited for long enough
        stamp = self._inbox.stamp(study)
        record = self._records.get(study)
        if record.stamp == stamp:
            return
        logger.info("study %s is complete: %d objects", study, len(self._inbox.instances(study)))
        index = make_folder(self._state / "index") / f"{study}.sqlite"
        try:
            begun = time.monotonic()
            outcome = analyst.analyse(self._inbox.study(study), self._results / study, index, stop)
        except (BrokeDownError, ModelError) as error:
            self._note_breakdown(study, stamp, str(error), record.attempts + 1)
            return
        finally:
            self._analysis_seconds += time.monotonic() - begun
        self._analysed += 1
        self._failed += outcome.exit_code not in {0, 4}
        self._records.update(study, stamp=stamp, attempts=0, exit_code=outcome.exit_code)
        _tell(study, outcome)
        self._pass_on(study)

    def _note_breakdown(self, study: str, stamp: str, words: str, attempts: int) -> None:
        """Tried again a few times; then left until more of it comes."""
        logger.error("study %s: %s (attempt %d of %d)", study, words, attempts, ATTEMPTS)
        if attempts < ATTEMPTS:
            self._records.update(study, attempts=attempts)
            self._arrivals.note(study)
        else:
            self._analysed += 1
            self._failed += 1
            self._records.update(study, stamp=stamp, attempts=0, exit_code=1)

    def _pass_on(self, study: str) -> None:
        if self._alarm:
            self._alarm.add(study)
        for courier in self._couriers:
            courier.add(study)

    def _prune(self) -> None:
        """Delete images of studies that were finished, and whose results have arrived, long ago.

        By the clock as it was at the start: who sets it forward meanwhile makes no study older.
        """
        if self._config.keep_days is None:
            return
        now = self._clock_s + time.monotonic()
        for study in self._inbox.studies():
            record = self._records.get(study)
            old = self._records.age_seconds(study, now) > self._config.keep_days * _DAY_SECONDS
            finished = record.exit_code is not None and record.stamp == self._inbox.stamp(study)
            if old and finished and not any(courier.missing(study) for courier in self._couriers):
                self._inbox.delete(study)
                logger.info("study %s: images deleted after %g days", study, self._config.keep_days)

    def _identity(self, study: str) -> PatientIdentity | None:
        for path in self._inbox.instances(study):
            try:
                dataset = dcmread(path, specific_tags=["PatientID", "PatientName", "AccessionNumber"])
            except (OSError, InvalidDicomError):
                continue
            values = (dataset.get(name) for name in ("PatientID", "PatientName", "AccessionNumber"))
            return PatientIdentity(*(str(value or "") for value in values))
        return None

    def _result(self) -> ListenResult:
        tally = self._receiver.tally
        return ListenResult(
            stored=tally.new + tally.replaced,
            doubled=tally.same,
            refused=tally.refused,
            analysed=self._analysed,
            failed=self._failed,
        )


def _room(config: ListenConfig) -> Room:
    quota = None if config.quota_gib is None else round(config.quota_gib * GIB)
    return Room(quota, round(config.reserve_gib * GIB))


def _address(config: ListenConfig) -> Address:
    files = config.tls
    return Address(
        ae_title=config.ae_title,
        host=config.host,
        port=config.port,
        allow=config.allow,
        tls=server_context(files.certificate, files.key, files.authorities) if files else None,
        max_associations=config.max_associations,
        idle_seconds=config.idle_seconds,
    )


def _announce(config: ListenConfig, port: int) -> None:
    secured = " by TLS" if config.tls else ""
    logger.info("%s listens on %s:%d%s", config.ae_title, config.host, port, secured)
    mutual = config.tls is not None and config.tls.authorities is not None
    if config.host not in _LOCAL and not config.allow and not mutual:
        logger.warning("everyone who reaches %s may send: set allow, or tls with authorities", config.host)


def _tell(study: str, outcome: Outcome) -> None:
    words = ", ".join(f"{number} {name}" for name, number in outcome.counts.items() if number)
    logger.info("study %s: %s", study, outcome.words or words or "nothing to look at")
