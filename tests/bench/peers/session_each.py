"""The script of many wikis: a boto3 Session for each profile, and configparser.

session_each.py NAME…
"""

import configparser
import os
import sys

import boto3

path = os.environ["AWS_SHARED_CREDENTIALS_FILE"]
for name in sys.argv[1:]:
    session = boto3.Session(profile_name="source")
    answer = session.client("sts").assume_role(
        RoleArn="arn:aws:iam::111111111111:role/deploy", RoleSessionName=name
    )
    keys = answer["Credentials"]
    file = configparser.RawConfigParser()
    file.read(path)
    file[name] = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    with open(path, "w") as out:  # noqa: PTH123 - as in those wikis
        file.write(out)
