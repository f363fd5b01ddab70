//! Builds QEMU's plugin, so that it can be embedded.

fn main() -> Result<(), artifact::BuildError> {
    artifact::Build::cdylib("schedrig-tcg-plugin").embed("SCHEDRIG_TCG_PLUGIN")
}
