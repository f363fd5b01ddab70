//! Which keys are tables and which are lists of tables, said before anything else: the commonest slip in TOML, and one that a
//! reader of types explains in its own words only.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::meaning::Span;

/// What a key must hold.
enum Shape {
    /// `[key]`.
    Table,
    /// `[[key]]`.
    Tables,
}

const TOP: &[(&str, Shape, &str)] = &[
    (
        "machine",
        Shape::Table,
        "write `[machine]`, and below it `topology = \"1n1l4c1t\"`",
    ),
    (
        "scheduler",
        Shape::Table,
        "write `[scheduler]`, and below it `run = \"scx_bpfland\"`",
    ),
    (
        "verdict",
        Shape::Table,
        "write `[verdict]`, and below it `checks = [\"starvation=500ms\"]`",
    ),
    (
        "groups",
        Shape::Tables,
        "write `[[groups]]` for each group, and below it `name = \"a\"`",
    ),
    (
        "steps",
        Shape::Tables,
        "write `[[steps]]` for each step, and below it `run = \"2s\"`",
    ),
];

const WORKERS: &str = "write `workers = [{ work = \"spin\", count = 4 }]`";

/// The first key that has another shape, and how it is written.
pub(super) fn mistake(text: &str) -> Option<(Span, String)> {
    let file = DeTable::parse(text).ok()?;
    let file = file.get_ref();
    for (key, shape, how) in TOP {
        let Some(value) = file.get(*key) else { continue };
        let fits = match shape {
            Shape::Table => value.get_ref().is_table(),
            Shape::Tables => all_tables(value),
        };
        if !fits {
            return Some((
                value.span(),
                format!(
                    "`{key}` is no {}: {how}",
                    match shape {
                        Shape::Table => "table",
                        Shape::Tables => "list of tables",
                    }
                ),
            ));
        }
    }
    let groups = file.get("groups").and_then(|groups| groups.get_ref().as_array());
    for group in groups.into_iter().flat_map(|groups| groups.iter()) {
        let workers = group.get_ref().as_table().and_then(|group| group.get("workers"));
        if let Some(workers) = workers.filter(|workers| !all_tables(workers)) {
            return Some((
                workers.span(),
                format!("`workers` is no list of tables: {WORKERS}"),
            ));
        }
    }
    let machine = file
        .get("machine")
        .and_then(|machine| machine.get_ref().as_table());
    let sysctls = machine.and_then(|machine| machine.get("sysctl")?.get_ref().as_table());
    for (name, value) in sysctls.into_iter().flat_map(|sysctls| sysctls.iter()) {
        let how = match value.get_ref() {
            DeValue::String(_) => continue,
            DeValue::Table(_) => "quote its whole name, as in `\"kernel.sched_rt_runtime_us\" = \"-1\"`",
            _ => "write its value as a text, as in `\"-1\"`",
        };
        return Some((name.span(), format!("sysctl `{}`: {how}", name.get_ref())));
    }
    None
}

fn all_tables(value: &Spanned<DeValue<'_>>) -> bool {
    let list = value.get_ref().as_array();
    list.is_some_and(|list| list.iter().all(|item| item.get_ref().is_table()))
}
