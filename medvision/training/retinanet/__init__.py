"""Training of the RetinaNet: patches with boxes, MONAI's matcher and sampler, losses."""
