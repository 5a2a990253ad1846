"""The codes that results speak in: SNOMED CT, DICOM, RadLex, NCIt, UCUM; our own only where these have none.

Sources: PS3.16 Annex D and its context groups (CID 6102 ff. for the chest, 7469 for sizes and intensities);
RadLex and NCIt codes as in the LIDC-IDRI nodule SRs of The Cancer Imaging Archive
(doi:10.7937/TCIA.2018.h7umfurq).
"""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from medvision.findings import Attachment, Calcification, Density, Lobe, Side

PRIVATE_SCHEME = "99MEDVISION"


def own(value: str, meaning: str) -> Code:
    """A code of our own scheme, of at most 16 characters: many readers know no Long Code Value."""
    return Code(value, PRIVATE_SCHEME, meaning)


def coding_scheme() -> CodingSchemeIdentificationItem:
    """What the scheme of our own is (PS3.3 table C.12-1)."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME, name="medvision codes", version="1", responsible_organization="medvision"
    )


NODULE = Code("27925004", "SCT", "Nodule")
ALTERED_STRUCTURE = Code("49755003", "SCT", "Morphologically Altered Structure")
LUNG = Code("39607008", "SCT", "Lung")
CT_OF_CHEST = Code("169069000", "SCT", "Computed tomography of chest")
SIDES: dict[Side, Code] = {
    "right": Code("24028007", "SCT", "Right"),
    "left": Code("7771000", "SCT", "Left"),
}
_UPPER = Code("45653009", "SCT", "Upper lobe of lung")
_LOWER = Code("90572001", "SCT", "Lower lobe of lung")
LOBES: dict[Lobe, tuple[Code, Side]] = {
    "right_upper": (_UPPER, "right"),
    "right_middle": (Code("72481006", "SCT", "Middle lobe of right lung"), "right"),
    "right_lower": (_LOWER, "right"),
    "left_upper": (_UPPER, "left"),
    "left_lower": (_LOWER, "left"),
}

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
DIAMETER = Code("81827009", "SCT", "Diameter")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
CANCER = Code("111047", "DCM", "Probability of cancer")
MEAN = Code("373098007", "SCT", "Mean")
MEDIAN = Code("373099004", "SCT", "Median")
DEVIATION = Code("386136009", "SCT", "Standard Deviation")
INDETERMINATE = Code("114011", "DCM", "Value indeterminate")
EFFECTIVE_DIAMETER = own("effective-diam", "Diameter of the sphere of the same volume")
VOLUME_LOWER = own("volume-lower", "Volume, lower 95 % limit")
VOLUME_UPPER = own("volume-upper", "Volume, upper 95 % limit")
SOLID_DIAMETER = own("solid-diameter", "Mean diameter of the solid component")
SOLID_VOLUME = own("solid-volume", "Volume of the solid component")
SPICULATION = own("spiculation", "Spiculation, 0 to 1")
LOBULATION = own("lobulation", "Lobulation, 0 to 1")
TO_PLEURA = own("pleura-distance", "Distance from centre to pleura")
GROWTH = own("growth", "Growth of the volume since the prior examination")
GROWTH_LOWER = own("growth-lower", "Growth of the volume, lower 95 % limit")
GROWTH_UPPER = own("growth-upper", "Growth of the volume, upper 95 % limit")
DOUBLING_TIME = own("doubling-time", "Doubling time of the volume")
COURSE = own("course", "Course since the prior examination")
COURSES: dict[str, Code] = {
    "new": own("course-new", "New"),
    "growing": own("course-growing", "Growing"),
    "stable": own("course-stable", "Stable"),
    "shrinking": own("course-shrink", "Shrinking"),
    "unclear": own("course-unclear", "Unclear"),
}
N_FINDINGS = own("n-findings", "Number of findings reported")
THRESHOLD = own("threshold", "Certainty from which findings are reported")

MM = Code("mm", "UCUM", "mm")
MM3 = Code("mm3", "UCUM", "mm3")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
DAYS = Code("d", "UCUM", "days")
PERCENT = Code("%", "UCUM", "%")
NO_UNITS = Code("1", "UCUM", "no units")

TEXTURE = Code("C41144", "NCIt", "Texture")
DENSITIES: dict[Density, Code] = {
    "solid": Code("RID50151", "RADLEX", "solid pulmonary nodule"),
    "part_solid": Code("RID50152", "RADLEX", "part-solid pulmonary nodule"),
    "ground_glass": Code("RID50153", "RADLEX", "non-solid pulmonary nodule"),
    "calcified": Code("18115005", "SCT", "Pathologic calcification, calcified structure"),
}
CALCIFICATION = Code("112030", "DCM", "Calcification Descriptor")
CALCIFICATIONS: dict[Calcification, Code] = {
    "none": Code("RID28473", "RADLEX", "absent"),
    "diffuse": own("calc-diffuse", "Diffuse calcification"),
    "central": own("calc-central", "Central calcification"),
    "laminated": Code("88446008", "SCT", "Laminated"),
    "popcorn": Code("129749001", "SCT", "Coarse (popcorn-like) calcification"),
    "eccentric": own("calc-eccentric", "Eccentric calcification"),
    "punctate": Code("129755006", "SCT", "Punctate calcification"),
}
ATTACHMENT = own("attachment", "Attachment of the nodule")
ATTACHMENTS: dict[Attachment, Code] = {
    "none": Code("RID28473", "RADLEX", "absent"),
    "pleural": Code("3120008", "SCT", "Pleura"),
    "vascular": own("attach-vascular", "Vessel"),
    "fissural": own("attach-fissural", "Fissure"),
}
RELIABILITY = own("reliability", "Reliability of the measurement")
RELIABLE = own("reliable", "Reliable")
UNRELIABLE = own("unreliable", "Not to be trusted")

LUNG_RADS = Code("RID50134", "RADLEX", "Lung-RADS assessment")
GUIDELINE = own("guideline", "Category suggested by a guideline")
QUALITY = codes.DCM.QualityAssessment
QUALITIES = {
    "ok": Code("111237", "DCM", "Usable - Meets the quality control standard"),
    "warn": Code("111236", "DCM", "Usable - Does not meet the quality control standard"),
    "reject": Code("111235", "DCM", "Unusable - Quality renders image unusable"),
}
