"""What a RetinaNet finds in the patients of its training, whose lungs are cut out already."""

from __future__ import annotations

import copy
from functools import partial

import torch

from medvision.config.retinanet_training import RetinaNetJob
from medvision.findings import Candidate
from medvision.inference.lung_places import near_lungs
from medvision.inference.predictor import choose_device
from medvision.inference.retinanet.detector import candidates, engine
from medvision.inference.retinanet.maps import Engine
from medvision.models.retinanet.boxes import select
from medvision.models.retinanet.network import RetinaNet
from medvision.preprocessing.ras import window
from medvision.training.hard_negatives import Find
from medvision.training.volumes import TrainingVolume


def taken(network: RetinaNet, job: RetinaNetJob) -> Find:
    """What the network as it is now finds; one under training goes on as if it was not asked."""
    return partial(_look, engine(copy.deepcopy(network).eval(), job.boxes, choose_device("auto")), job)


def _look(runner: Engine, job: RetinaNetJob, volume: TrainingVolume) -> tuple[Candidate, ...]:
    """Find candidates, the most probable first.

    Args:
        runner: the network, ready to look.
        job: grid and boxes.
        volume: a patient on that grid.

    Raises:
        ModelError: the network answers with NaN.
    """
    grid = volume.box.grid
    image = window(grid.hu, job.grid.window_hu)
    shape = image.shape[0], image.shape[1], image.shape[2]
    where = torch.from_numpy(near_lungs(volume.box.lungs, grid.affine, shape))
    boxes = select(runner.maps(image, where), shape, job.network, job.boxes)
    return candidates(boxes, where, grid.affine)
