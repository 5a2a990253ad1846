"""What stands between ingest and the STORE, so that nothing identified passes: a `Deidentifier`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.config.base import config_sha256
from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.decode import Decoded
from medvision.dicom.deidentify.attributes import (
    carried_action,
    is_short_text,
    new_uid,
    patient_of,
    treat_attributes,
)
from medvision.dicom.deidentify.audit import Audit
from medvision.dicom.deidentify.burned_in import why_burned_in
from medvision.dicom.deidentify.copies import COPIES, Copies, write_copies
from medvision.dicom.deidentify.key import DeidentificationKey
from medvision.dicom.deidentify.method import method_attributes, method_codes, method_text
from medvision.dicom.deidentify.pixel_text import shows_text
from medvision.dicom.deidentify.record import write_audit
from medvision.dicom.entries import RejectedSeriesError, SeriesEntry
from medvision.dicom.headers import Header
from medvision.dicom.problems import Problem, Reason
from medvision.dicom.sidecar import read_known
from medvision.dicom.tables import SeriesRow
from medvision.dicom.values import TEXT_TAGS
from medvision.progress import track

_AUDIT_VERSION = 1
_SUFFIX = re.compile(r"_\d+$")
_IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

_DETAILS: dict[Reason, str] = {
    "not_found": "does not exist",
    "unreadable": "the system refused to read it",
    "not_a_file": "is no regular file",
    "empty_file": "is empty",
    "not_dicom": "is no DICOM file",
    "bad_header": "its header cannot be read or lacks what every slice needs",
    "no_image": "holds no image of a series",
    "truncated": "ends too early",
    "bad_pixels": "its Pixel Data cannot be decoded",
    "unsupported_syntax": "its Transfer Syntax has no decoder",
    "duplicate": "holds the same slice as another file",
    "bad_archive": "is a damaged, encrypted or too deeply nested archive",
    "archive_too_large": "unpacks to more than is safe",
    "unsafe_member": "is a link or device inside an archive",
    "burned_in": "its pixels may show who the patient is",
    "series_failed": "its series could not be analysed",
}
"""Words without values: what is found in a file's bytes or name can be a part of a name."""


