#!/bin/sh
# The loop that people write: shell_loop.sh NAME… assumes each role and puts its keys into the file.
set -eu
for name in "$@"; do
    said=$(aws sts assume-role --role-arn "arn:aws:iam::111111111111:role/deploy" \
        --role-session-name "$name" --profile source --output json)
    aws configure set aws_access_key_id "$(echo "$said" | jq -r .Credentials.AccessKeyId)" --profile "$name"
    aws configure set aws_secret_access_key "$(echo "$said" | jq -r .Credentials.SecretAccessKey)" --profile "$name"
    aws configure set aws_session_token "$(echo "$said" | jq -r .Credentials.SessionToken)" --profile "$name"
done
