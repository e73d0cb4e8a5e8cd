"""Writes a first configuration from a user's own AWS files. Pure: text in, text out.

    ~/.aws/config, credentials ── aws_files ▶ profiles ── unattended ▶ drafts ── writing ▶ YAML

No secret is kept: only the path of the file that holds the keys.
"""
