"""The refreshable twins on disk: one directory of them, kept by one daemon."""

from credfresh.process_twin.twins import ProcessTwins

__all__ = ["ProcessTwins"]
