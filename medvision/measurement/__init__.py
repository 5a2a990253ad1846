"""Size, density and position of one nodule, from a local segmentation."""
