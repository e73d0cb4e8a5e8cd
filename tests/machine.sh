#!/bin/bash
# Boot a real systemd on a throw-away copy of this host's files, and leave nothing behind.
#
#   machine.sh guard [FROM TO]...   boots; prints the host's pid of its PID 1; ends with its stdin
#   machine.sh build [FROM TO]...   what runs in the new namespaces: makes the root, becomes PID 1
#
# Each FROM of the host is seen at TO, read-only. It needs root, overlayfs, cgroup2, util-linux and
# systemd; no container engine. Whoever holds the other end of stdin may die in any way: the
# machine dies with it. If this script is killed too, only an empty cgroup remains, which the next
# one sweeps away.
set -euo pipefail

guard() {
    trap 'exit 143' TERM INT HUP
    local mounted here
    mounted=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    here=$(sed -n 's/^0:://p' /proc/self/cgroup)
    here=$mounted${here%/}
    for old in "$here"/credfresh-machine-*; do
        [ ! -d "$old" ] || kill -0 "${old##*-}" 2>/dev/null || remove "$old"
    done
    cgroup=$here/credfresh-machine-$$
    mkdir "$cgroup"
    child=
    trap tidy EXIT
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        # stdin is the lifeline, and only ours.
        exec setpriv --pdeathsig KILL unshare --mount --pid --fork --uts --ipc --net --cgroup \
            --kill-child=KILL bash "$0" build "$@" </dev/null >&2
    ) &
    child=$!
    first=
    while [ -z "$first" ]; do
        kill -0 "$child" 2>/dev/null || exit 70
        sleep 0.01
        # A list without a line end, at which read fails.
        read -r first <"/proc/$child/task/$child/children" || true
    done
    echo "${first%% *}"
    cat >/dev/null
}

tidy() {
    set +e
    trap '' TERM INT HUP
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null # its PID 1, and so all the others, die too
    [ -z "$child" ] || wait "$child" 2>/dev/null
    remove "$cgroup"
}

remove() {
    [ ! -e "$1/cgroup.kill" ] || echo 1 >"$1/cgroup.kill" || true
    for _ in $(seq 100); do
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null && return
        [ -d "$1" ] || return 0
        sleep 0.02
    done
}

build() {
    # All of it in memory, in a mount namespace of our own: nothing to take away afterwards.
    mount --make-rprivate /
    local base=/mnt root=/mnt/root
    mount -t tmpfs -o mode=755,size=1g machine $base
    mkdir $base/upper $base/work $root
    mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" machine $root
    mount -t proc -o nosuid,nodev,noexec proc $root/proc
    # The kernel is the host's: its knobs are out of reach.
    mount --bind $root/proc/sys $root/proc/sys
    mount -o remount,bind,ro $root/proc/sys
    [ ! -e $root/proc/sysrq-trigger ] || mount --bind /dev/null $root/proc/sysrq-trigger
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs $root/sys
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 $root/sys/fs/cgroup
    devices $root/dev
    local own
    for own in run tmp var/log var/tmp etc/systemd/system; do
        mount -t tmpfs -o nosuid,nodev,mode=755 machine "$root/$own"
    done
    chmod 1777 $root/tmp $root/var/tmp
    while [ $# -gt 0 ]; do
        mkdir -p "$root$2"
        mount --bind "$1" "$root$2"
        mount -o remount,bind,ro "$root$2"
        shift 2
    done
    units $root
    tr -d - </proc/sys/kernel/random/uuid >$root/etc/machine-id
    : >$root/etc/fstab
    echo machine >/proc/sys/kernel/hostname
    mkdir $root/.old
    cd $root
    pivot_root . .old
    umount -l /.old
    rmdir /.old
    # A manager in a container leaves this to its engine; LoadCredential= mounts in a helper, and
    # would give an empty directory.
    mount --make-rshared /
    exec env -i container=credfresh-tests PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
}

devices() {
    local device
    mount -t tmpfs -o nosuid,mode=755,size=1m machine "$1"
    for device in null zero full random urandom tty; do
        touch "$1/$device"
        mount --bind "/dev/$device" "$1/$device"
    done
    mkdir "$1/pts" "$1/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/pts"
    mount -t tmpfs -o nosuid,nodev,mode=1777 machine "$1/shm"
    ln -s pts/ptmx "$1/ptmx"
    ln -s /proc/self/fd "$1/fd"
    for device in stdin:0 stdout:1 stderr:2; do
        ln -s "/proc/self/fd/${device#*:}" "$1/${device%:*}"
    done
}

units() {
    local to=$1/etc/systemd/system unit
    # Of what systemd brings only the journal and the temporary files; of the host's services none.
    for unit in "$1"/lib/systemd/system/*.target.wants/*; do
        case ${unit##*/} in
        systemd-journald.service | systemd-journald.socket | systemd-journald-dev-log.socket) ;;
        systemd-tmpfiles-setup.service) ;;
        *) ln -sf /dev/null "$to/${unit##*/}" ;;
        esac
    done
    printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >"$to/machine.target"
    mkdir -p "$1/run/systemd/journald.conf.d"
    printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\n' \
        >"$1/run/systemd/journald.conf.d/machine.conf"
}

"$@"
