"""The report as DICOM objects: SEG, SR, SC, KOS, by highdicom, from the report, the scan and the masks."""
