//! A place of any type as a tree of values: what a debugger prints.
//!
//! | type | value |
//! |---|---|
//! | struct, union, section | a tree by field names; anonymous members are the outer one's, as in C |
//! | array | a list; of `char`, a text when it is printable |
//! | enumeration | the constant's name; a number where there is none |
//! | pointer | its address; followed as deep as asked for |
//! | `struct bpf_spin_lock`, `bpf_timer`, … | hex: only the kernel knows what is in them |
//!
//! The bytes of a place are read at once, so that they belong together as far as the guest's memory does.

use std::fmt;

use guestmem::GuestVirt;
use record::Value;

use crate::btf::{Btf, Field, Kind, Shape, TypeId};
use crate::{GuestKernel, Object, ReadError};

/// How much of a place is told.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Pointers after pointers that are followed; 0 for none.
    pub follow: usize,
    /// Structs in structs and arrays in arrays.
    pub depth: usize,
    /// Elements of an array.
    pub elements: usize,
    /// Bytes of one place.
    pub bytes: u64,
    /// Values in all.
    pub values: usize,
}

/// What holds a secret of the kernel's in a map's value.
const OPAQUE: [&str; 11] = [
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
    "bpf_dynptr",
];

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            follow: 0,
            depth: 16,
            elements: 64,
            bytes: 1 << 20,
            values: 1 << 16,
        }
    }
}

impl Limits {
    /// The same, with pointers followed.
    #[must_use]
    pub fn following(self, follow: usize) -> Limits {
        Limits { follow, ..self }
    }
}

/// All that is at a place, within limits. What cannot be read says why, in its place in the tree.
pub fn render(object: &Object<'_>, limits: &Limits) -> Value {
    if object.is_bitfield() {
        return number(object.is_signed(), object.bits(), object.number());
    }
    let mut renderer = Renderer {
        kernel: object.kernel(),
        btf: object.btf(),
        limits,
        values: 0,
        trail: Vec::new(),
    };
    renderer.place(object.address(), object.type_id())
}

struct Renderer<'k> {
    kernel: &'k GuestKernel<'k>,
    btf: &'k Btf,
    limits: &'k Limits,
    /// Values so far.
    values: usize,
    /// The places that pointers have led through, the first one too.
    trail: Vec<(GuestVirt, TypeId)>,
}

/// A part of a place whose bytes were read.
#[derive(Clone, Copy)]
struct Part<'b> {
    /// From its first byte to the last one of the place that was read.
    bytes: &'b [u8],
    type_id: TypeId,
    depth: usize,
}

