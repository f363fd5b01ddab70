//! Types as C spells them.

use super::kinds::Kind;
use super::types::{Btf, TypeId};

/// Steps for one declaration, and bytes of it; beyond, it goes in circles and ends in "…".
const MAX_STEPS: usize = 128;
const MAX_LEN: usize = 1024;

impl Btf {
    /// The type as C spells it: `struct task_struct *`, `unsigned int[4]`, `int (*)(struct rq *, int)`.
    pub fn declaration(&self, id: TypeId) -> String {
        self.declare(id, "")
    }

    /// The declaration of a variable or member of this type and name: `unsigned int cpus[4]`.
    pub fn declare(&self, id: TypeId, name: &str) -> String {
        let mut steps = MAX_STEPS;
        let kind = self.kind(id);
        match kind {
            Kind::Func if name.is_empty() => self.spell(id, self.name(id).to_owned(), &mut steps),
            _ => self.spell(id, name.to_owned(), &mut steps),
        }
    }

    /// From the inside out, as C reads: `inner` is what has been said about the name so far.
    fn spell(&self, id: TypeId, inner: String, steps: &mut usize) -> String {
        let (mut id, mut inner) = (id, inner);
        // Qualifiers that were met since the last pointer, array or function.
        let mut qualifiers = String::new();
        loop {
            let left = steps
                .checked_sub(1)
                .filter(|_| inner.len() + qualifiers.len() < MAX_LEN);
            let Some(left) = left else {
                return join("…", &inner);
            };
            *steps = left;
            let Some(record) = self.record(id) else {
                return join(&format!("{qualifiers}void"), &inner);
            };
            let target = record.target().map(TypeId);
            match record.kind {
                Kind::Const | Kind::Volatile | Kind::Restrict => {
                    qualifiers += match record.kind {
                        Kind::Const => "const ",
                        Kind::Volatile => "volatile ",
                        _ => "restrict ",
                    };
                }
                Kind::Ptr => {
                    inner = format!("*{}", join(qualifiers.trim_end(), &inner));
                    qualifiers.clear();
                }
                Kind::Array => {
                    inner = parenthesise(inner);
                    let len = record.extra(2);
                    inner += &if len == 0 {
                        "[]".to_owned()
                    } else {
                        format!("[{len}]")
                    };
                    id = TypeId(record.extra(0));
                    continue;
                }
                Kind::FuncProto => {
                    inner = parenthesise(inner);
                    inner += &self.parameters(id, steps);
                    qualifiers.clear();
                }
                Kind::TypeTag | Kind::Func | Kind::Var | Kind::DeclTag => {}
                kind => {
                    let keyword = match kind {
                        Kind::Struct => "struct ",
                        Kind::Union => "union ",
                        Kind::Enum | Kind::Enum64 => "enum ",
                        Kind::Fwd if record.flag => "union ",
                        Kind::Fwd => "struct ",
                        Kind::Datasec => "section ",
                        _ => "",
                    };
                    let name = match self.string(record.name) {
                        "" => "{…}",
                        name => name,
                    };
                    return join(&format!("{qualifiers}{keyword}{name}"), &inner);
                }
            }
            id = target.unwrap_or(TypeId::VOID);
        }
    }

    fn parameters(&self, id: TypeId, steps: &mut usize) -> String {
        let Some(prototype) = self.prototype(id) else {
            return "()".to_owned();
        };
        let mut text = "(".to_owned();
        for (index, (name, to)) in prototype.params.iter().enumerate() {
            if index > 0 {
                text += ", ";
            }
            if text.len() > MAX_LEN || *steps == 0 {
                text += "…";
                break;
            }
            text += &self.spell(*to, (*name).to_owned(), steps);
        }
        match (prototype.variadic, prototype.params.is_empty()) {
            (true, true) => text += "...",
            (true, false) => text += ", ...",
            (false, true) => text += "void",
            (false, false) => {}
        }
        text + ")"
    }
}

/// Behind a `*`, `[` and `(` would bind tighter.
fn parenthesise(inner: String) -> String {
    if inner.starts_with('*') {
        format!("({inner})")
    } else {
        inner
    }
}

/// With a space between, unless there is nothing or the brackets of an array.
fn join(left: &str, right: &str) -> String {
    if left.is_empty() || right.is_empty() || right.starts_with('[') {
        format!("{left}{right}")
    } else {
        format!("{left} {right}")
    }
}
