"""The one door to AWS: nothing else imports boto3 or botocore.

StsProvider ── Sources (whose keys?) ── botocore's own credential providers
    │ └─────── Clients (one AssumeRole for each endpoint, for all keys)
    └───────── classify (what does this failure mean?)
"""

from credfresh.sts.provider import StsProvider

__all__ = ["StsProvider"]