impl Renderer<'_> {
    /// What is at an address.
    fn place(&mut self, at: GuestVirt, type_id: TypeId) -> Value {
        let Some(size) = self.btf.size_of(type_id) else {
            return Value::Missing(format!("{} has no size", self.btf.declaration(type_id)));
        };
        let read = self.kernel.read_chunked(at, size.min(self.limits.bytes) as usize);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => return Value::missing(&error),
        };
        self.trail.push((at, self.btf.resolve(type_id)));
        let value = self.part(Part {
            bytes: &bytes,
            type_id,
            depth: 0,
        });
        self.trail.pop();
        value
    }

    fn part(&mut self, part: Part<'_>) -> Value {
        if self.values >= self.limits.values {
            return self.too_many();
        }
        if part.depth > self.limits.depth {
            return self.too_deep();
        }
        self.values += 1;
        let id = self.btf.resolve(part.type_id);
        match self.btf.kind(id) {
            Kind::Struct if OPAQUE.contains(&self.btf.name(id)) => self.opaque(part),
            Kind::Struct | Kind::Union => Value::Tree(self.members(part)),
            Kind::Datasec => self.section(part, id),
            Kind::Array => self.array(part),
            Kind::Ptr => self.pointer(part),
            Kind::Enum | Kind::Enum64 | Kind::Int => self.scalar(part, None),
            Kind::Float => self.float(part),
            _ => Value::Missing(format!("{} has no value", self.btf.declaration(part.type_id))),
        }
    }

    fn members(&mut self, part: Part<'_>) -> Vec<(record::Name, Value)> {
        let btf = self.btf;
        let mut entries = Vec::new();
        for member in btf.members(part.type_id) {
            if self.values >= self.limits.values {
                entries.push(("…".into(), self.too_many()));
                break;
            }
            let inner = Part {
                bytes: tail(part.bytes, member.offset_bits / 8),
                type_id: member.type_id,
                depth: part.depth + 1,
            };
            let anonymous = member.name.is_empty();
            if anonymous && btf.kind(btf.resolve(member.type_id)).is_structure() {
                self.values += 1;
                if inner.depth <= self.limits.depth {
                    entries.extend(self.members(inner));
                } else {
                    entries.push(("…".into(), self.too_deep()));
                }
            } else if !anonymous {
                let value = match member.bitfield {
                    Some(len) => self.scalar(inner, Some((member.offset_bits % 8, len))),
                    None => self.part(inner),
                };
                entries.push((member.name.to_owned().into(), value));
            }
        }
        entries
    }

    fn section(&mut self, part: Part<'_>, id: TypeId) -> Value {
        let btf = self.btf;
        Value::tree(btf.section_vars(id).map(|var| {
            let value = self.part(Part {
                bytes: tail(part.bytes, var.offset.into()),
                type_id: var.type_id,
                depth: part.depth + 1,
            });
            (var.name.to_owned(), value)
        }))
    }

    fn array(&mut self, part: Part<'_>) -> Value {
        let Some((of, len)) = self.btf.array(part.type_id) else {
            return Value::Missing("no array".to_owned());
        };
        let len = len as usize;
        let Some(size) = self.btf.size_of(of) else {
            return Value::Missing(format!("{} has no size", self.btf.declaration(of)));
        };
        if len == 0 {
            return Value::Missing("a flexible array, whose length its type does not tell".to_owned());
        }
        if self.is_char(of)
            && let Some(text) = part.bytes.get(..len).and_then(printable)
        {
            return Value::Text(text);
        }
        let shown = len.min(self.limits.elements);
        let mut values: Vec<Value> = (0..shown as u64)
            .map(|index| {
                self.part(Part {
                    bytes: tail(part.bytes, size.saturating_mul(index)),
                    type_id: of,
                    depth: part.depth + 1,
                })
            })
            .collect();
        if shown < len {
            values.push(left_out(format!("{} more elements", len - shown)));
        }
        Value::List(values)
    }

    fn pointer(&mut self, part: Part<'_>) -> Value {
        let Some(to) = word(part.bytes) else {
            return self.beyond();
        };
        let pointee = self.btf.pointee(part.type_id).unwrap_or(TypeId::VOID);
        let target = self.btf.resolve(pointee);
        let leads = self.btf.size_of(target).is_some_and(|size| size > 0);
        if to == 0 || !leads || self.trail.len() > self.limits.follow {
            return Value::Hex(to);
        }
        let at = GuestVirt(to);
        let value = if self.trail.contains(&(at, target)) {
            left_out("a place that led here")
        } else if self.is_char(target) {
            self.string(at)
        } else {
            self.place(at, target)
        };
        Value::tree([("address", Value::Hex(to)), ("to", value)])
    }

    fn string(&self, at: GuestVirt) -> Value {
        const MOST: usize = 256;
        let text = self
            .kernel
            .read_cstr(at, MOST)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.into()
    }

    /// An integer or enumeration; of a bitfield, from its first bit in the first byte, so many bits.
    fn scalar(&self, part: Part<'_>, bitfield: Option<(u64, u8)>) -> Value {
        let (btf, id) = (self.btf, self.btf.resolve(part.type_id));
        let size = btf.size_of(id).unwrap_or(0);
        let shape = btf.shape(id);
        let field = Field {
            offset_bits: bitfield.map_or(0, |(shift, _)| shift),
            type_id: id,
            bitfield: bitfield.map(|(_, len)| len),
            size: Some(size),
            shape,
        };
        let Some(bytes) = part.bytes.get(..field.bytes().end as usize) else {
            return self.beyond();
        };
        let Some(bits) = field.value(bytes) else {
            return Value::Text(hex(bytes));
        };
        let int = btf.int(id);
        if int.is_some_and(|int| int.is_bool) && bits <= 1 {
            return Value::Bool(bits == 1);
        }
        let signed = matches!(shape, Shape::Number { signed: true, .. });
        let len = field.bitfield.map_or(8 * size, u64::from);
        let unused = 64u64.saturating_sub(len).min(63) as u32;
        let value = if signed {
            (bits << unused).cast_signed() >> unused
        } else {
            bits.cast_signed()
        };
        match btf.enum_name(id, value) {
            Some(name) => Value::Text(name.to_owned()),
            None if signed => Value::Int(value),
            None => Value::Unsigned(bits),
        }
    }

    fn float(&self, part: Part<'_>) -> Value {
        let size = self.btf.size_of(part.type_id).unwrap_or(0) as usize;
        match (size, part.bytes.get(..size)) {
            (_, None) => self.beyond(),
            (4, Some(bytes)) => {
                let bytes = bytes.try_into().unwrap_or_default();
                Value::Text(f32::from_le_bytes(bytes).to_string())
            }
            (8, Some(bytes)) => {
                let bytes = bytes.try_into().unwrap_or_default();
                Value::Text(f64::from_le_bytes(bytes).to_string())
            }
            (_, Some(bytes)) => Value::Text(hex(bytes)),
        }
    }

    fn opaque(&self, part: Part<'_>) -> Value {
        let size = self.btf.size_of(part.type_id).unwrap_or(0) as usize;
        part.bytes
            .get(..size)
            .map_or_else(|| self.beyond(), |bytes| Value::Text(hex(bytes)))
    }

    fn is_char(&self, id: TypeId) -> bool {
        let id = self.btf.resolve(id);
        self.btf.name(id) == "char" && self.btf.size_of(id) == Some(1)
    }

    fn too_many(&self) -> Value {
        left_out(format!("more than {} values", self.limits.values))
    }

    fn too_deep(&self) -> Value {
        left_out(format!("deeper than {} levels", self.limits.depth))
    }

    fn beyond(&self) -> Value {
        Value::Missing(format!("truncated after {} bytes", self.limits.bytes))
    }
}

