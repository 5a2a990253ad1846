"""Reading the next scans while the current one is judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from medvision.dicom.tables import ScanSource
from medvision.volumes import Scan


def load_ahead(sources: Sequence[ScanSource], workers: int) -> Iterator[tuple[ScanSource, Future[Scan]]]:
    """Yield each source with its Scan or its error, in order; at most `workers` are in memory ahead."""
    waiting: deque[tuple[ScanSource, Future[Scan]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        for source in sources:
            waiting.append((source, pool.submit(source.load)))
            if len(waiting) > workers:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
