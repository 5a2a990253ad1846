"""What published guidelines suggest for measured nodules: Lung-RADS v2022, Fleischner 2017, Brock (PanCan).

The tables lie beside the code as YAML, each row with its source; nothing here is a diagnosis.
"""

from medvision.guidelines.assess import Context, assess
from medvision.guidelines.nodule import Nodule, Prior
from medvision.guidelines.patient import Patient, describe_patient
from medvision.guidelines.patient_table import PatientTable, read_patient_table
from medvision.guidelines.suggestion import CancerRisk, Category, Suggestion

__all__ = [
    "CancerRisk",
    "Category",
    "Context",
    "Nodule",
    "Patient",
    "PatientTable",
    "Prior",
    "Suggestion",
    "assess",
    "describe_patient",
    "read_patient_table",
]
