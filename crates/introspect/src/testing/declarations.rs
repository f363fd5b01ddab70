//! C declarations to BTF: as much of C as the tests' kernels need.
//!
//! ```text
//!  file   = { ("struct" | "union") NAME "{" { member } "}" ";" | "enum" NAME "{" { NAME [ "=" NUMBER ] "," } "}" ";"
//!           | TYPE NAME ";" }                                      the last one is a variable
//!  member = TYPE { "*" } NAME [ "[" NUMBER "]" ] [ ":" BITS ] { "," … } ";" | "union" "{" { member } "}" ";"
//! ```
//! Members are aligned as C does. A struct can be pointed to before it is declared.

use std::collections::HashMap;

use crate::btf::Kind;
use crate::btf::testing::BtfWriter;

const INTS: [(&str, u32, bool); 10] = [
    ("char", 1, true),
    ("bool", 1, false),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
];

/// The `.BTF` section of these declarations.
pub(super) fn compile(text: &str) -> Vec<u8> {
    let tokens = tokens(text);
    let mut compiler = Compiler {
        tokens,
        at: 0,
        ids: HashMap::new(),
        sizes: HashMap::new(),
        records: Vec::new(),
    };
    compiler.run();
    let mut writer = BtfWriter::new();
    for record in &compiler.records {
        record.write(&mut writer);
    }
    writer.bytes()
}

/// A type whose id is its place in the list, from 1 on.
#[derive(Clone)]
enum Record {
    /// Named, and not declared yet.
    Open(String),
    Int(&'static str, u32, bool),
    Pointer(u32),
    Array(u32, u32),
    Structure(Kind, String, u32, Vec<(String, u32, u32)>),
    Enumeration(String, Vec<(String, u32)>),
    Var(String, u32),
}

impl Record {
    fn write(&self, writer: &mut BtfWriter) {
        match self {
            Record::Open(name) => writer.plain(Kind::Fwd, name, 0),
            // `BTF_INT_BOOL`
            Record::Int("bool", size, _) => writer.int_with("bool", *size, 4 << 24 | 8),
            Record::Int(name, size, signed) => writer.int(name, *size, *signed),
            Record::Pointer(to) => writer.pointer(*to),
            Record::Array(of, len) => writer.array(*of, *len),
            Record::Structure(kind, name, size, members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, to, at)| (name.as_str(), *to, *at))
                    .collect();
                writer.bitfields(*kind, name, *size, &members)
            }
            Record::Enumeration(name, values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|(name, value)| (name.as_str(), *value))
                    .collect();
                writer.enumeration(name, false, &values)
            }
            Record::Var(name, to) => writer.var(name, *to),
        };
    }
}

struct Compiler {
    tokens: Vec<String>,
    at: usize,
    ids: HashMap<String, u32>,
    /// Size and alignment by id.
    sizes: HashMap<u32, (u32, u32)>,
    records: Vec<Record>,
}

impl Compiler {
    fn run(&mut self) {
        for (name, size, signed) in INTS {
            let id = self.push(Record::Int(name, size, signed), (size, size));
            self.ids.insert(name.to_owned(), id);
        }
        while self.at < self.tokens.len() {
            let body = self.tokens.get(self.at + 2).is_some_and(|token| token == "{");
            if !body {
                let of = self.type_name();
                let name = self.next();
                self.push(Record::Var(name, of), (0, 1));
            } else if self.take("enum") {
                self.enumeration();
            } else {
                let kind = self.structure_kind();
                let name = self.next();
                let id = self.named(&name);
                let (size, align, members) = self.members(kind);
                self.sizes.insert(id, (size, align));
                self.records[id as usize - 1] = Record::Structure(kind, name, size, members);
            }
            self.expect(";");
        }
    }

    fn enumeration(&mut self) {
        let name = self.next();
        let id = self.named(&name);
        self.expect("{");
        let (mut values, mut value) = (Vec::new(), 0);
        while !self.take("}") {
            let constant = self.next();
            if self.take("=") {
                value = self.number();
            }
            values.push((constant, value));
            value += 1;
            self.take(",");
        }
        self.sizes.insert(id, (4, 4));
        self.records[id as usize - 1] = Record::Enumeration(name, values);
    }

    fn structure_kind(&mut self) -> Kind {
        match self.next().as_str() {
            "union" => Kind::Union,
            "struct" => Kind::Struct,
            other => panic!("{other} is neither struct nor union"),
        }
    }

    /// Size, alignment and members of a body.
    fn members(&mut self, kind: Kind) -> (u32, u32, Vec<(String, u32, u32)>) {
        self.expect("{");
        // In bits.
        let (mut end, mut most, mut all_align, mut members) = (0, 0, 1, Vec::new());
        let mut place = |end: &mut u32, size: u32, align: u32, bits: u32| {
            let start = match (kind, bits) {
                (Kind::Union, _) => 0,
                (_, 0) => end.next_multiple_of(8 * align),
                (_, bits) if *end / (8 * size) == (*end + bits - 1) / (8 * size) => *end,
                (_, _) => end.next_multiple_of(8 * size),
            };
            *end = start + if bits == 0 { 8 * size } else { bits };
            all_align = align.max(all_align);
            most = most.max(*end);
            start
        };
        while !self.take("}") {
            if self.tokens[self.at + 1] == "{" {
                let kind = self.structure_kind();
                let (size, align, inner) = self.members(kind);
                let id = self.push(Record::Structure(kind, String::new(), size, inner), (size, align));
                let start = place(&mut end, size, align, 0);
                members.push((String::new(), id, start));
                self.expect(";");
                continue;
            }
            let of = self.type_name();
            loop {
                let mut of = of;
                while self.take("*") {
                    of = self.push(Record::Pointer(of), (8, 8));
                }
                let name = self.next();
                while self.take("[") {
                    let len = self.number();
                    let (size, align) = self.sizes[&of];
                    of = self.push(Record::Array(of, len), (size * len, align));
                    self.expect("]");
                }
                let bits = if self.take(":") { self.number() } else { 0 };
                let (size, align) = self.sizes.get(&of).copied().unwrap_or_else(|| {
                    panic!("{name} is of a type that is not declared yet");
                });
                let start = place(&mut end, size, align, bits);
                members.push((name, of, bits << 24 | start));
                if !self.take(",") {
                    break;
                }
            }
            self.expect(";");
        }
        (most.div_ceil(8).next_multiple_of(all_align), all_align, members)
    }

    fn type_name(&mut self) -> u32 {
        let word = self.next();
        match word.as_str() {
            "void" => 0,
            "struct" | "union" | "enum" => {
                let name = self.next();
                self.named(&name)
            }
            int => *self.ids.get(int).unwrap_or_else(|| panic!("no type {int}")),
        }
    }

    fn named(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.records.push(Record::Open(name.to_owned()));
        let id = self.records.len() as u32;
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn push(&mut self, record: Record, size: (u32, u32)) -> u32 {
        self.records.push(record);
        let id = self.records.len() as u32;
        self.sizes.insert(id, size);
        id
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn number(&mut self) -> u32 {
        self.next().parse().unwrap()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|next| next == token);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) {
        assert!(
            self.take(token),
            "{token} expected at {:?}",
            self.tokens.get(self.at)
        );
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}
