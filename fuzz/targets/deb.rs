//! Any file as a Debian package.
#![no_main]

use kimage::Compression;
use kimage::testing::pack;
use kstore::deb::{Limits, read_members_within};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;

const WANTED: [&str; 2] = ["boot/vmlinuz", "boot/config"];

const LIMITS: Limits = Limits {
    member_bytes: 1 << 20,
    unpacked_bytes: 4 << 20,
    window_kib: 8 << 10,
};

fuzz_target!(init: plant(seeds()), |deb: &[u8]| {
    let Ok(members) = read_members_within(deb, &WANTED, &LIMITS) else { return };
    for (path, bytes) in members {
        assert!(WANTED.contains(&path.as_str()));
        assert!(bytes.len() as u64 <= LIMITS.member_bytes);
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let data = data_tar();
    let package = |name: &str, data: &[u8]| {
        let mut deb = b"!<arch>\n".to_vec();
        member(&mut deb, "debian-binary", b"2.0\n");
        member(&mut deb, "control.tar", &[0; 1024]);
        member(&mut deb, name, data);
        deb
    };
    vec![
        package("data.tar", &data),
        package("data.tar.gz", &pack(Compression::Gzip, &data)),
        package("data.tar.xz", &pack(Compression::Xz, &data)),
        package("data.tar.zst", &pack(Compression::Zstd, &data)),
        package("data.tar.lzma", &data),
    ]
}

/// One member of an `ar` archive.
fn member(deb: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    deb.extend(
        format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            100_644,
            bytes.len()
        )
        .bytes(),
    );
    deb.extend(bytes);
    deb.resize(deb.len().next_multiple_of(2), b'\n');
}

fn data_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("./boot/config", b"CONFIG_BPF=y\n".as_slice()),
        ("./boot/vmlinuz", b"MZ and so on"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes)
            .expect("memory does not fail");
    }
    tar.into_inner().expect("memory does not fail")
}
