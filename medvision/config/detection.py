"""`configs/detect_*.yaml`: nodule detection in two stages, proposals and a second look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from medvision.config.augmentation import AugmentationConfig
from medvision.config.base import Settings
from medvision.config.second_look import SecondLookConfig
from medvision.config.self_training import SelfTrainingConfig
from medvision.config.splits import SplitConfig
from medvision.config.tracking import TrackingConfig


class WeightedCohort(Settings):
    """A cohort whose patients count more or less than those of others."""

    path: Path
    """Folder or datalist."""

    weight: float = Field(default=1.0, gt=0)
    """Each of its patients is learnt from so many times as often as one of a cohort with weight 1."""


class DataConfig(Settings):
    """The patients to learn from."""

    cohort: tuple[Path | WeightedCohort, ...] = Field(min_length=1)
    """A folder or several: made by `medvision simulate`, STOREs with `annotations.csv`, LUNA16, LIDC-IDRI; or
    MONAI datalists (`.json`). In place of a path, `{path: …, weight: …}`, to mix cohorts of unlike worth."""

    unlabelled: tuple[Path, ...] = ()
    """Scans whose nodules nobody has marked: STOREs, folders of DICOM, LUNA16's volumes; tables of nodules in
    them are not read. `semi_supervised` says how they are learnt from. Only for detect_lite."""

    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the patients that is never learnt from: it chooses checkpoints and the operating point."""

    split: SplitConfig = SplitConfig()
    """How these patients are chosen."""

    folds: Annotated[int, Field(ge=2)] | Literal["published"] | None = None
    """Cross-validate: train once a fold, on all others, and judge each fold by the model that never saw it. A
    number: the patients are dealt by `split.stratify`, or by their nodules. `published`: LUNA16's subsets."""

    fold: int | None = Field(default=None, ge=0)
    """Train only with this fold as the test, such as on a machine of its own; needs `folds`."""

    workers: int = Field(default=2, ge=1)
    """Threads that read and resample scans, and processes that make patches."""

    @field_validator("cohort", "unlabelled", mode="before")
    @classmethod
    def _one_is_enough(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Path | dict) else value

    @model_validator(mode="after")
    def _folds_agree(self) -> Self:
        if self.fold is not None and self.folds is None:
            raise ValueError(f"has fold {self.fold} without folds; say how many there are")
        if isinstance(self.folds, int) and (self.fold or 0) >= self.folds:
            raise ValueError(f"has fold {self.fold} of {self.folds}; they count from 0")
        if self.folds is not None and (self.split.reuse or self.split.stable):
            raise ValueError("has folds and split.reuse or split.stable, which exclude each other")
        return self

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the cohorts are."""
        return tuple(self.weights)

    @property
    def weights(self) -> dict[Path, float]:
        """Weight of each cohort; of one that is named twice, the last."""
        return {
            one.path if isinstance(one, WeightedCohort) else one: one.weight
            if isinstance(one, WeightedCohort)
            else 1.0
            for one in self.cohort
        }


class ProposalConfig(Settings):
    """Stage one: the heat-map network and its training."""

    voxel_mm: float = Field(default=1.25, gt=0.4, lt=3)
    """Isotropic spacing of the network's input."""

    channels: tuple[int, int, int, int] = (24, 48, 64, 64)
    """Feature channels at strides 2, 4, 8 and 16."""

    stem: int = Field(default=16, ge=1)
    """Channels of the strided first convolution."""

    patch_vox: int = Field(default=64, ge=64, multiple_of=16)
    """Edge of a training patch. At 32, oneDNN's bfloat16 gradients of the coarsest level (2³) are wrong."""

    steps: int = Field(default=800, ge=1)
    """Optimiser steps."""

    batch_size: int = Field(default=2, ge=1)
    """Patches a step."""

    learning_rate: float = Field(default=2.5e-3, gt=0)
    """Peak of the one-cycle schedule of AdamW."""

    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""

    nodule_fraction: float = Field(default=0.6, ge=0, le=1)
    """Share of the patches that lie around an annotated nodule; the others lie anywhere in the lungs."""

    inserted_nodules: float = Field(default=1.0, ge=0)
    """Mean number of simulated nodules added to a patch."""

    validate_every: int = Field(default=200, ge=1)
    """Steps between two looks at the validation patches."""

    patience: int = Field(default=5, ge=1)
    """Looks without a better validation loss before the training stops early."""


class MiningConfig(Settings):
    """What the network under training takes for nodules and what are none: looked for again and again."""

    fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches that lie around the network's own false marks, once some are known; 0: none.
    Together with `nodule_fraction` at most 1."""

    every: int = Field(default=200, ge=1)
    """Steps after which they are looked for again, with the network as it is then."""

    scans: int = Field(default=0, ge=0)
    """Patients that are looked at each time, in turn; 0: all."""

    per_scan: int = Field(default=10, ge=1)
    """At most so many false marks of a patient, the most probable ones."""

    def check_shares(self, section: str, near: float) -> None:
        """Refuse more patches around nodules and false marks than there are patches.

        Args:
            section: of the recipe that has the `nodule_fraction`.
            near: that fraction.

        Raises:
            ValueError: they are more than 1 together.
        """
        if near + self.fraction > 1:
            raise ValueError(
                f"has {section}.nodule_fraction {near:g} and hard_negatives.fraction {self.fraction:g}; "
                "together they are at most 1"
            )


class HardNegativeConfig(MiningConfig):
    """Both stages learn from stage one's false marks."""

    second_look_per_scan: int = Field(default=30, ge=1)
    """Stage two learns from at most so many candidates of a patient: the most probable ones of stage one,
    which has ended its training by then."""


class CandidateConfig(Settings):
    """From the heat map to candidates."""

    floor: float = Field(default=0.02, gt=0, lt=1)
    """Proposals below this probability are dropped."""

    per_scan: int = Field(default=60, ge=1)
    """At most this many candidates a scan, the most probable ones."""


class DetectionConfig(Settings):
    """One detection training, complete by itself."""

    task: Literal["detect_lite"]
    """Which job this file describes."""

    name: str = Field(default="detect_lite", pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the model."""

    output: Path
    """Model directory to write."""

    seed: int = Field(default=0, ge=0)
    """Of the split, the initial weights and the patches."""

    choose_by: Literal["loss", "froc"] = "loss"
    """What chooses the best checkpoint and stops early: the loss on the validation patients (of stage one: on
    patches), or a CPM. Stage one's is that of its own FROC, which looks at their whole lungs each time; the
    second look's is that of both stages together."""

    data: DataConfig
    proposals: ProposalConfig = ProposalConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    hard_negatives: HardNegativeConfig = HardNegativeConfig()
    candidates: CandidateConfig = CandidateConfig()
    second_look: SecondLookConfig = SecondLookConfig()
    semi_supervised: SelfTrainingConfig = SelfTrainingConfig()
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        self.hard_negatives.check_shares("proposals", self.proposals.nodule_fraction)
        return self
