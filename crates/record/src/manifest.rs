//! Which machine ran, to the last detail that can matter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use spec::Topology;

/// Everything that decides how a machine boots, up to the agent's first call; nothing of what a test does then. Two
/// machines with equal manifests are the same machine, so a saved one is found by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The backend, as in `tcg`.
    pub backend: String,
    /// Name and version of the program or device that executes the guest.
    #[serde(alias = "qemu")]
    pub executor: String,
    /// Whatever else of the backend decides an execution, by name. Empty in records of the format 1.3 and before.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// The kernel's release, `uname -r`.
    pub kernel_release: String,
    /// The kernel's GNU build id in hex.
    pub kernel_build_id: String,
    /// How the kernel is entered: `pvh` or `bzimage`.
    pub entry: String,
    /// SHA-256 of the initial RAM disk: the agent and the kernel's configuration.
    pub initrd_sha256: String,
    /// The kernel's whole command line.
    pub cmdline: String,
    /// The machine's shape.
    pub topology: Topology,
    /// Guest RAM in MiB.
    pub memory_mib: u32,
    /// The seed of the boot, the same for every run.
    pub boot_seed: u64,
}

impl Manifest {
    /// How the two differ: each time the name of a field or fact, its value here, its value there.
    pub fn differences(&self, other: &Manifest) -> Vec<(String, String, String)> {
        macro_rules! compared {
            ($($field:ident: $name:literal),+ $(,)?) => {{
                // Without `..`: a new field must be named here, too.
                let Manifest { facts: _, $($field: _),+ } = self;
                [$(($name.to_owned(), self.$field.to_string(), other.$field.to_string())),+]
            }};
        }
        let fields = compared! {
            backend: "backend",
            executor: "executor",
            kernel_release: "kernel",
            kernel_build_id: "kernel build id",
            entry: "kernel entry",
            initrd_sha256: "agent",
            cmdline: "kernel command line",
            topology: "topology",
            memory_mib: "memory in MiB",
            boot_seed: "boot seed",
        };
        let names: BTreeSet<&String> = self.facts.keys().chain(other.facts.keys()).collect();
        let facts = names.into_iter().map(|name| {
            let value = |manifest: &Manifest| {
                manifest
                    .facts
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| "none".to_owned())
            };
            (name.clone(), value(self), value(other))
        });
        let all = fields.into_iter().chain(facts);
        all.filter(|(_, here, there)| here != there).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Manifest {
            backend: "tcg".into(),
            executor: "QEMU 10.0.2".into(),
            facts: [fact("recipe", "1"), fact("shift", "2")].into(),
            kernel_release: "7.2.13".into(),
            kernel_build_id: "01".into(),
            entry: "pvh".into(),
            initrd_sha256: "bb".into(),
            cmdline: "quiet".into(),
            topology: "1n1l2c1t".parse().unwrap(),
            memory_mib: 512,
            boot_seed: 1,
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let one = manifest();
        assert_eq!(one.differences(&one), []);
        let mut other = Manifest {
            executor: "QEMU 10.1".into(),
            ..one.clone()
        };
        other.facts.insert("shift".to_owned(), "3".to_owned());
        other.facts.remove("recipe");
        let expect = [
            ("executor", "QEMU 10.0.2", "QEMU 10.1"),
            ("recipe", "1", "none"),
            ("shift", "2", "3"),
        ]
        .map(|(name, here, there)| (name.to_owned(), here.to_owned(), there.to_owned()));
        assert_eq!(one.differences(&other), expect);
    }

    /// The key of a saved machine is made from these bytes.
    #[test]
    fn the_json_is_in_the_order_of_the_fields() {
        let json = serde_json::to_string(&manifest()).unwrap();
        let expect = concat!(
            r#"{"backend":"tcg","executor":"QEMU 10.0.2","facts":{"recipe":"1","shift":"2"},"#,
            r#""kernel_release":"7.2.13","kernel_build_id":"01","entry":"pvh","initrd_sha256":"bb","#,
            r#""cmdline":"quiet","topology":"1n1l2c1t","memory_mib":512,"boot_seed":1}"#
        );
        assert_eq!(json, expect);
    }

    #[test]
    fn a_manifest_of_the_format_1_3_is_read_without_its_facts() {
        let json = concat!(
            r#"{"backend":"tcg","qemu":"10.0.2","recipe":1,"plugin_sha256":"aa","#,
            r#""kernel_release":"7.2.13","kernel_build_id":"01","entry":"pvh","initrd_sha256":"bb","#,
            r#""cmdline":"quiet","topology":"1n1l2c1t","memory_mib":512,"shift":2,"boot_seed":1}"#
        );
        let read: Manifest = serde_json::from_str(json).unwrap();
        let expect = Manifest {
            executor: "10.0.2".into(),
            facts: BTreeMap::new(),
            ..manifest()
        };
        assert_eq!(read, expect);
    }
}
