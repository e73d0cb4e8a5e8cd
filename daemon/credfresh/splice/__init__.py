"""What the credentials file should say: bytes in, bytes out. Pure; no module here opens a file."""