fn number(signed: bool, bits: Result<u64, ReadError>, number: Result<i64, ReadError>) -> Value {
    if signed { number.into() } else { bits.into() }
}

fn left_out(what: impl fmt::Display) -> Value {
    Value::Missing(format!("left out: {what}"))
}

fn tail(bytes: &[u8], from: u64) -> &[u8] {
    usize::try_from(from)
        .ok()
        .and_then(|from| bytes.get(from..))
        .unwrap_or_default()
}

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The text in an array of `char`, up to its NUL; `None` when that is not one.
fn printable(bytes: &[u8]) -> Option<String> {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(end);
    let text = str::from_utf8(text).ok()?;
    let fit = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    // Text leaves an older text behind it at most; an array that begins with zero is no text unless all of it is.
    (fit && (end > 0 || rest.iter().all(|byte| *byte == 0))).then(|| text.to_owned())
}

/// So many bytes. A few are read where the kernel remembers translations.
pub(crate) fn bytes(kernel: &GuestKernel<'_>, at: GuestVirt, len: u64) -> Result<Vec<u8>, ReadError> {
    const FEW: u64 = 4096;
    if len > FEW {
        return kernel.read_chunked(at, len as usize);
    }
    let mut bytes = vec![0; len as usize];
    kernel.read(at, &mut bytes)?;
    Ok(bytes)
}

