//! Scenarios that come with the rig, and the file to begin from. Adding one: its file here, and a row.

/// A scenario that comes with the rig.
#[derive(Debug, Clone, Copy)]
pub struct Canned {
    /// Its name, which stands for its file on the command line.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

/// All of them.
pub const CANNED: &[Canned] = &[
    Canned {
        name: "hotplug",
        text: include_str!("hotplug.rig.toml"),
    },
    Canned {
        name: "quota",
        text: include_str!("quota.rig.toml"),
    },
    Canned {
        name: "shares",
        text: include_str!("shares.rig.toml"),
    },
    Canned {
        name: "wakeups",
        text: include_str!("wakeups.rig.toml"),
    },
];

/// A file to begin from, with each thing that can be said explained in it.
pub const TEMPLATE: &str = include_str!("template.rig.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_scenario_that_says_what_it_is_for() {
        for canned in CANNED {
            let scenario = crate::parse(canned.text, canned.name, None)
                .unwrap_or_else(|error| panic!("{}: {error}", canned.name));
            assert_eq!(scenario.name, canned.name);
            assert!(
                scenario.about.is_some_and(|about| about.len() < 90),
                "{}",
                canned.name
            );
        }
        crate::parse(TEMPLATE, "template", None).unwrap();
    }
}
