"""boto3-refresh-session, one session for each role, as its documentation shows.

refresh_session.py NAME…: it writes no file; what it renews stays in its process.
"""

import os
import sys

import boto3_refresh_session as brs  # type: ignore[import-not-found]

for name in sys.argv[1:]:
    session = brs.RefreshableSession(
        assume_role_kwargs=brs.AssumeRoleConfig(
            RoleArn="arn:aws:iam::111111111111:role/deploy", RoleSessionName=name
        ),
        sts_client_kwargs=brs.STSClientConfig(endpoint_url=os.environ["AWS_ENDPOINT_URL_STS"]),
        profile_name="source",
    )
    session.refreshable_credentials()
