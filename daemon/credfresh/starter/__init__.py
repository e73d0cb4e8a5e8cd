"""A first configuration, from what a user's own AWS files say. Pure text in, text out.

    ~/.aws/config, credentials ── aws_files ▶ profiles ── unattended ▶ drafts ── writing ▶ YAML

No secret is kept: of keys only where they stand.
"""
