#!/bin/bash
# GitHub Actions, before each job of a self-hosted runner. In the runner's own directory, `.env` says
#
#   ACTIONS_RUNNER_HOOK_JOB_STARTED=/usr/local/lib/credfresh/github-job-started.sh
#   CREDFRESH_PROFILE=production
#   CREDFRESH_VALID_FOR=45m
#
# The workflow's own `env:` does not reach this hook: a runner, found by its labels, has one profile.

. /usr/local/lib/credfresh/job.sh || exit
# What was set here ends with this script; the steps get it through the runner.
env | grep -E '^AWS_(CONFIG_FILE|SHARED_CREDENTIALS_FILE|PROFILE|DEFAULT_PROFILE|SDK_LOAD_CONFIG)=' >> "$GITHUB_ENV" || true
