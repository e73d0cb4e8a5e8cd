"""The control socket: how a running daemon is asked, on the same host (docs/control.md).

    client ── one line of JSON ──▶ server (its own thread) ▶ attendant (the main thread)

Nothing is imported here: a client loads only `client`, `protocol` and `shapes`.
"""
