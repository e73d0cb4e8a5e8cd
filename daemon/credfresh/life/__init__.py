"""The life of the daemon: one main thread that owns all state, and what it decides and sets going.

`daemon` starts, loops and drains; `supervisor` holds every profile armed, queued or in flight.
"""
