"""The HU window of every network here."""

WINDOW_HU = (-1000.0, 400.0)
"""HU that map to −1 and 1: air to the edge of bone, LUNA16's usual window."""
