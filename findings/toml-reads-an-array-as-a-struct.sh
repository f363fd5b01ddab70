#!/bin/sh
# The toml crate gives an array to a derived struct by position, whatever `deny_unknown_fields` says.
#
# Seen with toml 1.2.2 and serde 1.0.229. A good guess: a struct with `#[serde(deny_unknown_fields)]` is read from a table
# alone, so that `[[server]]` or `server = ["a", 1]` where `[server]` was meant is an error. In fact serde's derive also
# makes `visit_seq`, and the deserializer of TOML calls it for any array: its items become the fields in the order in which
# the struct declares them. A schema made from the same struct (schemars) allows an object only.
set -eu
seen="toml 1.2.2, serde 1.0.229"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'versions: %s\n' "$seen"
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "array"
version = "0.1.0"
edition = "2024"
[dependencies]
toml = "=1.2.2"
serde = { version = "=1.0.229", features = ["derive"] }
[workspace]
TOML
cat > "$work/src/main.rs" <<'RUST'
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct File {
    server: Server,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Server {
    name: String,
    port: u16,
}

fn main() {
    for text in [
        "server = { name = 'a', port = 1 }",
        "server = ['a', 1]",
        "server = { name = 'a', port = 1, more = 2 }",
    ] {
        match toml::from_str::<File>(text) {
            Ok(file) => println!("read: {} {}", file.server.name, file.server.port),
            Err(error) => println!("refused: {}", error.message().lines().next().unwrap()),
        }
    }
}
RUST
said=$(cd "$work" && CARGO_TARGET_DIR="$work/target" cargo run --quiet)
printf '%s\n' "$said"
expected="read: a 1
read: a 1
refused: unknown field \`more\`, expected \`name\` or \`port\`"
[ "$said" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
