#!/bin/sh
# Linux 7.3 has no kfunc `scx_bpf_cpu_rq` any more; 7.2 still has it.
#
# Seen with Debian's linux-bpf-dev 7.2.13-1 (sid) and 7.3.4-1~bpo13+1 (trixie-backports), whose vmlinux.h is made from the BTF
# of these kernels. A good guess: kfuncs of sched_ext are added, and one that is deprecated (6.18 began to warn) stays for years.
# In fact this one is gone, while `scx_bpf_locked_rq` and `scx_bpf_cpu_curr`, which were to replace it, are in both. A scheduler
# that was built with an `extern` for it that is not weak does not load on 7.3; some loaders then say no more than "Invalid
# argument". In the same release `scx_bpf_online_cmask`, `scx_bpf_sub_caps`, `scx_bpf_sub_grant`, `scx_bpf_sub_kill_bstr` and
# `scx_bpf_sub_revoke` are new.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The archive that this machine's apt uses.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | sort | uniq -c | sort -rn |
    awk 'NR == 1 { print $2 }')

kfuncs() { # SUITE VERSION: the sched_ext kfuncs of that kernel, a line each
    at=$work/$1
    mkdir -p "$at/lists/partial" "$at/cache/archives/partial"
    : > "$at/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$archive" "$1" > "$at/sources.list"
    set -- "$2" -o Dir::State="$at" -o Dir::State::Lists="$at/lists" -o Dir::State::status="$at/status" \
        -o Dir::Cache="$at/cache" -o Dir::Etc::SourceList="$at/sources.list" -o Dir::Etc::SourceParts=/dev/null
    version=$1
    shift
    apt-get "$@" -qq update > "$at/log" 2>&1 || { cat "$at/log" >&2; exit 2; }
    (cd "$at" && apt-get "$@" -qq download "linux-bpf-dev=$version" > "$at/log" 2>&1) || {
        echo "linux-bpf-dev $version is not in the archive any more" >&2
        exit 2
    }
    dpkg-deb -x "$at"/linux-bpf-dev_*.deb "$at/files"
    find "$at/files" -name vmlinux.h -exec grep -ohE 'scx_bpf_[a-z_0-9]+\(' {} + | tr -d '(' | sort -u
}
kfuncs sid 7.2.13-1 > "$work/7.2"
kfuncs trixie-backports '7.3.4-1~bpo13+1' > "$work/7.3"
printf 'sched_ext kfuncs: %s in 7.2.13, %s in 7.3.4\n' "$(wc -l < "$work/7.2")" "$(wc -l < "$work/7.3")"
gone=$(comm -23 "$work/7.2" "$work/7.3" | tr '\n' ' ')
printf 'gone: %s\nnew: %s\n' "$gone" "$(comm -13 "$work/7.2" "$work/7.3" | tr '\n' ' ')"
[ "$gone" = "scx_bpf_cpu_rq " ] || { echo "the behaviour has changed"; exit 1; }
