"""Deal patients into parts so that each part gets its share of every label.

After Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011: the rarest
first, each to the part that still lacks most of what the patient brings. Here the patient, with all series
and all labels of several keys, is what is dealt, so that no patient is torn apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


def count_values(
    patient_of: Sequence[str], keys: Sequence[Sequence[Hashable]], patients: Sequence[str]
) -> Counts:
    """Count how often each patient has each value of each key.

    Args:
        patient_of: one patient an item.
        keys: for each key one value an item.
        patients: the order of the rows.

    Returns:
        (patients, values of all keys), and a last column of ones: the patient itself.
    """
    row = {patient: index for index, patient in enumerate(patients)}
    rows = np.array([row[patient] for patient in patient_of], dtype=np.intp)
    columns = [np.ones((len(patients), 1))]
    for values in keys:
        number: dict[Hashable, int] = {}
        column = np.array([number.setdefault(value, len(number)) for value in values], dtype=np.intp)
        counts = np.zeros((len(patients), len(number)))
        np.add.at(counts, (rows, column), 1)
        columns.insert(-1, counts)
    return np.hstack(columns)


def deal(counts: Counts, sizes: Sequence[int]) -> list[int]:
    """Give each patient a part.

    Args:
        counts: from `count_values`; earlier rows win ties, so their order decides between equals.
        sizes: how many patients each part gets; together, all of them.

    Returns:
        The part of each row.
    """
    shares = counts / counts.sum(axis=0)
    room = np.array(sizes)
    wanted = room[:, None] / room.sum()
    lacking = np.ones(
        (len(sizes), counts.shape[1])
    )  # of what each part wants, so that small parts have a say
    part_of = [0] * len(counts)
    for row in np.argsort(-shares.max(axis=1), kind="stable").tolist():
        wish = np.where(room > 0, lacking @ shares[row], -np.inf)
        part = int(np.argmax(wish))
        part_of[row] = part
        room[part] -= 1
        lacking[part] -= shares[row] / wanted[part]
    return part_of
