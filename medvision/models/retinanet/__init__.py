"""RetinaNet for lung nodules, key for key that of MONAI's `lung_nodule_ct_detection` bundle."""