/// Bytes in hex, as they lie.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeGuest, FakeKernel, UNMAPPED};

    const TYPES: &str = "
        enum color { RED, BLUE = 7 };
        struct bpf_spin_lock { u32 val; };
        struct pair { u8 low; s64 high; };
        struct thing { char name[8]; u32 a : 3; s32 b : 5; enum color color; bool on; struct pair pairs[2];
            u16 many[100]; struct thing *next; void *opaque; char *text; struct bpf_spin_lock lock;
            union { u64 whole; u32 half; }; u8 grid[2][2]; };";

    fn made(make: impl FnOnce(&mut FakeKernel, GuestVirt)) -> FakeGuest {
        let mut kernel = FakeKernel::new(1, TYPES);
        let thing = kernel.variable("one", "thing");
        make(&mut kernel, thing);
        kernel.built()
    }

    fn shown(guest: &FakeGuest, limits: &Limits) -> Value {
        let kernel = guest.kernel();
        render(&kernel.variable("one", "thing").unwrap(), limits)
    }

    fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
        value.get(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn every_kind_of_field_is_told_as_c_means_it() {
        let guest = made(|kernel, thing| {
            kernel.set_text(thing, "thing", "name", "first");
            kernel.set(thing, "thing", "a", 5);
            kernel.set(thing, "thing", "b", -3i64 as u64);
            kernel.set(thing, "thing", "color", 7);
            kernel.set(thing, "thing", "on", 1);
            kernel.set(thing, "thing", "pairs[1].high", -5i64 as u64);
            kernel.set(thing, "thing", "opaque", 0x1234);
            kernel.set(thing, "thing", "lock.val", 1);
            kernel.set(thing, "thing", "whole", 1 << 32 | 9);
            kernel.set(thing, "thing", "grid[1][1]", 6);
        });
        let value = shown(&guest, &Limits::default());
        assert_eq!(at(&value, "name"), &Value::from("first"));
        assert_eq!(at(&value, "a"), &Value::Unsigned(5));
        assert_eq!(at(&value, "b"), &Value::Int(-3));
        assert_eq!(at(&value, "color"), &Value::from("BLUE"));
        assert_eq!(at(&value, "on"), &Value::Bool(true));
        assert_eq!(at(&value, "pairs[1].high"), &Value::Int(-5));
        assert_eq!(at(&value, "next"), &Value::Hex(0));
        assert_eq!(at(&value, "opaque"), &Value::Hex(0x1234));
        assert_eq!(at(&value, "lock"), &Value::from("01 00 00 00"));
        assert_eq!(at(&value, "half"), &Value::Int(9));
        assert_eq!(at(&value, "whole"), &Value::Unsigned(1 << 32 | 9));
        assert_eq!(at(&value, "grid[1][1]"), &Value::Unsigned(6));
        assert_eq!(
            at(&value, "many[64]"),
            &Value::Missing("left out: 36 more elements".to_owned())
        );
    }

    #[test]
    fn characters_that_are_no_text_stay_numbers() {
        let guest = made(|kernel, thing| kernel.set_text(thing, "thing", "name", "\0\x01\x02"));
        assert_eq!(at(&shown(&guest, &Limits::default()), "name[1]"), &Value::Int(1));
        let guest = made(|_, _| {});
        assert_eq!(at(&shown(&guest, &Limits::default()), "name"), &Value::from(""));
    }

    #[test]
    fn a_value_that_no_constant_has_stays_a_number() {
        let guest = made(|kernel, thing| {
            kernel.set(thing, "thing", "color", 3);
            kernel.set(thing, "thing", "on", 2);
        });
        let value = shown(&guest, &Limits::default());
        assert_eq!(at(&value, "color"), &Value::Unsigned(3));
        assert_eq!(at(&value, "on"), &Value::Unsigned(2));
    }

    #[test]
    fn pointers_are_followed_as_deep_as_asked_for() {
        let guest = made(|kernel, thing| {
            let (second, third) = (kernel.alloc("thing"), kernel.alloc("thing"));
            kernel.set(thing, "thing", "next", second.0);
            kernel.set(second, "thing", "next", third.0);
            kernel.set_text(second, "thing", "name", "second");
            let text = kernel.string("words");
            kernel.set(thing, "thing", "text", text.0);
        });
        let value = shown(&guest, &Limits::default().following(1));
        assert_eq!(at(&value, "next.to.name"), &Value::from("second"));
        assert!(matches!(at(&value, "next.to.next"), Value::Hex(_)));
        assert_eq!(at(&value, "text.to"), &Value::from("words"));
    }

    #[test]
    fn pointers_in_a_circle_end_where_it_closes() {
        let guest = made(|kernel, thing| {
            let second = kernel.alloc("thing");
            kernel.set(thing, "thing", "next", second.0);
            kernel.set(second, "thing", "next", thing.0);
        });
        let value = shown(&guest, &Limits::default().following(1000));
        assert!(matches!(at(&value, "next.to.next.to"), Value::Missing(_)));
    }

    #[test]
    fn a_pointer_to_nowhere_says_so_and_the_rest_is_told() {
        let guest = made(|kernel, thing| {
            kernel.set(thing, "thing", "next", UNMAPPED.0);
            kernel.set(thing, "thing", "whole", 3);
        });
        let value = shown(&guest, &Limits::default().following(3));
        assert!(matches!(at(&value, "next.to"), Value::Missing(_)));
        assert_eq!(at(&value, "whole"), &Value::Unsigned(3));
    }

    #[test]
    fn what_is_beyond_a_limit_says_which() {
        let guest = made(|_, _| {});
        let limits = Limits {
            bytes: 20,
            ..Limits::default()
        };
        let value = shown(&guest, &limits);
        assert_eq!(at(&value, "a"), &Value::Unsigned(0));
        assert!(matches!(at(&value, "whole"), Value::Missing(_)));
        let limits = Limits {
            values: 3,
            ..Limits::default()
        };
        let few = shown(&guest, &limits);
        let last = few.leaves().pop().unwrap();
        assert_eq!(last.1, &Value::Missing("left out: more than 3 values".to_owned()));
        let limits = Limits {
            depth: 1,
            ..Limits::default()
        };
        assert!(matches!(
            at(&shown(&guest, &limits), "pairs[0]"),
            Value::Missing(_)
        ));
    }
}
