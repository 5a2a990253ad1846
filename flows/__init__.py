"""Prefect flows: the only place that imports prefect. Each one calls the library and nothing more."""
