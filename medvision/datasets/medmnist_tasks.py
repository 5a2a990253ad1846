"""The eighteen sets of MedMNIST v2: task and classes, from the benchmark's own description (medmnist 3.0)."""

from __future__ import annotations

from typing import Literal

Task = Literal["binary-class", "multi-class", "ordinal-regression", "multi-label, binary-class"]

_ORGANS_2D = (
    "bladder", "left femur", "right femur", "heart", "left kidney", "right kidney", "liver", "left lung",
    "right lung", "pancreas", "spleen",
)  # fmt: skip
_ORGANS_3D = (
    "liver", "right kidney", "left kidney", "right femur", "left femur", "bladder", "heart", "right lung",
    "left lung", "spleen", "pancreas",
)  # fmt: skip

TASKS: dict[str, tuple[Task, tuple[str, ...]]] = {
    "pathmnist": ("multi-class", (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
        "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
    )),
    "chestmnist": ("multi-label, binary-class", (
        "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
        "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
    )),
    "dermamnist": ("multi-class", (
        "actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma", "melanoma",
        "melanocytic nevus", "vascular lesion",
    )),
    "octmnist": ("multi-class", (
        "choroidal neovascularization", "diabetic macular edema", "drusen", "normal",
    )),
    "pneumoniamnist": ("binary-class", ("normal", "pneumonia")),
    "retinamnist": ("ordinal-regression", ("0", "1", "2", "3", "4")),
    "breastmnist": ("binary-class", ("malignant", "normal or benign")),
    "bloodmnist": ("multi-class", (
        "basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte",
        "neutrophil", "platelet",
    )),
    "tissuemnist": ("multi-class", (
        "collecting duct, connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
        "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments",
        "thick ascending limb",
    )),
    "organamnist": ("multi-class", _ORGANS_2D),
    "organcmnist": ("multi-class", _ORGANS_2D),
    "organsmnist": ("multi-class", _ORGANS_2D),
    "organmnist3d": ("multi-class", _ORGANS_3D),
    "nodulemnist3d": ("binary-class", ("benign", "malignant")),
    "adrenalmnist3d": ("binary-class", ("normal", "hyperplasia")),
    "fracturemnist3d": ("multi-class", ("buckle", "nondisplaced", "displaced")),
    "vesselmnist3d": ("binary-class", ("vessel", "aneurysm")),
    "synapsemnist3d": ("binary-class", ("inhibitory", "excitatory")),
}  # fmt: skip
"""Name → the benchmark's task and the names of its classes, in the order of the labels."""
