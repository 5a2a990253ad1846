"""Like cohorts are stable, shifted ones are not, small ones are too small."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medvision.dicom.store import ingest
from medvision.errors import DataError, UsageError
from medvision.evaluation.drift import Limits, compare
from medvision.evaluation.drift.cohort import MOST_SCANS, read_cohort
from medvision.evaluation.drift.comparison import compare_scans
from medvision.evaluation.drift.features import ScanValues
from tests.dicom.builders import Slices, body_hu, write_series
from tests.evaluation.drift.cohorts import many, row, write_out, write_store


def status(document, name: str) -> str:
    return next(feature.status for feature in document.features if feature.name == name)


def quick(reference, current, **options):
    return compare(reference, current, pixel_scans=0, **options)


def test_a_cohort_is_like_itself(tmp_path):
    store = write_store(tmp_path / "a", many(30))
    document = quick(store, store)
    assert (document.verdict, document.exit_code) == ("stable", 0)
    compared = [feature for feature in document.features if feature.psi is not None]
    assert {feature.name for feature in compared} >= {
        "slice_thickness_mm",
        "kernel",
        "exposure_mas",
        "noise_hu",
    }
    assert all(feature.psi == 0 and feature.p_value == 1 for feature in compared)


def test_two_draws_from_one_population_are_stable(tmp_path):
    a = write_store(tmp_path / "a", many(40, "1.2", seed=1))
    b = write_store(tmp_path / "b", many(40, "1.3", seed=2))
    assert quick(a, b).verdict == "stable"


def test_thicker_slices_are_drift_and_nothing_else_is(tmp_path):
    a = write_store(tmp_path / "a", many(20))
    b = write_store(tmp_path / "b", many(20, "1.3", thickness_mm=5.0))
    document = quick(a, b)
    assert document.exit_code == 3
    assert [f.name for f in document.features if f.status == "drift"] == [
        "spacing_z_mm",
        "slice_thickness_mm",
    ]
    assert status(document, "kernel") == "stable"


def test_another_kernel_is_drift(tmp_path):
    a, b = (
        write_store(tmp_path / name, many(20, prefix, kernel=kernel))
        for name, prefix, kernel in (("a", "1.2", "B30f"), ("b", "1.3", "B70f"))
    )
    assert status(quick(a, b), "kernel") == "drift"


def test_neither_the_order_of_the_rows_nor_of_the_cohorts_matters(tmp_path):
    rows, others = many(20), many(25, "1.3", seed=5, kernel="C")
    a, b = write_store(tmp_path / "a", rows), write_store(tmp_path / "b", others)
    before = quick(a, b)
    lines = (a / "series.csv").read_text().splitlines()
    (a / "series.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert quick(a, b) == before
    back = quick(b, a)
    for one, other in zip(before.features, back.features, strict=True):
        assert (one.psi, one.ks, one.status) == (other.psi, other.ks, other.status)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 40), (4, 40), (4, 5)])
def test_a_few_scans_are_too_few_for_an_alarm(tmp_path, n, m):
    a = write_store(tmp_path / "a", many(n))
    b = write_store(tmp_path / "b", many(m, "1.3", thickness_mm=5.0))
    document = quick(a, b)
    assert (document.verdict, document.exit_code) == ("too_few", 0)
    assert status(document, "slice_thickness_mm") == "too_few"
    assert all(feature.psi is None for feature in document.features)


def test_a_large_psi_by_chance_is_no_alarm(tmp_path):
    a = write_store(
        tmp_path / "a", [row(f"1.2.{i}", mm) for i, mm in enumerate([1.0, 1.0, 1.0, 2.0, 2.0, 1.0])]
    )
    b = write_store(
        tmp_path / "b", [row(f"1.3.{i}", mm) for i, mm in enumerate([2.0, 2.0, 1.0, 2.0, 2.0, 1.0])]
    )
    document = quick(a, b)
    assert status(document, "slice_thickness_mm") == "unclear"
    assert document.exit_code == 0


def test_limits_are_the_users(tmp_path):
    a = write_store(tmp_path / "a", many(20))
    b = write_store(tmp_path / "b", many(20, "1.3", thickness_mm=5.0))
    assert quick(a, b, limits=Limits(psi=50.0)).exit_code == 0
    assert quick(a, b, limits=Limits(p_value=0.0003)).exit_code == 0
    with pytest.raises(UsageError, match="PSI limit -1 must be above 0"):
        quick(a, b, limits=Limits(psi=-1))
    for p_value in (1.0, 0.0001):
        with pytest.raises(UsageError, match=r"p-value limit .* must be between 0\.0002"):
            quick(a, b, limits=Limits(p_value=p_value))


def test_out_folders_are_compared_by_what_the_model_made(tmp_path):
    a = write_out(tmp_path / "a", many(20))
    b = write_out(tmp_path / "b", many(20, "1.3"), findings=6, score=0.9)
    document = quick(a, b)
    assert (status(document, "findings"), status(document, "scores")) == ("drift", "drift")
    assert status(document, "exposure_mas") == "absent"
    assert quick(a, a).verdict == "stable"


def test_a_store_and_an_out_folder_are_compared_in_what_both_know(tmp_path):
    document = quick(write_store(tmp_path / "a", many(20)), write_out(tmp_path / "b", many(20, "1.3")))
    known = {feature.name for feature in document.features if feature.status != "absent"}
    assert known == {
        "spacing_z_mm", "spacing_xy_mm", "slice_thickness_mm", "kernel", "manufacturer", "kvp", "noise_hu",
    }  # fmt: skip


def test_of_two_sources_the_one_counts_that_most_scans_have():
    """A store that is half ingested anew: some scans have the check of the noise, all were measured."""
    scans = [ScanValues(f"1.2.{i}", {"noise_measured_hu": 20.0 + i}) for i in range(20)]
    checked = [ScanValues(scan.name, {**scan.values, "noise_checked_hu": 50.0}) for scan in scans]
    for now, n_current in ((checked, 20), ([*checked[:6], *scans[6:]], 20)):
        noise = next(r for r in compare_scans(checked, now, Limits()) if r.name == "noise_hu")
        assert (noise.n_current, noise.reference[:2]) == (n_current, "50" if now is checked else "29")


def test_rejected_series_do_not_count(tmp_path):
    rejected = [row(f"1.9.{i}", 10.0, status="rejected") for i in range(30)]
    a = write_store(tmp_path / "a", many(20))
    b = write_store(tmp_path / "b", [*many(20, "1.3", seed=3), *rejected])
    assert quick(a, b).current.scans == 20
    assert status(quick(a, b), "slice_thickness_mm") != "drift"


def test_damaged_scans_are_left_out_and_named(tmp_path, caplog):
    a, b = write_store(tmp_path / "a", many(20)), write_out(tmp_path / "b", many(20, "1.3"))
    (a / "volumes" / "1.2.3.json").write_text("{")
    (b / "1.3.4" / "report.json").write_text('{"findings": 3}')
    document = quick(a, b)
    assert (document.reference.drawn, document.current.drawn) == (19, 19)
    assert "1.2.3.json" in caplog.text
    assert "1.3.4/report.json" in caplog.text


def test_series_that_were_not_analysed_are_passed_over_in_silence(tmp_path, caplog):
    out = write_out(tmp_path / "b", many(20))
    (out / "1.2.5" / "report.json").unlink()
    document = quick(out, out)
    assert (document.reference.scans, document.reference.drawn) == (19, 19)
    assert caplog.text == ""


@pytest.mark.parametrize("folder", ["empty", "nothing accepted", "no series.csv"])
def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path, folder):
    good, bad = write_store(tmp_path / "a", many(5)), tmp_path / "b"
    if folder == "nothing accepted":
        write_store(bad, [row("1.2", status="rejected")])
    elif folder == "empty":
        bad.mkdir()
    else:
        (write_out(bad, many(3)) / "series.csv").unlink()
    with pytest.raises(DataError, match=r"has no scan that can be compared|is neither a STORE"):
        quick(good, bad)


def test_of_a_large_cohort_some_are_drawn_the_same_ones_each_time(tmp_path):
    store = write_store(tmp_path / "a", many(MOST_SCANS + 50))
    first, again = (read_cohort(store, pixel_scans=0, seed=3) for _ in range(2))
    assert (first.n_scans, len(first.scans)) == (MOST_SCANS + 50, MOST_SCANS)
    assert first == again
    other = read_cohort(store, pixel_scans=0, seed=4)
    assert {scan.name for scan in first.scans} != {scan.name for scan in other.scans}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Seven scans each with voxels, the second ones noisy."""
    folder = tmp_path_factory.mktemp("stores")
    random = np.random.default_rng(0)
    for name, sigma in (("quiet", 5.0), ("noisy", 40.0)):

        def scene(points_mm, sigma=sigma):
            return body_hu(points_mm) + random.normal(0, sigma, points_mm.shape[:-1])

        for number in range(7):
            slices = Slices(rows=40, columns=40, series_uid=f"1.2.{number}", scene=scene)
            write_series(folder / "dicom" / name / str(number), slices)
        ingest([folder / "dicom" / name], folder / name)
        for sidecar in (folder / name / "volumes").glob("*.json"):
            known = json.loads(sidecar.read_text())
            known["checks"] = [check for check in known["checks"] if "noise" not in check["name"]]
            sidecar.write_text(json.dumps(known))
    return folder


def test_noise_is_measured_where_no_check_says_it(stores):
    document = compare(stores / "quiet", stores / "noisy", threads=2)
    assert document.reference.with_pixels == 7
    assert status(document, "noise_hu") == "drift"
    assert status(document, "slice_thickness_mm") == "stable"
    assert compare(stores / "quiet", stores / "quiet").verdict == "stable"


def test_a_volume_that_is_damaged_costs_only_its_voxels(stores, tmp_path, caplog):
    import shutil

    shutil.copytree(stores / "quiet", tmp_path / "quiet")
    next((tmp_path / "quiet" / "volumes").glob("*.nii.gz")).write_bytes(b"no volume")
    cohort = read_cohort(tmp_path / "quiet", pixel_scans=100, seed=0)
    assert (len(cohort.scans), cohort.n_with_pixels) == (7, 6)
    assert "its voxels are left out" in caplog.text
    assert read_cohort(stores / "quiet", pixel_scans=3, seed=0).n_with_pixels == 3
