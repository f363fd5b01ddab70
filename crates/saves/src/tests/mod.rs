mod eviction;
mod garbage;
mod processes;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use disk::{LockError, lock};
use tempfile::TempDir;

use super::*;

/// Longer than any step of these tests takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("saves"))
        .unwrap()
        .with_patience(DEADLINE);
    (dir, store)
}

type Obtained = Result<Entry, ObtainError<io::Error>>;

/// Obtains the save of a name; makes it with this content if missing.
fn obtain(store: &Store, name: &str, content: &[u8]) -> Obtained {
    store.obtain(&name, &mut |_| (), |directory| {
        fs::write(directory.join("ram"), content)
    })
}

/// Obtains the save of a name, which must exist.
fn find(store: &Store, name: &str) -> Entry {
    let make = |_: &Path| -> io::Result<()> { panic!("{name} exists and need not be made") };
    let entry = store.obtain(&name, &mut |_| (), make).unwrap();
    assert!(!entry.made);
    entry
}

fn content(entry: &Entry) -> Vec<u8> {
    fs::read(entry.directory.join("ram")).unwrap()
}

fn key(name: &str) -> String {
    key_of(&name).unwrap()
}

/// All names in the store's directory but that of its locks.
fn names(store: &Store) -> BTreeSet<String> {
    fs::read_dir(store.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".locks")
        .collect()
}

fn names_of(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|name| key(name)).collect()
}

#[test]
fn a_save_is_made_once_and_then_found() {
    let (_dir, store) = store();
    let mut steps = Vec::new();
    let made = store
        .obtain(&"a", &mut |step| steps.push(step), |directory| {
            assert_eq!(fs::read_dir(directory)?.count(), 0);
            fs::create_dir(directory.join("disks"))?;
            fs::write(directory.join("disks/0"), b"disk")?;
            fs::write(directory.join("ram"), b"ram")
        })
        .unwrap();
    assert!(made.made);
    assert_eq!(steps, [Progress::Making]);
    assert_eq!(made.key, key("a"));
    assert_eq!(made.directory, store.directory().join(&made.key));
    let found = find(&store, "a");
    assert_eq!((&found.key, &found.directory), (&made.key, &made.directory));
    assert_eq!(content(&found), b"ram");
    assert_eq!(fs::read(found.directory.join("disks/0")).unwrap(), b"disk");
    assert_eq!(names(&store), names_of(&["a"]));
}

#[test]
fn another_manifest_is_another_save() {
    let (_dir, store) = store();
    obtain(&store, "a", b"1").unwrap();
    assert!(obtain(&store, "b", b"2").unwrap().made);
    assert_eq!(content(&find(&store, "a")), b"1");
    assert_eq!(content(&find(&store, "b")), b"2");
}

#[test]
fn a_manifest_with_a_number_that_json_does_not_carry_exactly_is_still_found() {
    let (_dir, store) = store();
    let manifest = (0.1 + 0.2, f64::MIN_POSITIVE, f32::MAX, u128::MAX, f64::NAN);
    for made in [true, false] {
        let entry = store
            .obtain(&manifest, &mut |_| (), |_| Ok::<(), io::Error>(()))
            .unwrap();
        assert_eq!(entry.made, made);
    }
}

#[test]
fn eight_threads_that_want_the_same_save_elect_one_creator() {
    const THREADS: usize = 8;
    let (_dir, store) = store();
    let (waiting, makers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Barrier::new(THREADS);
    let want = || {
        start.wait();
        let mut report = |step| {
            waiting.fetch_add(
                usize::from(matches!(step, Progress::Waiting { .. })),
                Ordering::SeqCst,
            );
        };
        let make = |directory: &Path| {
            makers.fetch_add(1, Ordering::SeqCst);
            let began = Instant::now();
            while waiting.load(Ordering::SeqCst) < THREADS - 1 {
                assert!(began.elapsed() < DEADLINE, "all others wait for this one");
                thread::yield_now();
            }
            fs::write(directory.join("ram"), b"ram")
        };
        let entry = store.obtain(&"a", &mut report, make).unwrap();
        assert_eq!(content(&entry), b"ram");
        entry.made
    };
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(want)).collect();
        threads
            .into_iter()
            .map(|thread| usize::from(thread.join().unwrap()))
            .sum::<usize>()
    });
    assert_eq!(made, 1);
    assert_eq!(makers.into_inner(), 1);
    assert_eq!(
        waiting.into_inner(),
        THREADS - 1,
        "each waiting creator reports it once"
    );
}

