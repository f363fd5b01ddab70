//! Guarantees between processes: the test program is started again as a creator.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use super::*;

const PLACE: &str = "SCHEDRIG_TEST_SAVES";

/// A process that obtains the save "a" and reports its steps on standard output.
struct Creator {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Creator {
    fn start(store: &Store) -> Self {
        let mut process = again("creator_in_another_process")
            .env(PLACE, store.directory())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The next reported step.
    fn next_step(&mut self) -> String {
        let line = self.lines.by_ref().lines().map_while(Result::ok);
        line.filter_map(|line| Some(line.split_once("creator: ")?.1.to_owned()))
            .next()
            .expect("the creator reports a step before it ends")
    }

    /// Lets the process finish its save.
    fn go_on(&mut self) {
        drop(self.process.stdin.take());
    }

    fn end(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("tests::processes::{test}")])
        .args(["--ignored", "--nocapture"])
        .stdout(Stdio::piped());
    command
}

#[test]
#[ignore = "started by other tests"]
fn creator_in_another_process() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let store = Store::open(place).unwrap();
    let mut report = |step| {
        if let Progress::Waiting { .. } = step {
            println!("creator: waits");
        }
    };
    let make = |directory: &Path| {
        fs::write(directory.join("half"), b"")?;
        println!("creator: makes");
        io::stdin().read_to_end(&mut Vec::new())?;
        fs::write(directory.join("ram"), b"of another process")
    };
    let entry = store.obtain(&"a", &mut report, make).unwrap();
    assert_eq!(content(&entry), b"of another process");
    println!("creator: {}", if entry.made { "made it" } else { "found it" });
}

#[test]
fn two_processes_that_want_the_same_save_elect_one_creator() {
    let (_dir, store) = store();
    let mut first = Creator::start(&store);
    assert_eq!(first.next_step(), "makes");
    let mut second = Creator::start(&store);
    assert_eq!(second.next_step(), "waits");
    first.go_on();
    assert_eq!(first.next_step(), "made it");
    assert_eq!(second.next_step(), "found it");
    first.end();
    second.end();
    assert_eq!(content(&find(&store, "a")), b"of another process");
}

#[test]
fn a_killed_creator_leaves_nothing_valid_and_the_next_in_the_queue_makes_the_save() {
    let (_dir, store) = store();
    let mut first = Creator::start(&store);
    assert_eq!(first.next_step(), "makes");
    let mut second = Creator::start(&store);
    assert_eq!(second.next_step(), "waits");
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    assert_eq!(second.next_step(), "makes");
    assert_eq!(store.list().unwrap(), []);
    second.process.kill().unwrap();
    second.process.wait().unwrap();

    assert_eq!(names(&store), BTreeSet::from([format!(".new-{}", key("a"))]));
    assert_eq!(store.list().unwrap(), []);
    let entry = obtain(&store, "a", b"1").unwrap();
    assert!(entry.made);
    assert!(!entry.directory.join("half").exists());
    assert_eq!(names(&store), names_of(&["a"]));
}

#[test]
#[ignore = "started by other tests"]
fn opener_of_the_default() {
    if std::env::var_os(PLACE).is_none() {
        return;
    }
    match Store::open_default() {
        Ok(store) => println!("opened: {} {}", store.directory().display(), store.bound_bytes),
        Err(error) => println!("opened: {error}"),
    }
}

#[test]
fn the_environment_says_where_the_users_store_is_and_how_large() {
    let dir = tempfile::tempdir().unwrap();
    let check = |saves: &str, mib: &str, expect: &str| {
        let output = again("opener_of_the_default")
            .env(PLACE, "")
            .env("XDG_CACHE_HOME", dir.path().join("cache"))
            .env("SCHEDRIG_SAVES", saves)
            .env("SCHEDRIG_SAVES_MIB", mib)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let opened = text.lines().find_map(|line| Some(line.split_once("opened: ")?.1));
        assert_eq!(opened, Some(expect), "{text}");
    };
    let default = dir.path().join("cache/schedrig/saves");
    let other: PathBuf = dir.path().join("other");
    check("", "", &format!("{} 10737418240", default.display()));
    let place = other.to_str().unwrap();
    check(place, "3", &format!("{place} 3145728"));
    check(place, "18446744073709551615", &format!("{place} {}", u64::MAX));
    let wrong = "SCHEDRIG_SAVES_MIB is `10 GiB`; write a number of MiB, for example 4096";
    check(place, "10 GiB", wrong);
}
