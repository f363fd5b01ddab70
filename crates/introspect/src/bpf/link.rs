//! `struct bpf_link`: what a program is attached to.

use record::Value;

use super::enumerator;
use crate::{Object, ReadError};

/// `struct bpf_link`
#[derive(Debug, Clone, Copy)]
pub struct Link<'b>(Object<'b>);

impl<'b> Link<'b> {
    pub(super) fn new(link: Object<'b>) -> Link<'b> {
        Link(link)
    }

    /// The `struct bpf_link` itself.
    pub fn object(&self) -> Object<'b> {
        self.0
    }

    /// `id`
    pub fn id(&self) -> Result<u64, ReadError> {
        self.0.u64("id")
    }

    /// `type`, by the names of `enum bpf_link_type`.
    pub fn kind(&self) -> Result<String, ReadError> {
        enumerator(self.0.kernel(), "bpf_link_type", self.0.u64("type")?)
    }

    /// `prog->aux->id`; `None` of a `struct_ops` link, which has a map instead of a program.
    pub fn prog_id(&self) -> Result<Option<u64>, ReadError> {
        let prog = self.0.follow_opt("prog")?;
        prog.map(|prog| prog.u64("aux->id")).transpose()
    }

    /// What it is.
    pub fn value(&self) -> Value {
        let prog = match self.prog_id() {
            Ok(Some(id)) => Value::Unsigned(id),
            Ok(None) => Value::from("none"),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("id", Value::from(self.id())),
            ("type", Value::from(self.kind())),
            ("prog", prog),
        ])
    }
}
