"""How the daemon is, for Prometheus and for people: a textfile, `/metrics`, and a status page.

The main thread hands out snapshots (`snapshot`), which are cheap to take. All else happens in
other threads: what stands on disk is read (`reader`), both are judged (`view`), and the verdict
is rendered as metrics (`exposition`) or as a page (`page`) and put where the configuration says
(`textfile`, `site`). `Metrics` is the attendant that puts them together.
"""

from credfresh.metrics.attendant import Metrics

__all__ = ["Metrics"]