@dataclass(frozen=True, slots=True)
class StoreDeidentifier:
    """De-identifies what ingest writes; the same answers in every process.

    Attributes:
        key: the secret.
        config: the options.
    """

    key: DeidentificationKey
    config: DeidentificationConfig

    @property
    def key_id(self) -> str:
        """Tells one key from another, and nothing else of it."""
        return self.key.token("key", "")

    def check(self, entry: SeriesEntry) -> None:
        """Refuse a series with an image whose header says that identity may be drawn into it.

        Raises:
            RejectedSeriesError: one line without identifiers; names the files as problems.
        """
        problems = [
            Problem(header.file.shown, "burned_in", why)
            for header in entry.stack.headers
            if (why := _why(header))
        ]
        if problems:
            raise RejectedSeriesError(
                f"patient data may be burned into {len(problems)} of {len(entry.stack.headers)} images: "
                f"{problems[0].detail}",
                tuple(problems),
            )

    def row(self, row: SeriesRow) -> SeriesRow:
        """A row of `series.csv` under new UIDs; its reasons name no file and no old UID."""
        series, study = self._uid(row.series_instance_uid), self._uid(row.study_instance_uid)
        name = series + "".join(_SUFFIX.findall(row.name))
        reasons = row.reasons.partition(" cannot be decoded: ")
        words = reasons[0] + (" cannot be decoded" if reasons[1] else "")
        for old, new in (
            (row.name, name),
            (row.series_instance_uid, series),
            (row.study_instance_uid, study),
        ):
            words = words.replace(old, new) if old else words
        return replace(
            row,
            series_instance_uid=series,
            study_instance_uid=study,
            name=name,
            reasons=words,
            modality=_short(row.modality),
            manufacturer=_short(row.manufacturer),
            model=_short(row.model),
            kernel=_short(row.kernel),
            body_part=_short(row.body_part),
        )

    def decoded(self, decoded: Decoded) -> Decoded:
        """Volume and sidecar: the same voxels under new identifiers.

        Raises:
            RejectedSeriesError: letters stand in every slice.
        """
        if self.config.refuse_pixel_text and shows_text(decoded.hu):
            raise RejectedSeriesError(
                "a line of letters is drawn into every slice: patient data may be burned in; "
                "with refuse_pixel_text: false it is taken"
            )
        patient = patient_of(decoded.patient_id, decoded.study_instance_uid)
        series = self._uid(decoded.series_instance_uid)
        return replace(
            decoded,
            name=series + "".join(_SUFFIX.findall(decoded.name)),
            series_instance_uid=series,
            study_instance_uid=self._uid(decoded.study_instance_uid),
            patient_id=self.key.patient_id(patient),
            slices=tuple(replace(s, sop_instance_uid=self._uid(s.sop_instance_uid)) for s in decoded.slices),
            attributes=treat_attributes(decoded.attributes, patient, self.key, self.config)
            | method_attributes(self.config),
        )

    def problem(self, problem: Problem) -> Problem:
        """The reason stays; the path becomes a pseudonym, the detail a sentence without values."""
        return Problem(
            f"file-{self.key.token('path', problem.path)}", problem.reason, _DETAILS[problem.reason]
        )

    def digest(self, input_sha256: str) -> str:
        """The input's hash under key and options: who has the input could look the plain one up."""
        return self.key.hexdigest("input", f"{input_sha256} {config_sha256(self.config)}")

    def finish(self, store: Path, entries: Sequence[SeriesEntry]) -> None:
        """Write the copies that were asked for, and the audit file."""
        names = {entry.name: self.row(entry.row).name for entry in entries if entry.status != "rejected"}
        known = {name: read_known(store, new) for name, new in names.items()}
        written = [entry for entry in entries if known.get(entry.name)]
        record = self.describe()
        record["volumes"] = {"n_series": len(written), "attributes": self._audit(written).as_rows()}
        if self.config.dicom_copies:
            digests = {name: found.input_sha256 for name, found in known.items() if found}
            copies = [
                write_copies(
                    entry, names[entry.name], digests[entry.name], store / COPIES, self.key, self.config
                )
                for entry in track(written, "writing copies")
            ]
            record["dicom_copies"] = _summary(copies)
        write_audit(store, record)

    def describe(self) -> dict[str, Any]:
        """The head of the audit file: by which rules, with which options."""
        return {
            "schema_version": _AUDIT_VERSION,
            "method": method_text(),
            "method_codes": [
                {"code": code, "meaning": meaning} for code, meaning in method_codes(self.config)
            ],
            "options": self.config.model_dump(mode="json"),
            "key_id": self.key_id,
        }

    def _audit(self, entries: Sequence[SeriesEntry]) -> Audit:
        """What happened to the attributes that a STORE takes from each image."""
        audit = Audit()
        for header in (header for entry in entries for header in entry.stack.headers):
            for keyword in (*_IDENTIFIERS, *(keyword for keyword, _ in header.attributes)):
                audit.add(TEXT_TAGS[keyword], keyword, carried_action(keyword, self.config))
        return audit

    def _uid(self, uid: str) -> str:
        return new_uid(uid, "SeriesInstanceUID", self.key, self.config)


def _short(text: str) -> str:
    return text if is_short_text(text) else ""


def _summary(copies: Sequence[Copies]) -> dict[str, Any]:
    audit = Audit()
    for one in copies:
        audit.merge(one.audit)
    return {
        "n_files": sum(one.n_files for one in copies),
        "n_left_out": sum(one.n_left_out for one in copies),
        "attributes": audit.as_rows(),
    }


def _why(header: Header) -> str:
    declared = dict(header.attributes).get("BurnedInAnnotation", "")
    return why_burned_in(declared, header.sop_class_uid, header.image_type)
