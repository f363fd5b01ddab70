use super::*;
use crate::testing::deb::{ar, deb, file, gz, raw_member, tar_of, xz, zst};
use proptest::prelude::*;

const VMLINUZ: &str = "boot/vmlinuz-6.12";
const CONFIG: &str = "boot/config-6.12";

fn sample_tar() -> Vec<u8> {
    tar_of(&[
        raw_member(b"./boot/", tar::EntryType::Directory, 0, b""),
        file("./boot/System.map-6.12", &[b's'; 700]),
        file(&format!("./{CONFIG}"), b"CONFIG_SCHED_CLASS_EXT=y\n"),
        file(&format!("./{VMLINUZ}"), &[7; 3000]),
    ])
}

fn packings(tar: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    [
        ("data.tar", tar.to_vec()),
        ("data.tar.xz", xz(tar)),
        ("data.tar.gz", gz(tar)),
        ("data.tar.zst", zst(tar)),
    ]
}

#[test]
fn wanted_members_are_found_whatever_the_compression() {
    for (name, data) in packings(&sample_tar()) {
        let found = read_members(&deb(name, &data), &[VMLINUZ, CONFIG, "absent"]).unwrap();
        assert_eq!(found.len(), 2, "{name}");
        assert_eq!(found[VMLINUZ], [7; 3000], "{name}");
        assert_eq!(found[CONFIG], b"CONFIG_SCHED_CLASS_EXT=y\n", "{name}");
    }
}

#[test]
fn a_package_cut_at_any_length_is_an_error_and_no_panic() {
    for (name, data) in packings(&sample_tar()) {
        let whole = deb(name, &data);
        // The outer archive pads an odd member with one byte that may be missing.
        for length in 0..whole.len() - data.len() % 2 {
            assert!(
                read_members(&whole[..length], &[VMLINUZ]).is_err(),
                "{name} cut at {length} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn data_cut_inside_a_whole_package_never_yields_part_of_a_member() {
    for (name, data) in packings(&sample_tar()) {
        for length in 0..data.len() {
            match read_members(&deb(name, &data[..length]), &[VMLINUZ]) {
                Err(_) => {}
                // A plain tar may end after any member.
                Ok(found) if found.is_empty() => {
                    assert!(name == "data.tar" && length % 512 == 0, "{name} cut at {length}");
                }
                Ok(found) => assert_eq!(found[VMLINUZ], [7; 3000], "{name} cut at {length}"),
            }
        }
    }
}

#[test]
fn names_that_lead_elsewhere_match_nothing() {
    let names = [
        "/boot/vmlinuz-6.12",
        "../boot/vmlinuz-6.12",
        "./../boot/vmlinuz-6.12",
        "./boot/../boot/vmlinuz-6.12",
        "././boot/vmlinuz-6.12",
    ];
    let members: Vec<_> = names.iter().map(|name| file(name, b"evil")).collect();
    assert!(
        read_members(&deb("data.tar", &tar_of(&members)), &[VMLINUZ])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn links_and_devices_under_a_wanted_name_are_passed_over() {
    let name = format!("./{VMLINUZ}");
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Char,
        tar::EntryType::Fifo,
    ] {
        let tar = tar_of(&[raw_member(name.as_bytes(), kind, 0, b""), file(&name, b"real")]);
        assert_eq!(
            read_members(&deb("data.tar", &tar), &[VMLINUZ]).unwrap()[VMLINUZ],
            b"real"
        );
    }
}

#[test]
fn the_first_of_two_members_with_one_path_counts() {
    let tar = tar_of(&[file(VMLINUZ, b"first"), file(VMLINUZ, b"second")]);
    assert_eq!(
        read_members(&deb("data.tar", &tar), &[VMLINUZ, "absent"]).unwrap()[VMLINUZ],
        b"first"
    );
}

#[test]
fn a_bomb_is_given_up_at_the_limit() {
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    let tar = tar_of(&[file("./boot/filler", &vec![0; 8 << 20]), file(VMLINUZ, b"late")]);
    for (name, data) in packings(&tar) {
        let error = read_members_within(&deb(name, &data), &[VMLINUZ], &limits).unwrap_err();
        let DebError::Data { source, .. } = &error else {
            panic!("{name}: {error}")
        };
        assert!(
            source.to_string().contains("more than 1048576 bytes"),
            "{name}: {source}"
        );
    }
}

#[test]
fn a_member_larger_than_allowed_is_refused_before_it_is_read() {
    let limits = Limits {
        member_bytes: 10,
        ..Limits::default()
    };
    let claims_much = tar_of(&[raw_member(
        VMLINUZ.as_bytes(),
        tar::EntryType::Regular,
        1 << 40,
        b"x",
    )]);
    let error = read_members(&deb("data.tar", &claims_much), &[VMLINUZ]).unwrap_err();
    assert!(matches!(error, DebError::MemberTooLarge { .. }), "{error}");
    let error = read_members_within(&deb("data.tar", &sample_tar()), &[CONFIG], &limits).unwrap_err();
    assert!(
        error.to_string().contains("has 25 bytes, more than the 10"),
        "{error}"
    );
}

#[test]
fn an_xz_dictionary_beyond_the_limit_is_refused() {
    let limits = Limits {
        window_kib: 64,
        ..Limits::default()
    };
    let error =
        read_members_within(&deb("data.tar.xz", &xz(&sample_tar())), &[VMLINUZ], &limits).unwrap_err();
    assert!(matches!(error, DebError::Data { .. }), "{error}");
}

#[test]
fn what_is_no_package_is_said_so() {
    let check = |bytes: &[u8], part: &str| {
        let message = read_members(bytes, &[VMLINUZ]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    check(b"", "not a Debian package");
    check(b"MZ a kernel, perhaps", "not a Debian package");
    check(&ar(&[("other", b"2.0\n")]), "format 2");
    check(&ar(&[("debian-binary", b"3.0\n")]), "`3.0`");
    check(&ar(&[("debian-binary", b"2.0\n")]), "no data.tar");
    check(&deb("data.tar.br", b"?"), "data.tar.br");
    check(
        &deb("data.tar.xz", b"not xz at all, by far"),
        "data.tar.xz is damaged",
    );
    check(&deb("data.tar.zst", b"not zstd"), "data.tar.zst is damaged");
}

proptest! {
    #[test]
    fn damaged_packages_never_panic(which in 0..4usize, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (name, data) = packings(&sample_tar()).into_iter().nth(which).unwrap();
        let mut bytes = deb(name, &data);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let limits = Limits { unpacked_bytes: 1 << 20, member_bytes: 1 << 20, window_kib: 16 << 10 };
        let _ = read_members_within(&bytes, &[VMLINUZ, CONFIG], &limits);
    }
}
