"""`python -m credfresh`."""

from credfresh.cli import main

if __name__ == "__main__":
    main()
