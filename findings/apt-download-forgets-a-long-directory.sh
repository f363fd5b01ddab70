#!/bin/sh
# `apt-get download` in a directory whose path is 300 bytes or longer puts the package into `/`, and succeeds.
#
# Seen with apt 2.6.1 (Debian 12) as root. A good guess: it downloads into the working directory, or says that it cannot. In
# fact apt asks getcwd() with a buffer of 300 bytes (SafeGetCWD, apt-pkg/contrib/fileutl.cc), and takes "/" where that is too
# small. The exit status is 0, nothing on either stream names the other place; without root it would be refused there. A tool
# that runs apt in a directory below a long home finds nothing where it has asked for it.
set -eu
seen="apt 2.6.1"
package=hostname
printf 'versions: %s (seen with %s)\n' "$(apt-get --version | head -n 1 | cut -d' ' -f1,2)" "$seen"
[ "$(id -u)" = 0 ] || { echo "run this as root: / must be writable"; exit 2; }
if ls /"$package"_*.deb > /dev/null 2>&1; then echo "there is a $package package in / already"; exit 2; fi
work=$(mktemp -d)
trap 'rm -rf "$work"; rm -f /"$package"_*.deb' EXIT

directory() { # BYTES: makes a directory whose path has that many
    path=$work
    while [ ${#path} -lt $(($1 - 101)) ]; do path=$path/$(printf '%0100d' 0); done
    path=$path/$(printf "%0$(($1 - ${#path} - 1))d" 0)
    mkdir -p "$path"
}
for bytes in 280 310; do
    directory "$bytes"
    (cd "$path" && apt-get -qq download "$package" > "$work/log" 2>&1) || { cat "$work/log"; exit 1; }
    here=$(find "$path" -name '*.deb' | wc -l)
    root=$(find / -maxdepth 1 -name "${package}_*.deb" | wc -l)
    printf 'a directory of %s bytes: %s package there, %s in /\n' "${#path}" "$here" "$root"
    result="${result:-}$here$root "
done
[ "$result" = "10 01 " ] || { echo "the behaviour has changed"; exit 1; }
