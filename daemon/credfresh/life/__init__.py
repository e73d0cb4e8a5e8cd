"""The daemon at work: one main thread owns all state, and decides what happens next.

`daemon` starts, loops and drains; `supervisor` holds every profile armed, queued or in flight.
"""
