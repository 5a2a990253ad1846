"""The RetinaNet on whole scans: windows as MONAI lays them, heads only where they are needed."""
