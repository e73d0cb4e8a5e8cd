"""Writing files that others may read and write too: trusted paths, locks, atomic writes."""
