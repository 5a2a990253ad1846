"""What is looked at in a stack, in words a radiographer understands, each with its value and limit.

`headers` needs no pixels, `voxels` needs HU. `chest` finds air, body and lungs on a coarse grid; `artefacts`,
`anatomy`, `lungs` and `values` judge what is there. Nothing here changes a voxel.
"""

from medvision.dicom.quality.headers import gaps, look_at_headers
from medvision.dicom.quality.voxels import look_at_voxels

__all__ = ["gaps", "look_at_headers", "look_at_voxels"]
