# shellcheck shell=sh
# Sourced by a job's shell before anything else: the job begins when its credentials outlive it.
#
#   CREDFRESH_PROFILE    the profile that the job uses; without it nothing happens
#   CREDFRESH_VALID_FOR  how long the job may take, 45m if absent
#   CREDFRESH_TIMEOUT    how long to wait for credentials that last so long, 5m if absent
#
# Afterwards every SDK finds that profile's credentials, and with `process_dir` also finds new ones
# when these end. The status is that of `credfresh ensure`: 0, or the job should not begin.
# Install it where every agent can read it and only root can write: /usr/local/lib/credfresh/job.sh

credfresh_socket=/run/credfresh/control.sock
credfresh_file=/run/credfresh/credentials
credfresh_process_dir=/run/credfresh/process

credfresh_job() {
    case ${CREDFRESH_PROFILE:-} in
    '') return 0 ;;
    .* | -* | *[!A-Za-z0-9._-]*)
        echo "credfresh: CREDFRESH_PROFILE is not a profile's name" >&2
        return 2
        ;;
    esac
    credfresh ensure --socket "$credfresh_socket" --valid-for "${CREDFRESH_VALID_FOR:-45m}" \
        --timeout "${CREDFRESH_TIMEOUT:-5m}" -- "$CREDFRESH_PROFILE" || return
    # Keys in the environment, or the role of a pod, would count for more than what is meant here.
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN
    if [ -r "$credfresh_process_dir/$CREDFRESH_PROFILE.env" ]; then
        while IFS= read -r credfresh_line; do
            case $credfresh_line in
            AWS_*=*) export "${credfresh_line?}" ;;
            esac
        done < "$credfresh_process_dir/$CREDFRESH_PROFILE.env"
        unset credfresh_line
    else
        export AWS_SHARED_CREDENTIALS_FILE="$credfresh_file"
        # Some SDKs know one of the names alone, and to some the second counts for more.
        export AWS_PROFILE="$CREDFRESH_PROFILE" AWS_DEFAULT_PROFILE="$CREDFRESH_PROFILE"
    fi
}

credfresh_job
