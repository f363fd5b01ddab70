//! The enum of all ops, and everything that is read off its table.

/// Makes `Op` from rows of the form `Struct = "name in a record" | "older name"`.
macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident = $name:literal $(| $older:literal)*,)+) => {
        /// Something that is done to a guest between two of its calls.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Op {
            $($(#[$doc])* $op($op),)+
        }

        impl Op {
            /// Every spelling of every op that can be typed, for `--help`.
            pub fn forms() -> impl Iterator<Item = &'static Form> {
                [$(<$op as Operation>::FORMS),+].into_iter().flatten()
            }

            /// The op's name in a record, as in `run_for`.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$op(_) => $name,)+ }
            }

            /// Does the host carry it out without the agent?
            pub fn by_host(&self) -> bool {
                match self { $(Op::$op(_) => <$op as Operation>::BY_HOST,)+ }
            }

            /// Can it be carried out on a machine of that shape?
            ///
            /// # Errors
            /// [`OpError`] with what the machine lacks or which value is out of bounds.
            pub fn check(&self, topology: &crate::Topology) -> Result<(), OpError> {
                match self { $(Op::$op(op) => op.check(topology),)+ }
            }

            /// How much guest time it takes beside what the agent itself needs.
            pub fn takes(&self) -> Takes {
                match self { $(Op::$op(op) => op.takes(),)+ }
            }

            /// What is being done meanwhile, as a clause: `the agent reads /proc/stat`.
            pub fn describe(&self) -> String {
                match self { $(Op::$op(op) => op.describe(),)+ }
            }

            /// The op as a record keeps it: without contents that are too long.
            #[must_use]
            pub fn recorded(&self) -> Op {
                match self { $(Op::$op(op) => Op::$op(op.recorded()),)+ }
            }
        }

        $(
            impl From<$op> for Op {
                fn from(op: $op) -> Op {
                    Op::$op(op)
                }
            }
        )+

        /// The op as it can be typed, where it can be.
        impl std::fmt::Display for Op {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(Op::$op(op) => std::fmt::Display::fmt(op, f),)+ }
            }
        }

        impl std::str::FromStr for Op {
            type Err = OpTextError;

            fn from_str(text: &str) -> Result<Op, OpTextError> {
                let text = text.trim();
                let (keyword, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                let is_it = |form: &&Form| form.keyword() == keyword;
                $(
                    if let Some(form) = <$op as Operation>::FORMS.iter().find(is_it) {
                        let parsed = <$op as Operation>::parse(keyword, arguments.trim_start());
                        return parsed.map(Op::$op).map_err(|reason| OpTextError::Arguments {
                            text: text.to_owned(),
                            usage: form.usage,
                            reason,
                        });
                    }
                )+
                Err(OpTextError::Unknown { keyword: keyword.to_owned() })
            }
        }

        /// In a record `{"do":"run_for","span":…}`, on the wire the row's number and the fields.
        impl serde::Serialize for Op {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    Named::serialize(self, serializer)
                } else {
                    Numbered::serialize(self, serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for Op {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Op, D::Error> {
                if deserializer.is_human_readable() {
                    Named::deserialize(deserializer)
                } else {
                    Numbered::deserialize(deserializer)
                }
            }
        }

        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(remote = "Op", tag = "do")]
        enum Named {
            $(#[serde(rename = $name $(, alias = $older)*)] $op($op),)+
        }

        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(remote = "Op")]
        enum Numbered {
            $($op($op),)+
        }
    };
}

pub(super) use ops;
