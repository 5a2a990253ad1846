"""Files and folders behind an address (`s3://`, `gs://`, `az://` … whatever fsspec knows)."""
