"""The shared credentials file on disk: kept whole, whoever else writes it."""

from credfresh.credentials_file.files import CredentialsFiles, distrusted
from credfresh.credentials_file.shared import SharedCredentialsFile

__all__ = ["CredentialsFiles", "SharedCredentialsFile", "distrusted"]
