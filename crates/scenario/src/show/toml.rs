//! As a file.

use std::fmt::Write as _;

use record::Attach;
use spec::{SchedulerSpec, Weight};

use crate::{Group, Scenario, Step};

/// The file that means this scenario: [`crate::parse`] gives the same again.
pub fn toml(scenario: &Scenario) -> String {
    let mut out = String::new();
    let Scenario {
        name,
        about,
        machine,
        scheduler,
        groups,
        steps,
        verdicts,
    } = scenario;
    line(&mut out, "name", &text(name));
    option(&mut out, "about", about.as_deref().map(text));

    out += "\n[machine]\n";
    line(&mut out, "topology", &text(machine.topology));
    option(&mut out, "memory", machine.memory_mib);
    option(&mut out, "kernel", machine.kernel.as_ref().map(text));
    if !machine.kernel_args.is_empty() {
        line(&mut out, "kernel_args", &text(&machine.kernel_args));
    }
    option(&mut out, "shift", machine.shift);
    if !machine.sysctls.is_empty() {
        let entries = machine.sysctls.iter();
        let entries = entries.map(|(name, value)| format!("{} = {}", text(name), text(value)));
        line(&mut out, "sysctl", &format!("{{ {} }}", joined(entries)));
    }

    if scheduler.program != SchedulerSpec::Eevdf || scheduler.attach != Attach::Once {
        out += "\n[scheduler]\n";
        line(&mut out, "run", &text(&scheduler.program));
        if scheduler.attach != Attach::Once {
            line(&mut out, "attach", &text(scheduler.attach));
        }
    } else if scheduler.attach_within.is_some() {
        out += "\n[scheduler]\n";
    }
    option(
        &mut out,
        "attach_within",
        scheduler.attach_within.map(|within| text(within.typed())),
    );

    groups.iter().for_each(|group| self::group(&mut out, group));
    steps.iter().for_each(|step| self::step(&mut out, step));
    if !verdicts.checks.is_empty() || !verdicts.without.is_empty() {
        out += "\n[verdict]\n";
        list(
            &mut out,
            "checks",
            verdicts.checks.iter().map(|check| text(check::text(check))),
        );
        list(&mut out, "without", verdicts.without.iter().map(text));
    }
    out
}

fn group(out: &mut String, group: &Group) {
    *out += "\n[[groups]]\n";
    line(out, "name", &text(&group.cgroup.name));
    option(out, "cpus", group.cgroup.cpus.as_ref().map(text));
    if group.cgroup.weight != Weight::DEFAULT {
        line(out, "weight", &group.cgroup.weight.get());
    }
    let workers = group.workers.iter().map(|workers| {
        let nice = match workers.nice {
            0 => String::new(),
            nice => format!(", nice = {nice}"),
        };
        format!(
            "{{ work = {}, count = {}{nice} }}",
            text(&workers.work),
            workers.count
        )
    });
    list(out, "workers", workers);
}

fn step(out: &mut String, step: &Step) {
    *out += "\n[[steps]]\n";
    option(out, "name", step.name.as_deref().map(text));
    if step.attach {
        line(out, "attach", &true);
    }
    list(out, "do", step.ops.iter().map(text));
    option(out, "run", step.run.map(|run| text(run.typed())));
    if step.times != 1 {
        line(out, "times", &step.times);
    }
}

fn line(out: &mut String, key: &str, value: &dyn std::fmt::Display) {
    let _ = writeln!(out, "{key} = {value}");
}

fn option(out: &mut String, key: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        line(out, key, &value);
    }
}

/// A list, over several lines where it has several items.
fn list(out: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    match &items[..] {
        [] => {}
        [one] => line(out, key, &format!("[{one}]")),
        _ => line(out, key, &format!("[\n    {},\n]", items.join(",\n    "))),
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A TOML string.
fn text(value: impl std::fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
