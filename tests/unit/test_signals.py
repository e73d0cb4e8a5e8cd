"""Signals are recorded, and none that may come early ends the process."""

from __future__ import annotations

import signal

from credfresh.signals import Signal, held, recorded


def test_a_signal_that_was_held_is_recorded_later() -> None:
    """A reload that is asked for while the daemon starts neither ends it nor is forgotten."""
    seen: list[Signal] = []
    with held((signal.SIGHUP, signal.SIGUSR1)):
        signal.raise_signal(signal.SIGHUP)
        assert {signal.SIGHUP} == signal.sigpending()
        with recorded((signal.SIGHUP, signal.SIGUSR1), seen.append):
            assert [Signal(signal.SIGHUP)] == seen
            signal.raise_signal(signal.SIGUSR1)
            assert [Signal(signal.SIGHUP), Signal(signal.SIGUSR1)] == seen


def test_recording_and_holding_leave_no_trace() -> None:
    """What a signal does, and which are blocked, is as before."""
    handler, blocked = signal.getsignal(signal.SIGHUP), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with held((signal.SIGHUP,)), recorded((signal.SIGHUP,), lambda _: None):
        assert handler is not signal.getsignal(signal.SIGHUP)
    assert handler is signal.getsignal(signal.SIGHUP)
    assert blocked == signal.pthread_sigmask(signal.SIG_BLOCK, ())
