//! Damaged files of the store: obtaining still ends in a save.

use proptest::prelude::*;

use super::*;

/// Replaces the manifest of "a", and asserts that the damage is detected and the save made again.
fn check(damage: &dyn Fn(&Path), part: &str) {
    let (_dir, store) = store();
    let entry = obtain(&store, "a", b"old").unwrap();
    drop(entry.hold);
    damage(&entry.directory);
    let listed = store.list().unwrap();
    if !part.is_empty() {
        let found = listed[0].damage.as_deref().unwrap();
        assert!(found.contains(part), "{found}");
    }
    let entry = obtain(&store, "a", b"new").unwrap();
    assert!(entry.made, "{part}");
    assert_eq!(content(&entry), b"new");
    assert_eq!(names(&store), names_of(&["a"]));
    assert_eq!(store.list().unwrap()[0].damage, None);
}

#[test]
fn every_damage_of_a_manifest_is_found_and_the_save_made_anew() {
    let manifest = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |directory: &Path| fs::write(directory.join("manifest.json"), &bytes).unwrap()
    };
    check(&manifest(b""), "cannot be understood");
    check(&manifest(b"{\"version\":1}"), "cannot be understood");
    check(&manifest(b"{\"version\":2,\"manifest\":\"a\"}"), "version 2");
    check(
        &manifest(b"{\"version\":-1,\"manifest\":\"a\"}"),
        "cannot be understood",
    );
    check(&manifest(b"{\"version\":1,\"manifest\":\"b\"}"), "");
    check(&manifest(&[b'['; 100_000]), "cannot be understood");
    check(&manifest(&[b' '; (1 << 20) + 1]), "more than 1048576 bytes");
    let gone = |directory: &Path| fs::remove_file(directory.join("manifest.json")).unwrap();
    check(&gone, "cannot be read");
    let directory_instead = |directory: &Path| {
        gone(directory);
        fs::create_dir(directory.join("manifest.json")).unwrap();
    };
    check(&directory_instead, "not a file");
    let pipe = |directory: &Path| {
        gone(directory);
        let made = Command::new("mkfifo")
            .arg(directory.join("manifest.json"))
            .status();
        assert!(made.unwrap().success());
    };
    check(&pipe, "not a file");
    let file_instead = |directory: &Path| {
        fs::remove_dir_all(directory).unwrap();
        fs::write(directory, b"not a directory").unwrap();
    };
    check(&file_instead, "cannot be read");
    let empty = |directory: &Path| {
        fs::remove_dir_all(directory).unwrap();
        fs::create_dir(directory).unwrap();
    };
    check(&empty, "cannot be read");
}

#[test]
fn a_save_whose_use_cannot_be_noted_is_served_all_the_same() {
    let (_dir, store) = store();
    let used = obtain(&store, "a", b"1").unwrap().directory.join(usage::USED);
    fs::remove_file(&used).unwrap();
    find(&store, "a");
    assert!(used.is_file(), "a missing mark is made again");
    fs::remove_file(&used).unwrap();
    fs::create_dir(&used).unwrap();
    find(&store, "a");
    obtain(&store.with_bound(0), "b", b"1").unwrap();
}

/// JSON as another program could have written it, and a manifest with some bytes changed.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let good = br#"{"version":1,"manifest":"a"}"#;
    let changed = (0..good.len(), any::<u8>(), 0..=good.len()).prop_map(|(at, byte, length)| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        bytes.truncate(length);
        bytes
    });
    let versioned = ("[0-9-]{1,12}", "[\\[\\]{}\",:0-9a-z\\\\ ]{0,40}")
        .prop_map(|(version, rest)| format!("{{\"version\":{version},\"manifest\":{rest}}}").into_bytes());
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), changed, versioned,]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_manifest_keeps_a_store_from_its_work(bytes in contents()) {
        let (_dir, store) = store();
        let directory = store.directory().join(key("a"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("manifest.json"), &bytes).unwrap();
        prop_assert_eq!(store.list().unwrap().len(), 1);
        obtain(&store, "a", b"1").unwrap();
        find(&store, "a");
        prop_assert_eq!(store.clear().unwrap().len(), 1);
    }
}