#[test]
fn a_save_that_is_there_is_found_without_any_lock() {
    let (_dir, store) = store();
    obtain(&store, "a", b"1").unwrap();
    let hurried = store.clone().with_patience(Duration::ZERO);
    let held: Vec<_> = [
        "store",
        removal::creators(&key("a")),
        removal::creators(&key("b")),
    ]
    .map(|name| {
        lock::try_acquire(&store.lock_path(name).unwrap())
            .unwrap()
            .unwrap()
    })
    .into();
    find(&hurried, "a");
    let busy = obtain(&hurried, "b", b"2").unwrap_err();
    assert!(
        matches!(busy, ObtainError::Store(StoreError::Lock(LockError::Busy { .. }))),
        "{busy}"
    );
    drop(held);
    obtain(&hurried, "b", b"2").unwrap();
}

#[test]
fn a_creator_that_fails_leaves_nothing_and_its_error_is_handed_on() {
    let (_dir, store) = store();
    let error = store
        .obtain(&"a", &mut |_| (), |directory| {
            fs::write(directory.join("ram"), b"half")?;
            Err(io::Error::other("the guest has panicked"))
        })
        .unwrap_err();
    assert!(matches!(error, ObtainError::Make(_)), "{error}");
    assert_eq!(error.to_string(), "the guest has panicked");
    assert_eq!(names(&store), BTreeSet::new());
    assert!(obtain(&store, "a", b"1").unwrap().made);
}

#[test]
fn a_creator_that_panics_leaves_nothing() {
    let (_dir, store) = store();
    let make = |directory: &Path| -> io::Result<()> {
        fs::write(directory.join("ram"), b"half")?;
        panic!("a defect of the caller");
    };
    let panicked = std::panic::catch_unwind(|| store.obtain(&"a", &mut |_| (), make).map(|_| ()));
    assert!(panicked.is_err());
    assert_eq!(names(&store), BTreeSet::new());
    assert!(obtain(&store, "a", b"1").unwrap().made);
}

#[test]
fn a_creator_that_writes_the_stores_own_file_is_told_so() {
    let (_dir, store) = store();
    let error = store
        .obtain(&"a", &mut |_| (), |directory| {
            fs::write(directory.join("manifest.json"), b"mine")
        })
        .unwrap_err();
    assert!(
        matches!(error, ObtainError::Store(StoreError::File { .. })),
        "{error}"
    );
    assert_eq!(names(&store), BTreeSet::new());
}

#[test]
fn a_discarded_save_is_made_anew_once() {
    let (_dir, store) = store();
    obtain(&store, "a", b"damaged").unwrap();
    let (first, second) = (find(&store, "a"), find(&store, "a"));
    store.discard(&first).unwrap();
    store.discard(&first).unwrap();
    assert!(obtain(&store, "a", b"good").unwrap().made);
    // A second caller that found the same damage must not discard the new save.
    store.discard(&second).unwrap();
    assert_eq!(content(&find(&store, "a")), b"good");
}

