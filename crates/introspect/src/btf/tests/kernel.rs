//! A real kernel's types against what bpftool says of them: set `SCHEDRIG_TEST_KERNEL` to an ELF vmlinux.

use std::path::Path;
use std::process::Command;

use kimage::KernelImage;

use super::super::*;

fn kernel() -> Option<(KernelImage, Btf)> {
    let Some(path) = std::env::var_os("SCHEDRIG_TEST_KERNEL") else {
        eprintln!("skipped: SCHEDRIG_TEST_KERNEL is not set");
        return None;
    };
    let image = KernelImage::read(Path::new(&path)).unwrap();
    let btf = Btf::of_kernel(&image).unwrap();
    Some((image, btf))
}

/// The value behind `key=` in a line of bpftool's.
fn value(line: &str, key: &str) -> Option<u64> {
    let rest = line.split_once(&format!(" {key}="))?.1;
    rest.split([' ', ',']).next()?.parse().ok()
}

/// What stands between the first quotes.
fn quoted(line: &str) -> &str {
    let name = line.split('\'').nth(1).unwrap_or_default();
    if name == "(anon)" { "" } else { name }
}

#[test]
fn bpftool_tells_the_same_of_every_type() {
    let Some((image, btf)) = kernel() else {
        return;
    };
    let raw = std::env::temp_dir().join(format!("schedrig-btf-{}", std::process::id()));
    std::fs::write(&raw, image.btf().unwrap()).unwrap();
    let output = Command::new("bpftool")
        .args(["btf", "dump", "file"])
        .arg(&raw)
        .output();
    std::fs::remove_file(&raw).unwrap();
    let Ok(output) = output else {
        eprintln!("skipped: there is no bpftool");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();

    let (mut types, mut fields) = (0, 0);
    let mut members: Box<dyn Iterator<Item = MemberInfo<'_>>> = Box::new(std::iter::empty());
    let mut constants: Box<dyn Iterator<Item = Enumerator<'_>>> = Box::new(std::iter::empty());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix('[') {
            assert_eq!((members.next(), constants.next()), (None, None), "before {line}");
            let (id, rest) = rest.split_once("] ").unwrap();
            let id = TypeId(id.parse().unwrap());
            let kind = rest.split(' ').next().unwrap();
            assert_eq!(
                format!("{:?}", btf.kind(id)).to_uppercase(),
                kind.replace('_', ""),
                "{line}"
            );
            assert_eq!(btf.name(id), quoted(line), "{line}");
            if let (Some(size), false) = (value(line, "size"), btf.kind(id) == Kind::Array) {
                assert_eq!(btf.size_of(id), Some(size), "{line}");
            }
            if let Some(target) = btf.target(id) {
                let told = value(line, "type_id").or(value(line, "ret_type_id"));
                assert_eq!(told, Some(u64::from(target.0)), "{line}");
            }
            if let Some((of, len)) = btf.array(id).filter(|_| btf.kind(id) == Kind::Array) {
                assert_eq!(value(line, "type_id"), Some(u64::from(of.0)), "{line}");
                assert_eq!(value(line, "nr_elems"), Some(u64::from(len)), "{line}");
            }
            types += 1;
            let own = |kind: Kind| kind == btf.kind(id);
            if own(Kind::Struct) || own(Kind::Union) {
                members = Box::new(btf.members(id));
            }
            if btf.kind(id).is_enum() {
                constants = Box::new(btf.enumerators(id));
            }
        } else if line.contains(" bits_offset=") {
            let member = members.next().expect(line);
            assert_eq!(member.name, quoted(line), "{line}");
            assert_eq!(
                value(line, "type_id"),
                Some(u64::from(member.type_id.0)),
                "{line}"
            );
            assert_eq!(value(line, "bits_offset"), Some(member.offset_bits), "{line}");
            let bits = value(line, "bitfield_size");
            assert_eq!(bits, member.bitfield.map(u64::from), "{line}");
            fields += 1;
        } else if let Some((_, told)) = line.split_once(" val=") {
            let constant = constants.next().expect(line);
            assert_eq!(constant.name, quoted(line), "{line}");
            let told = told.trim_end_matches(['U', 'L']);
            let bits = told
                .parse()
                .unwrap_or_else(|_| told.parse::<i64>().unwrap() as u64);
            assert_eq!(constant.unsigned(), bits, "{line}");
            fields += 1;
        }
    }
    assert!(
        types > 10_000 && fields > 10_000,
        "{types} types, {fields} fields"
    );
    assert_eq!(btf.ids().count(), types);
}

#[test]
fn what_a_scheduler_test_needs_is_found() {
    let Some((_, btf)) = kernel() else {
        return;
    };
    for (structure, path) in [
        ("task_struct", "pid"),
        ("task_struct", "comm[15]"),
        ("task_struct", "se.vruntime"),
        ("task_struct", "scx.dsq_vtime"),
        ("task_struct", "tasks.next"),
        ("rq", "cfs.nr_queued"),
        ("rq", "scx.local_dsq.nr"),
        ("rq", "curr"),
    ] {
        btf.offset_of(structure, path).unwrap();
    }
    assert_eq!(btf.enum_value(None, "SCX_TASK_QUEUED"), Some(1));
    assert!(btf.function("scx_bpf_create_dsq").is_some());
    let curr = btf.field(btf.structure("rq").unwrap(), "curr").unwrap();
    assert_eq!(btf.declaration(curr.type_id), "struct task_struct *");
}
