"""Log lines as JSON, one object a line, for whoever collects them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from medvision.log_context import current_log_fields


class JsonLines(logging.Formatter):
    """time (ISO 8601, UTC), level, logger, message; run and case where there is one; traceback with -vv."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current_log_fields(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)