#[test]
fn saves_are_listed_with_what_they_are_the_last_used_first() {
    let (_dir, store) = store();
    assert_eq!(store.list().unwrap(), []);
    let b = obtain(&store, "b", &[1; 100_000]).unwrap();
    obtain(&store, "a", b"1").unwrap();
    used_at(&store, "a", 2_000_000_000);
    used_at(&store, "b", 1_000_000_000);
    fs::create_dir(store.directory().join("not-a-save")).unwrap();
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].key, b.key);
    assert_eq!(listed[1].manifest, "b");
    assert_eq!(listed[1].last_used_s, 1_000_000_000);
    assert_eq!(listed[1].damage, None);
    assert!((100_000..200_000).contains(&listed[1].bytes), "{listed:?}");
    let json = serde_json::to_value(&listed[0]).unwrap();
    assert_eq!(json["key"], key("a"));
    assert_eq!(json["last_used_s"], 2_000_000_000);
    assert_eq!(json["damage"], serde_json::Value::Null);

    find(&store, "b");
    fs::write(b.directory.join("manifest.json"), b"{").unwrap();
    let listed = store.list().unwrap();
    let damaged = listed.iter().find(|listed| listed.key == b.key).unwrap();
    assert!(damaged.damage.as_ref().unwrap().contains("manifest.json"));
    assert!(damaged.last_used_s > 1_000_000_000, "finding it is a use");
}

#[test]
fn a_save_is_removed_by_the_beginning_of_its_key() {
    let (_dir, store) = store();
    let nothing = store.remove("0").unwrap_err().to_string();
    assert!(nothing.contains("the cache is empty"), "{nothing}");

    // Seventeen keys and sixteen first digits: two begin alike.
    let all: Vec<_> = (0..17)
        .map(|number| obtain(&store, &number.to_string(), b"1").unwrap().key)
        .collect();
    let twice = all
        .iter()
        .map(|key| &key[..1])
        .find(|digit| all.iter().filter(|key| key.starts_with(digit)).count() > 1)
        .unwrap();
    let ambiguous = store.remove(twice).unwrap_err();
    let StoreError::Ambiguous { matches, .. } = &ambiguous else {
        panic!("{ambiguous}");
    };
    assert!(matches.len() > 1 && matches.iter().all(|key| key.starts_with(twice)));
    for wrong in ["x", "", "../", "."] {
        let error = store.remove(wrong).unwrap_err();
        assert!(
            matches!(&error, StoreError::NoEntry { available, .. } if available.len() == 17),
            "{error}"
        );
    }

    let entry = find(&store, "3");
    assert_eq!(store.remove(&entry.key[..12]).unwrap().manifest, "3");
    assert!(!entry.directory.exists());
    let cleared = store.clear().unwrap();
    assert_eq!(cleared.len(), 16);
    assert_eq!(names(&store), BTreeSet::new());
}

#[test]
fn a_store_whose_directory_was_removed_begins_again() {
    let (_dir, store) = store();
    obtain(&store, "a", b"1").unwrap();
    fs::remove_dir_all(store.directory()).unwrap();
    assert!(obtain(&store, "a", b"1").unwrap().made);
}

#[test]
fn a_full_disk_is_an_error_with_the_way_out_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "schedrig-full-disk"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: a small file system can be mounted only as root");
        return;
    }
    struct Mounted<'d>(&'d Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
            assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking());
        }
    }
    let _mounted = Mounted(dir.path());

    let store = Store::open(dir.path().join("saves")).unwrap();
    obtain(&store, "kept", &[1; 64 << 10]).unwrap();
    let fill = |directory: &Path| {
        let mut file = File::create(directory.join("ram"))?;
        while file.write_all(&[1; 4096]).is_ok() {}
        Ok::<(), io::Error>(())
    };
    let error = store.obtain(&"a", &mut |_| (), fill).unwrap_err();
    assert!(
        matches!(error, ObtainError::Store(StoreError::Full { .. })),
        "{error}"
    );
    let message = error.to_string();
    for part in [
        store.directory().to_str().unwrap(),
        "cargo schedrig saves rm",
        "SCHEDRIG_SAVES",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(names(&store), names_of(&["kept"]));

    // The advice in the message must work on a full disk.
    fill(dir.path()).unwrap();
    store.remove(&key("kept")).unwrap();
    assert_eq!(names(&store), BTreeSet::new());
    assert!(obtain(&store, "b", b"1").unwrap().made);
}

/// Sets when a save was last used.
fn used_at(store: &Store, name: &str, seconds: u64) {
    let used = store.directory().join(key(name)).join(usage::USED);
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options()
        .write(true)
        .open(used)
        .unwrap()
        .set_modified(time)
        .unwrap();
}
