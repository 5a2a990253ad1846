"""DICOM in: whatever a department exports becomes Scans, everything else a named problem.

`catalogue` looks through sources, `store` keeps what was found on the disk.
"""
