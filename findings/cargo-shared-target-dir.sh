#!/bin/sh
# Two checkouts of one workspace that share a target directory overwrite each other's libraries, and cargo takes the other
# checkout's for its own.
#
# Seen with cargo 1.95.0. A good guess: a path dependency is identified by its path, so two checkouts never meet. In fact
# the name of an artifact depends on the path *within the workspace*, and freshness on time stamps alone: a checkout whose
# files are older than the other's build is taken for built. It is linked with the other checkout's library, without a
# word; if the two differ in what they export, the compiler reports names that are in no file of this checkout.
set -eu
seen="cargo 1.95.0"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'versions: %s (seen with %s)\n' "$(cargo --version | cut -d' ' -f1,2)" "$seen"

checkout() { # NAME ANSWER
    mkdir -p "$work/$1/lib/src" "$work/$1/app/src"
    printf '[workspace]\nresolver = "3"\nmembers = ["lib", "app"]\n' > "$work/$1/Cargo.toml"
    printf '[package]\nname = "lib"\nversion = "0.1.0"\nedition = "2024"\n' > "$work/$1/lib/Cargo.toml"
    printf '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\nlib = { path = "../lib" }\n' \
        > "$work/$1/app/Cargo.toml"
    printf 'pub fn answer() -> u32 { %s }\n' "$2" > "$work/$1/lib/src/lib.rs"
    printf 'fn main() { println!("{}", lib::answer()); }\n' > "$work/$1/app/src/main.rs"
}
checkout old 1
checkout new 2
# As a checkout that was made before the other was built.
find "$work/old" -type f -exec touch -d '1 hour ago' {} +

export CARGO_TARGET_DIR="$work/target"
new=$(cd "$work/new" && cargo run --quiet --offline)
old=$(cd "$work/old" && cargo run --quiet --offline)
printf 'the new checkout says %s (its source says 2)\n' "$new"
printf 'the old checkout says %s (its source says 1)\n' "$old"
alone=$(cd "$work/old" && CARGO_TARGET_DIR="$work/own" cargo run --quiet --offline)
printf 'the old checkout with a target directory of its own says %s\n' "$alone"
[ "$new $old $alone" = "2 2 1" ] || { echo "the behaviour has changed"; exit 1; }
