//! Builds the guest's agent and embeds it.

fn main() -> Result<(), artifact::BuildError> {
    artifact::Build::static_binary("schedrig-guest").embed("SCHEDRIG_GUEST")
}
