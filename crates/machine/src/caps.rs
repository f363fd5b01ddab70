//! What a backend can do, as a value, and whether that is enough for a run.

use std::fmt;

/// Which backend executes the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendKind {
    /// QEMU's translator, one thread, instruction-counted time: deterministic.
    Tcg,
    /// Hardware virtualisation: real speed, not deterministic.
    Kvm,
    /// A scripted machine, for tests of the crates above.
    Fake,
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackendKind::Tcg => "tcg",
            BackendKind::Kvm => "kvm",
            BackendKind::Fake => "fake",
        })
    }
}

/// The optional abilities of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Which backend this is.
    pub backend: BackendKind,
    /// The same inputs give the same execution, bit for bit.
    pub deterministic: bool,
    /// How many hooks can be set at a time; `None` = no limit.
    pub max_hooks: Option<usize>,
    /// Hooks can be set after the first instruction, too: where a function begins.
    pub late_hooks: bool,
    /// How many watches can be set at a time; `None` = no limit.
    pub max_watches: Option<usize>,
    /// A machine that is frozen in a call can be saved.
    pub saves: bool,
    /// A machine that stands still can be duplicated, on hosts that allow it.
    pub duplicates: bool,
}

/// One of a backend's abilities, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// This many hooks at a time.
    Hooks(usize),
    /// Hooks that are set after the guest's first instruction.
    LateHooks,
    /// This many watches at a time.
    Watches(usize),
    /// Saved machines.
    Saves,
    /// Duplicates of a machine.
    Duplicates,
    /// The same execution each time.
    Determinism,
}

/// A part of a run, and the ability that it cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// The part, in the user's words: an option of the command line, or a method.
    pub of: &'static str,
    /// The ability.
    pub ability: Ability,
    /// What to do where a backend lacks it: the end of the error's message.
    pub otherwise: &'static str,
}

/// A backend lacks an ability that a run requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{of} needs {needed}, and the backend `{backend}` has {offered}; {otherwise}")]
pub struct LacksAbility {
    /// The part of the run.
    pub of: &'static str,
    /// The ability; with a number, the total of all parts up to this one.
    pub needed: Ability,
    /// The backend.
    pub backend: BackendKind,
    /// How much of the ability the backend has.
    pub offered: Offered,
    /// What to do.
    pub otherwise: &'static str,
}

/// How much of an ability a backend has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Nothing of it.
    Nothing,
    /// This many.
    AtMost(usize),
}

impl Caps {
    /// Whether all requirements can be met at the same time.
    ///
    /// # Errors
    /// [`LacksAbility`] for the first requirement that cannot.
    pub fn require(&self, requirements: &[Requirement]) -> Result<(), LacksAbility> {
        let (mut hooks, mut watches) = (0, 0);
        for Requirement {
            of,
            ability,
            otherwise,
        } in requirements
        {
            let (needed, limit) = match ability {
                Ability::Hooks(count) => {
                    hooks += count;
                    (Ability::Hooks(hooks), self.max_hooks.filter(|max| hooks > *max))
                }
                Ability::Watches(count) => {
                    watches += count;
                    (
                        Ability::Watches(watches),
                        self.max_watches.filter(|max| watches > *max),
                    )
                }
                Ability::LateHooks => (*ability, (!self.late_hooks).then_some(0)),
                Ability::Saves => (*ability, (!self.saves).then_some(0)),
                Ability::Duplicates => (*ability, (!self.duplicates).then_some(0)),
                Ability::Determinism => (*ability, (!self.deterministic).then_some(0)),
            };
            if let Some(max) = limit {
                return Err(LacksAbility {
                    of,
                    needed,
                    backend: self.backend,
                    offered: if max == 0 {
                        Offered::Nothing
                    } else {
                        Offered::AtMost(max)
                    },
                    otherwise,
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ability::Hooks(1) => f.write_str("a hook"),
            Ability::Hooks(count) => write!(f, "{count} hooks"),
            Ability::LateHooks => f.write_str("hooks that are set while the guest runs"),
            Ability::Watches(1) => f.write_str("a watch"),
            Ability::Watches(count) => write!(f, "{count} watches"),
            Ability::Saves => f.write_str("saved machines"),
            Ability::Duplicates => f.write_str("duplicates of a machine"),
            Ability::Determinism => f.write_str("a deterministic execution"),
        }
    }
}

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offered::Nothing => f.write_str("none"),
            Offered::AtMost(max) => write!(f, "at most {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Caps = Caps {
        backend: BackendKind::Fake,
        deterministic: true,
        max_hooks: None,
        late_hooks: true,
        max_watches: None,
        saves: true,
        duplicates: true,
    };

    fn require(caps: Caps, abilities: &[Ability]) -> Result<(), String> {
        let requirements: Vec<_> = abilities
            .iter()
            .map(|ability| Requirement {
                of: "--this",
                ability: *ability,
                otherwise: "do that",
            })
            .collect();
        caps.require(&requirements).map_err(|error| error.to_string())
    }

    #[test]
    fn every_ability_that_is_lacking_is_an_error_with_a_next_step() {
        use Ability::{Determinism, Duplicates, Hooks, LateHooks, Saves, Watches};
        let check = |caps: Caps, ability: Ability, expect: &str| {
            assert_eq!(require(ALL, &[ability]), Ok(()), "{ability}");
            let error = require(caps, &[ability]).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
            assert!(error.ends_with("; do that"), "{error}");
        };
        let hooks = |max| Caps {
            max_hooks: Some(max),
            ..ALL
        };
        let watches = |max| Caps {
            max_watches: Some(max),
            ..ALL
        };
        check(
            hooks(0),
            Hooks(1),
            "--this needs a hook, and the backend `fake` has none",
        );
        check(
            hooks(4),
            Hooks(5),
            "--this needs 5 hooks, and the backend `fake` has at most 4",
        );
        check(
            watches(0),
            Watches(1),
            "--this needs a watch, and the backend `fake` has none",
        );
        check(
            watches(3),
            Watches(4),
            "--this needs 4 watches, and the backend `fake` has at most 3",
        );
        let caps = Caps {
            late_hooks: false,
            ..ALL
        };
        check(
            caps,
            LateHooks,
            "--this needs hooks that are set while the guest runs, and",
        );
        check(
            Caps { saves: false, ..ALL },
            Saves,
            "--this needs saved machines, and",
        );
        let caps = Caps {
            duplicates: false,
            ..ALL
        };
        check(caps, Duplicates, "--this needs duplicates of a machine, and");
        let caps = Caps {
            deterministic: false,
            ..ALL
        };
        check(caps, Determinism, "--this needs a deterministic execution, and");
    }

    #[test]
    fn hooks_and_watches_of_all_requirements_are_added_up() {
        use Ability::{Hooks, Watches};
        let caps = Caps {
            max_hooks: Some(2),
            max_watches: Some(1),
            ..ALL
        };
        assert_eq!(require(caps, &[Hooks(1), Watches(1), Hooks(1)]), Ok(()));
        let error = require(caps, &[Hooks(1), Watches(1), Hooks(2)]).unwrap_err();
        assert!(
            error.contains("3 hooks") && error.contains("at most 2"),
            "{error}"
        );
        assert!(require(caps, &[Watches(1), Watches(1)]).is_err());
    }
}
