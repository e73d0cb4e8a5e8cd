"""credfresh keeps AWS session credentials fresh in the shared credentials file.

    YAML ── config ──▶ Settings ── cli (composition root) ──▶ Supervisor
                                                                │ due
      Timers (APScheduler) ──▶ inbox ──▶ Admission ──▶ Workers ──▶ Renewer ──▶ Provider (STS)
                                                                │ grant
      Supervisor ◀── inbox ◀── Publisher ──▶ Destination (shared credentials file)

The layers, who may import whom, and where a change belongs: docs/architecture.md.
"""

__version__ = "0.1.0"
