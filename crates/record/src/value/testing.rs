//! Values for the tests of their forms.

use proptest::prelude::*;

use super::Value;

pub(super) fn tree(entries: Vec<(&'static str, Value)>) -> Value {
    Value::tree(entries)
}

/// Any value, with names and texts that are likely to be taken for something else.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Unsigned),
        any::<i64>().prop_map(Value::Time),
        any::<u64>().prop_map(Value::Hex),
        texts().prop_map(Value::Text),
        texts().prop_map(Value::Missing),
    ];
    scalar.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((texts(), inner), 0..6).prop_map(Value::tree),
        ]
    })
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}(_ns)?",
        "=?=?(missing|ns|text|_ns|a_ns)?",
        "0x[0-9a-fA-F]{0,17}",
        "[\\[\\].=\"\\\\ 0-9a-b]{0,6}",
        any::<String>(),
    ]
}
