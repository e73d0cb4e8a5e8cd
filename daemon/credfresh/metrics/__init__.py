"""Shows how the daemon is, to Prometheus and to people: a textfile, `/metrics` and a status page.

The main thread takes snapshots (`snapshot`), which is cheap. All else happens in other threads:
what stands on disk is read (`reader`), both are compared (`view`), and the verdict is rendered as
metrics (`exposition`) or as a page (`page`), and written or served as the configuration says
(`textfile`, `site`). `Metrics` is the attendant that puts them together.
"""

from credfresh.metrics.attendant import Metrics

__all__ = ["Metrics"]
