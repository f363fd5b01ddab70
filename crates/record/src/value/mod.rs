//! What was seen in a guest, as a tree: made to be read, compared and searched, by people and by scripts.

mod json;
mod lookup;
mod text;

#[cfg(test)]
mod testing;

use std::borrow::Cow;
use std::error::Error;

pub use lookup::NoSuchValue;

/// A value, or why there is none. Numbers are equal when they are the same number, whichever variant holds them.
#[derive(Debug, Clone)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number that can be above [`i64::MAX`].
    Unsigned(u64),
    /// A span or a point of time, in ns.
    Time(i64),
    /// An address, or an id that is written in hex: a DSQ's.
    Hex(u64),
    /// Words: a name, a cpulist, flags by their names.
    Text(String),
    /// Values of one kind.
    List(Vec<Value>),
    /// Named values, in the order in which they are to be read.
    Tree(Vec<(Name, Value)>),
    /// There is no value, and this is why.
    Missing(String),
}

/// The name of a value in a tree.
pub type Name = Cow<'static, str>;

impl Value {
    /// Named values.
    pub fn tree<N: Into<Name>>(entries: impl IntoIterator<Item = (N, Value)>) -> Value {
        Value::Tree(
            entries
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// Values of one kind.
    pub fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }

    /// A time in ns that may be missing.
    pub fn time<E: Error>(time: Result<u64, E>) -> Value {
        time.map_or_else(|error| Value::missing(&error), |ns| Value::Time(ns.cast_signed()))
    }

    /// An address that may be missing.
    pub fn hex<E: Error>(number: Result<u64, E>) -> Value {
        number.map_or_else(|error| Value::missing(&error), Value::Hex)
    }

    /// No value, and why: the error with all that is behind it.
    pub fn missing(error: &dyn Error) -> Value {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let more = error.to_string();
            // Transparent errors say the same again.
            if !why.ends_with(&more) {
                why = format!("{why}: {more}");
            }
            source = error.source();
        }
        Value::Missing(why)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Int(one), Value::Int(other)) | (Value::Time(one), Value::Time(other)) => one == other,
            (Value::Unsigned(one), Value::Unsigned(other)) | (Value::Hex(one), Value::Hex(other)) => {
                one == other
            }
            (Value::Int(signed), Value::Unsigned(unsigned))
            | (Value::Unsigned(unsigned), Value::Int(signed)) => u64::try_from(*signed) == Ok(*unsigned),
            (Value::Text(one), Value::Text(other)) | (Value::Missing(one), Value::Missing(other)) => {
                one == other
            }
            (Value::List(one), Value::List(other)) => one == other,
            (Value::Tree(one), Value::Tree(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Value {}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value.into())
            }
        })*
    };
}

from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, u64 => Unsigned, String => Text, &str => Text);

impl<T: Into<Value>, E: Error> From<Result<T, E>> for Value {
    fn from(value: Result<T, E>) -> Value {
        value.map_or_else(|error| Value::missing(&error), Into::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value {
        Value::list(values)
    }
}
