//! Which machine ran, to the last detail that can matter.

use serde::{Deserialize, Serialize};
use spec::Topology;

/// Everything that decides how a machine boots, up to the agent's first call; nothing of what a test does then. Two
/// machines with equal manifests are the same machine, so a saved one is found by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The backend, as in `tcg`.
    pub backend: String,
    /// The version of the program that executes the guest, as it prints it.
    pub qemu: String,
    /// The version of the recipe by which that program is started.
    pub recipe: u32,
    /// SHA-256 of the plugin in it.
    pub plugin_sha256: String,
    /// The kernel's release, `uname -r`.
    pub kernel_release: String,
    /// The kernel's GNU build id in hex.
    pub kernel_build_id: String,
    /// How the kernel is entered: `pvh` or `bzimage`.
    pub entry: String,
    /// SHA-256 of the initial RAM disk: the agent.
    pub initrd_sha256: String,
    /// The kernel's whole command line.
    pub cmdline: String,
    /// The machine's shape.
    pub topology: Topology,
    /// Guest RAM in MiB.
    pub memory_mib: u32,
    /// An instruction takes 2^shift ns of guest time.
    pub shift: u8,
    /// The seed of the boot, the same for every run.
    pub boot_seed: u64,
}

impl Manifest {
    /// In what the other one differs: the field, its value here, its value there.
    pub fn differences(&self, other: &Manifest) -> Vec<(&'static str, String, String)> {
        macro_rules! compared {
            ($($field:ident: $name:literal),+ $(,)?) => {{
                // Without `..`: a new field must be named here, too.
                let Manifest { $($field: _),+ } = self;
                [$(($name, self.$field.to_string(), other.$field.to_string())),+]
            }};
        }
        compared! {
            backend: "backend",
            qemu: "QEMU",
            recipe: "recipe",
            plugin_sha256: "plugin",
            kernel_release: "kernel",
            kernel_build_id: "kernel build id",
            entry: "kernel entry",
            initrd_sha256: "agent",
            cmdline: "kernel command line",
            topology: "topology",
            memory_mib: "memory in MiB",
            shift: "shift",
            boot_seed: "boot seed",
        }
        .into_iter()
        .filter(|(_, here, there)| here != there)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_both_values() {
        let one = Manifest {
            backend: "tcg".into(),
            qemu: "10.0.2".into(),
            recipe: 1,
            plugin_sha256: "aa".into(),
            kernel_release: "7.2.13".into(),
            kernel_build_id: "01".into(),
            entry: "pvh".into(),
            initrd_sha256: "bb".into(),
            cmdline: "quiet".into(),
            topology: "1n1l2c1t".parse().unwrap(),
            memory_mib: 512,
            shift: 2,
            boot_seed: 1,
        };
        assert_eq!(one.differences(&one), []);
        let other = Manifest {
            qemu: "10.1".into(),
            shift: 3,
            ..one.clone()
        };
        let expect = [
            ("QEMU", "10.0.2".to_owned(), "10.1".to_owned()),
            ("shift", "2".to_owned(), "3".to_owned()),
        ];
        assert_eq!(one.differences(&other), expect);
    }
}
