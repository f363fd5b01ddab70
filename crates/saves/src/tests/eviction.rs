//! Eviction by the bound, and removal of leftovers.

use super::*;

const SAVE: &[u8] = &[1; 100_000];

/// A store with room for this number of test saves.
fn room_for(saves: u64, store: Store) -> Store {
    store.with_bound(saves * 120_000)
}

#[test]
fn the_least_recently_used_saves_go_when_the_bound_is_exceeded() {
    let (_dir, store) = store();
    for (name, seconds) in [("a", 30), ("b", 10), ("c", 40), ("d", 20)] {
        obtain(&store, name, SAVE).unwrap();
        used_at(&store, name, seconds);
    }
    let store = room_for(3, store);
    obtain(&store, "e", SAVE).unwrap();
    assert_eq!(names(&store), names_of(&["a", "c", "e"]));

    used_at(&store, "a", 50);
    used_at(&store, "c", 40);
    used_at(&store, "e", 60);
    drop(find(&store, "c"));
    obtain(&store, "f", SAVE).unwrap();
    assert_eq!(names(&store), names_of(&["c", "e", "f"]), "finding c was a use");
}

#[test]
fn nothing_goes_within_the_bound() {
    let (_dir, store) = store();
    let store = room_for(3, store);
    for name in ["a", "b", "c"] {
        obtain(&store, name, SAVE).unwrap();
    }
    assert_eq!(names(&store), names_of(&["a", "b", "c"]));
}

#[test]
fn the_save_made_just_now_stays_even_if_it_alone_exceeds_the_bound() {
    let (_dir, store) = store();
    let store = store.with_bound(0);
    for name in ["a", "b", "c"] {
        let entry = obtain(&store, name, SAVE).unwrap();
        assert_eq!(names(&store), names_of(&[name]));
        assert_eq!(content(&entry), SAVE);
    }
}

#[test]
fn a_save_that_is_in_use_is_not_evicted() {
    let (_dir, store) = store();
    let store = store.with_bound(0);
    let made = obtain(&store, "a", SAVE).unwrap();
    let found = find(&store, "a");
    drop(made);
    obtain(&store, "b", SAVE).unwrap();
    assert_eq!(names(&store), names_of(&["a", "b"]));
    assert_eq!(content(&found), SAVE);
    drop(found);
    obtain(&store, "c", SAVE).unwrap();
    assert_eq!(names(&store), names_of(&["c"]));
}

#[test]
fn an_eviction_under_way_is_waited_for_and_does_not_hit_the_next_save() {
    let (_dir, store) = store();
    let entry = obtain(&store, "a", b"old").unwrap();
    let directory = entry.directory.clone();
    drop(entry);
    let right = usage::release(&directory).unwrap().unwrap();
    let hurried = store.clone().with_patience(Duration::ZERO);
    let busy = obtain(&hurried, "a", b"new").unwrap_err();
    assert!(
        matches!(busy, ObtainError::Store(StoreError::Lock(LockError::Busy { .. }))),
        "{busy}"
    );
    thread::scope(|scope| {
        let next = scope.spawn(|| obtain(&store, "a", b"new").unwrap());
        store.take_away(&key("a")).unwrap();
        drop(right);
        assert_eq!(content(&next.join().unwrap()), b"new");
    });
}

#[test]
fn a_file_opened_before_eviction_stays_readable() {
    let (_dir, store) = store();
    let store = store.with_bound(0);
    let entry = obtain(&store, "a", SAVE).unwrap();
    let mut open = File::open(entry.directory.join("ram")).unwrap();
    drop(entry);
    obtain(&store, "b", SAVE).unwrap();
    assert_eq!(names(&store), names_of(&["b"]));
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, SAVE);
}

#[test]
fn damaged_saves_count_and_are_evicted_too() {
    let (_dir, store) = store();
    obtain(&store, "a", SAVE).unwrap();
    used_at(&store, "a", 10);
    fs::write(store.directory().join(key("a")).join("manifest.json"), b"{").unwrap();
    fs::write(store.directory().join(key("b")), b"a file has this name").unwrap();
    obtain(&room_for(1, store.clone()), "c", SAVE).unwrap();
    assert!(!names(&store).contains(&key("a")));
}

#[test]
fn leftovers_are_swept_but_not_what_a_living_creator_writes() {
    let (_dir, store) = store();
    // The two keys have different locks.
    let [new, dead, alive] = ["1", "2", "3"];
    assert_eq!(
        [new, dead, alive]
            .map(|name| key(name)[..2].to_owned())
            .iter()
            .collect::<BTreeSet<_>>()
            .len(),
        3
    );
    let stay = [
        format!(".new-{}", key(alive)),
        ".new-of-somebody-else".to_owned(),
        "notes".to_owned(),
        key(new),
    ];
    let go = [
        format!(".new-{}", key(dead)),
        format!(".gone-{}-1-1", key(dead)),
        format!(".gone-{}-1-1", key(alive)),
    ];
    for name in stay[..3].iter().chain(&go) {
        fs::create_dir(store.directory().join(name)).unwrap();
        fs::write(store.directory().join(name).join("ram"), b"half").unwrap();
    }
    let path = store.lock_path(removal::creators(&key(alive))).unwrap();
    let at_work = lock::try_acquire(&path).unwrap().unwrap();
    obtain(&store, new, b"1").unwrap();
    assert_eq!(names(&store), BTreeSet::from(stay.clone()));
    drop(at_work);
    store.clear().unwrap();
    assert_eq!(names(&store), stay[1..3].iter().cloned().collect());
}
