"""What is on its way to the tracking server: kept while the server does not answer, so training goes on."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medvision.tracking.store import failures, first_line

if TYPE_CHECKING:
    from mlflow.entities import Metric

logger = logging.getLogger(__name__)

MOST_POINTS = 1000
"""Points of curves that MLflow takes at once."""
EVERY_S = 1.0
"""Points wait so long for others, because each message costs the same however many it carries."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0
"""Between two tries while the server is away; each pause is twice the one before."""
PATIENCE_S = 30.0
"""How long the end of a training waits for a server that is away."""
_REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "PERMISSION_DENIED",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
"""Another try would be answered the same."""


class Outbox:
    """Sends points of curves together and everything else in order; nothing raises.

    Args:
        client: an MlflowClient.
        run_id: of the run.
        where: the server, for messages.
    """

    def __init__(self, client: Any, run_id: str, where: str) -> None:  # noqa: ANN401  mlflow may be absent
        self._client = client
        self._run_id = run_id
        self._where = where
        self._points: deque[Metric] = deque()
        self._actions: deque[Callable[[], object]] = deque()
        self._pause_s = 0.0
        self._next = time.monotonic() + EVERY_S

    @property
    def waiting(self) -> int:
        """Points and files not sent yet."""
        return len(self._points) + len(self._actions)

    def add_points(self, points: list[Metric]) -> None:
        """Send points of curves, soon."""
        self._points.extend(points)
        if time.monotonic() >= self._next:
            self._pump()

    def add(self, action: Callable[[], object]) -> None:
        """Send something else: now, or once the server answers."""
        self._actions.append(action)
        if not self._pause_s or time.monotonic() >= self._next:
            self._pump()

    def flush(self, patience_s: float = PATIENCE_S) -> bool:
        """Send all that is left; False where the server stayed away.

        Args:
            patience_s: how long to try.
        """
        end = time.monotonic() + patience_s
        while not self._pump() and time.monotonic() < end:
            time.sleep(max(0.0, min(self._next, end) - time.monotonic()))
        return not self.waiting

    def _pump(self) -> bool:
        """Send what there is; True when all of it has gone."""
        try:
            while self._points:
                self._send_points()
            while self._actions:
                self._send_action()
        except failures() as error:
            self._pause(error)
            return False
        if self._pause_s:
            logger.info("tracking at %s answers again; all that waited is recorded", self._where)
        self._pause_s = 0.0
        self._next = time.monotonic() + EVERY_S
        return True

    def _send_points(self) -> None:
        batch = [self._points[number] for number in range(min(MOST_POINTS, len(self._points)))]
        self._unless_refused(lambda: self._client.log_batch(self._run_id, metrics=batch))
        for _ in batch:
            self._points.popleft()

    def _send_action(self) -> None:
        self._unless_refused(self._actions[0])
        self._actions.popleft()

    def _unless_refused(self, action: Callable[[], object]) -> None:
        try:
            action()
        except failures() as error:
            if getattr(error, "error_code", "") not in _REFUSALS:
                raise
            logger.warning("tracking at %s refuses a record: %s", self._where, first_line(error))

    def _pause(self, error: Exception) -> None:
        if not self._pause_s:
            logger.warning(
                "tracking at %s does not answer; training goes on and the records wait: %s",
                self._where,
                first_line(error),
            )
        self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._next = time.monotonic() + self._pause_s
