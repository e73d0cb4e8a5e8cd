"""`credfresh`, and `python -m credfresh`."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C ends it without a word, also while it is imported.

    Commands that have something to tidy up handle SIGINT themselves.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else nohup(1) ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from credfresh.cli import main as run  # noqa: PLC0415 - the import takes long enough for Ctrl-C

    run()


if __name__ == "__main__":
    main()
