"""The best series of a study: the same whatever the order, and for reasons that are said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.dicom.choice import choose_series
from medvision.dicom.tables import SeriesRow

BASE = SeriesRow(
    series_instance_uid="1.1",
    study_instance_uid="1",
    modality="CT",
    n_files=300,
    n_slices=300,
    rows=512,
    columns=512,
    spacing_x_mm=0.7,
    spacing_y_mm=0.7,
    spacing_z_mm=1.0,
    status="accepted",
    reasons="",
    volume="",
    name="1.1",
    slice_thickness_mm=1.0,
    manufacturer="SIEMENS",
    model="",
    kernel="B50f",
    body_part="CHEST",
    image_type="ORIGINAL\\PRIMARY\\AXIAL",
    z_low_mm=-300.0,
    z_high_mm=0.0,
)
TRAINED = ("B50f", "B30f")


def row(uid: str, **changes) -> SeriesRow:
    return replace(BASE, series_instance_uid=uid, **({"name": uid} | changes))


BETTER = row("1.9")
THICK = {"slice_thickness_mm": 5.0, "spacing_z_mm": 5.0, "n_slices": 60}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (THICK, "has thinner slices (1 mm against 5 mm)"),
        ({"spacing_z_mm": 10.0, "n_slices": 30}, "has thinner slices (1 mm against 10 mm)"),
        (
            {"z_low_mm": -60.0, "slice_thickness_mm": 0.6, "spacing_z_mm": 0.6},
            "covers more of the body (300 mm against 60 mm)",
        ),
        (
            {"kernel": "B80f"},
            "has a kernel nearer to those that the model was trained with (B50f against B80f)",
        ),
        ({"image_type": "DERIVED\\PRIMARY\\AXIAL"}, "holds original images, not derived ones"),
        ({"reasons": "one; two", "status": "warned"}, "has fewer remarks on its quality (0 against 2)"),
        ({"spacing_z_mm": 1.25}, "has thinner slices (1 mm against 1.25 mm)"),
        ({"n_slices": 290}, "has more slices (300 against 290)"),
        ({"name": "2.0"}, "is as good and comes first by its UID"),
    ],
)
def test_the_better_one_is_chosen_and_the_reason_said(changes, words):
    worse = row("2.0", **changes)
    for rows in ([BETTER, worse], [worse, BETTER]):
        choice = choose_series(rows, TRAINED)
        assert choice.chosen == {"1.9"}
        assert choice.remarks == {
            "2.0": f"not analysed: series 1.9 of the same study {words}",
            "1.9": f"chosen among 2 series of the study: it {words}",
        }


def test_a_kernel_as_sharp_as_the_trained_ones_is_preferred():
    soft, sharp = row("1.1", kernel="FC13", manufacturer="TOSHIBA"), row("1.2", kernel="B80f", n_slices=400)
    assert choose_series([soft, sharp], ("B30f",)).chosen == {"1.1"}
    assert choose_series([soft, sharp]).chosen == {"1.2"}


def test_series_of_different_studies_or_places_are_no_alternatives():
    abdomen = row("1.2", z_low_mm=-700.0, z_high_mm=-280.0, **THICK)
    other_study = row("1.3", study_instance_uid="2", **THICK)
    no_study = row("1.4", study_instance_uid="", **THICK)
    choice = choose_series([BETTER, abdomen, other_study, no_study])
    assert choice.chosen == {"1.9", "1.2", "1.3", "1.4"}
    assert not choice.remarks


def test_a_long_scan_is_passed_over_for_a_thin_chest_but_the_abdomen_is_not():
    trunk = row("1.2", z_low_mm=-900.0, **THICK)
    abdomen = row("1.3", z_low_mm=-900.0, z_high_mm=-320.0, **THICK)
    assert choose_series([BETTER, trunk, abdomen]).chosen == {"1.9", "1.3"}


def test_stacks_of_one_series_compete_only_where_they_overlap():
    first, second = row("1.1"), row("1.1", name="1.1_2", **THICK)
    choice = choose_series([second, first])
    assert choice.chosen == {"1.1"}
    assert choice.remarks["1.1_2"] == (
        "not analysed: stack 1.1 of the same series has thinner slices (1 mm against 5 mm)"
    )
    assert choice.remarks["1.1"].startswith("chosen among 2 stacks of the series: it has thinner")
    above = replace(second, z_low_mm=10.0, z_high_mm=300.0)
    assert choose_series([above, first]).chosen == {"1.1", "1.1_2"}
    unknown = replace(second, z_low_mm=None, z_high_mm=None)
    assert choose_series([unknown, first]).chosen == {"1.1", "1.1_2"}


def test_series_whose_place_is_not_known_are_alternatives():
    unknown = [replace(each, z_low_mm=None, z_high_mm=None) for each in (BETTER, row("1.2", **THICK))]
    assert choose_series(unknown).chosen == {"1.9"}


rows_strategy = st.lists(
    st.builds(
        lambda number, stack, study, thick, kernel, low, length, n, reasons, kind: row(
            f"1.{study}.{number}",
            name=f"1.{study}.{number}" + (f"_{stack}" if stack > 1 else ""),
            study_instance_uid=str(study),
            spacing_z_mm=thick,
            slice_thickness_mm=thick,
            kernel=kernel,
            z_low_mm=low,
            z_high_mm=low + length,
            n_slices=n,
            reasons=reasons,
            image_type=kind,
        ),
        *(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.sampled_from([0.6, 1, 1.25, 2.5, 5])),
        *(st.sampled_from(["B30f", "B50f", "B80f", ""]), st.sampled_from([-300.0, -250.0, 0.0])),
        *(st.sampled_from([40.0, 150.0, 300.0]), st.integers(20, 22), st.sampled_from(["", "a", "a; b"])),
        st.sampled_from(["ORIGINAL\\PRIMARY", "DERIVED\\PRIMARY"]),
    ),
    max_size=8,
    unique_by=lambda each: each.name,
)


@given(rows=rows_strategy, data=st.data())
def test_the_order_does_not_matter_and_everything_is_accounted_for(rows, data):
    choice = choose_series(rows, TRAINED)
    shuffled = choose_series(data.draw(st.permutations(rows)), TRAINED)
    assert (choice.chosen, choice.remarks) == (shuffled.chosen, shuffled.remarks)
    names = {each.name for each in rows}
    assert choice.chosen <= names
    skipped = names - choice.chosen
    assert all(choice.remarks[name].startswith("not analysed: ") for name in skipped)
    by_name = {each.name: each for each in rows}
    for name in skipped:
        winner = choice.remarks[name].split(" ")[3]
        assert winner in choice.chosen
        assert by_name[winner].study_instance_uid == by_name[name].study_instance_uid
    assert {each.study_instance_uid for each in rows} == {
        by_name[n].study_instance_uid for n in choice.chosen
    }


@given(rows=rows_strategy)
def test_choosing_among_the_chosen_changes_nothing(rows):
    choice = choose_series(rows, TRAINED)
    again = choose_series([each for each in rows if each.name in choice.chosen], TRAINED)
    assert again.chosen == choice.chosen
