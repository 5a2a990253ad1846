"""De-identification by DICOM PS3.15 Annex E, under a secret key that gives the same pseudonyms each time.

`deidentify` treats one Data Set, `store.StoreDeidentifier` what ingest writes, `key.load_key` finds the key.
"""

from medvision.dicom.deidentify.audit import Audit
from medvision.dicom.deidentify.dataset import BurnedInError, deidentify
from medvision.dicom.deidentify.key import DeidentificationKey, load_key

__all__ = ["Audit", "BurnedInError", "DeidentificationKey", "deidentify", "load_key"]
