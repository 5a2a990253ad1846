"""Every exception medvision raises on purpose, and the exit code each one means.

    MedvisionError                 1   anything below
    ├── UsageError                 2   wrong usage or configuration; nothing heavy has started
    │   ├── ConfigError            2   a configuration key or value (also a ValueError)
    │   ├── ModelError             2   a model that cannot be found, read or trusted
    │   └── OutputError            2   an output folder that cannot be written (also an OSError)
    ├── DataError                  2   input that cannot be used (also a ValueError)
    │   ├── DicomError             2   a DICOM file or Series that cannot become a Volume
    │   ├── GeometryError          2   an affine, spacing or orientation that is not a regular grid
    │   └── ContractError          2   a table or document that breaks its data contract
    ├── NetworkError               4   another machine that does not answer or refuses (also an OSError)
    └── NothingToDoError           4   no input of the kind asked for

A message is one line for the person who typed the command: what, where, the value, what to do.
"""

from __future__ import annotations


class MedvisionError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(MedvisionError):
    """Wrong usage or configuration, found before anything heavy starts."""

    exit_code = 2


class ConfigError(UsageError, ValueError):
    """A configuration key that is unknown or a value that is out of bounds."""


class ModelError(UsageError):
    """A model that cannot be found, read or trusted."""


class OutputError(UsageError, OSError):
    """An output folder or file that cannot be written."""


class DataError(MedvisionError, ValueError):
    """Input data that cannot be used; where it is one of many, the others go on."""

    exit_code = 2


class DicomError(DataError):
    """A DICOM file or Series that cannot become a Volume."""


class GeometryError(DataError):
    """An affine, spacing or orientation that does not describe a regular orthogonal grid."""


class ContractError(DataError):
    """A table or document that breaks its data contract."""


class NetworkError(MedvisionError, OSError):
    """Another machine does not answer, or refuses."""

    exit_code = 4


class NothingToDoError(MedvisionError):
    """No input of the kind asked for was found."""

    exit_code = 4
