//! As a test in Rust.

use std::fmt::Write as _;

use record::Attach;
use spec::{Nanos, SchedulerSpec, Weight};

use crate::{Group, Scenario, Step};

/// The test that is this scenario, to be pasted into a test file of the crate `schedrig`.
pub fn rust(scenario: &Scenario) -> String {
    let Scenario {
        name,
        about,
        machine,
        scheduler,
        groups,
        steps,
        verdicts,
    } = scenario;
    let mut arguments = vec![format!("topology = {}", text(machine.topology))];
    if scheduler.program != SchedulerSpec::Eevdf {
        arguments.push(format!("scheduler = {}", text(&scheduler.program)));
    }
    if let Some(kernel) = &machine.kernel {
        arguments.push(format!("kernel = {}", text(kernel)));
    }
    if let Some(mib) = machine.memory_mib {
        arguments.push(format!("memory = {mib}"));
    }
    if scheduler.attach != Attach::Once {
        arguments.push(format!("attach = {}", text(scheduler.attach)));
    }
    if let Some(within) = scheduler.attach_within {
        arguments.push(format!("attach_within = {}", text(within)));
    }

    let mut out = String::from("use schedrig::prelude::*;\n\n");
    if let Some(about) = about {
        let _ = writeln!(out, "/// {}", about.replace(char::is_control, " "));
    }
    let _ = writeln!(out, "#[schedrig::test({})]", arguments.join(", "));
    let _ = writeln!(out, "fn {}(rig: &mut Rig) -> Outcome {{", identifier(name));
    let mut body = String::new();
    if !machine.kernel_args.is_empty() || machine.shift.is_some() {
        body += "// Its kernel arguments and its shift are said by a RunSpec only.\n";
    }
    for (name, value) in &machine.sysctls {
        op(
            &mut body,
            &format!("write {} {value}", crate::model::sysctl_path(name)),
        );
    }
    groups.iter().for_each(|group| self::group(&mut body, group));
    steps.iter().for_each(|step| self::step(&mut body, step));
    for check in &verdicts.checks {
        let _ = writeln!(body, "rig.hold({})?;", text(check::text(check)));
    }
    for name in &verdicts.without {
        let _ = writeln!(body, "rig.without({});", text(name));
    }
    body += "rig.finish()\n";
    for line in body.lines() {
        let _ = writeln!(out, "    {line}");
    }
    out += "}\n";
    out
}

fn group(out: &mut String, group: &Group) {
    let mut builder = format!("rig.cgroup({})", text(&group.cgroup.name));
    if let Some(cpus) = &group.cgroup.cpus {
        let _ = write!(builder, ".cpus({})", text(cpus));
    }
    if group.cgroup.weight != Weight::DEFAULT {
        let _ = write!(builder, ".weight({})", group.cgroup.weight.get());
    }
    let variable = format!("group_{}", identifier(group.cgroup.name.as_str()));
    let bound = if group.workers.is_empty() {
        ""
    } else {
        &format!("let {variable} = ")
    };
    let _ = writeln!(out, "{bound}{builder}.make()?;");
    for workers in &group.workers {
        let nice = match workers.nice {
            0 => String::new(),
            nice => format!(".nice({nice})"),
        };
        let work = format!(
            "Workers::new({}.parse::<Work>()?, {})",
            text(&workers.work),
            workers.count
        );
        let _ = writeln!(out, "rig.spawn(&{variable}, &{work}{nice})?;");
    }
}

fn step(out: &mut String, step: &Step) {
    let mut body = String::new();
    if let Some(name) = &step.name {
        let _ = writeln!(body, "rig.note(\"step\", {});", text(name));
    }
    if step.attach {
        body += "rig.attach()?;\n";
    }
    for said in &step.ops {
        op(&mut body, &said.to_string());
    }
    if let Some(Nanos(nanos)) = step.run {
        let _ = writeln!(body, "rig.run_for(Nanos({nanos}))?; // {}", Nanos(nanos));
    }
    if step.times == 1 {
        *out += &body;
        return;
    }
    let _ = writeln!(out, "for _ in 0..{} {{", step.times);
    for line in body.lines() {
        let _ = writeln!(out, "    {line}");
    }
    *out += "}\n";
}

fn op(out: &mut String, op: &str) {
    let _ = writeln!(out, "rig.apply({}.parse::<schedrig::Op>()?)?;", text(op));
}

/// A name of Rust.
fn identifier(name: &str) -> String {
    let harmless = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(harmless).collect();
    const WORDS: &[&str] = &[
        "_", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
        "false", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "main", "match", "mod", "move",
        "mut", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
        "unsafe", "use", "where", "while", "yield",
    ];
    if WORDS.contains(&name.as_str()) {
        return format!("{name}_scenario");
    }
    match name.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        None => "scenario".to_owned(),
        Some(_) => name,
    }
}

/// A string of Rust.
fn text(value: impl std::fmt::Display) -> String {
    format!("{:?}", value.to_string())
}
