"""Serves credentials over HTTP on loopback, as to a container, to clients that show a token.

`tokens` keeps the tokens in files, `shelf` the credentials in hand, `application` answers one
request, and `Endpoint` is the attendant and outlet that puts them together.
"""

from credfresh.endpoint.attendant import Endpoint

__all__ = ["Endpoint"]
