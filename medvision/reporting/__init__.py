"""The result of a case: report.json, and the pages and tables rendered from it."""
