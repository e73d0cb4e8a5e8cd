"""Credentials over HTTP on loopback, as a container gets them: for whoever shows a token.

`tokens` keeps the tokens in files, `shelf` what is in hand, `application` answers one request, and
`Endpoint` is the attendant, and outlet, that puts them together.
"""

from credfresh.endpoint.attendant import Endpoint

__all__ = ["Endpoint"]
