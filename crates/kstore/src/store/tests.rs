use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use kimage::Compression;
use tempfile::TempDir;

use super::*;
use crate::testing::archive::{Archive, config, kernel};
use crate::{Damage, KernelRequest, PackagedFile, Programs};

const OLD: &str = "6.12.9-cloud-amd64";
const NEW: &str = "7.2.13+deb14-cloud-amd64";

/// An archive and an empty store that takes from it.
struct World {
    dir: TempDir,
    archive: Archive,
    store: Store,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(&dir.path().join("archive"));
    let store = Store::open(dir.path().join("store"))
        .unwrap()
        .with_programs(archive.programs());
    World { dir, archive, store }
}

impl World {
    fn resolve(&self, request: &str) -> Result<Kernel, StoreError> {
        self.store.resolve(&request.parse().unwrap(), &mut |_| ())
    }

    fn refresh(&self, request: &str) -> Result<Kernel, StoreError> {
        self.store.refresh(&request.parse().unwrap(), &mut |_| ())
    }

    /// All names in the store's directory, the hidden ones too.
    fn names(&self) -> Vec<String> {
        let listing = fs::read_dir(self.store.directory()).unwrap();
        let mut names: Vec<_> = listing
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[test]
fn a_suites_kernel_is_fetched_once_and_has_all_its_files() {
    for split in [false, true] {
        let world = world();
        let tiny = kernel(NEW);
        if split {
            world.archive.add_split(&tiny, "7.2.13-1");
        } else {
            world.archive.add_whole(&tiny, "7.2.13-1");
        }
        let mut steps = Vec::new();
        let got = world
            .store
            .resolve(&"apt:sid".parse().unwrap(), &mut |step| steps.push(step))
            .unwrap();
        assert_eq!(fs::read(&got.image).unwrap(), tiny.bzimage(Compression::Zstd));
        assert_eq!(fs::read(&got.vmlinux).unwrap(), tiny.elf());
        assert_eq!(fs::read(got.config.as_ref().unwrap()).unwrap(), config(NEW));
        assert_eq!((got.release.as_str(), got.request.as_str()), (NEW, "apt:sid"));
        assert_eq!(got.build_id.len(), 40);
        got.require_sched_ext().unwrap();
        got.require_btf().unwrap();
        assert!(
            matches!(steps.first(), Some(Progress::Indexing { .. })),
            "{steps:?}"
        );
        assert!(steps.iter().any(|step| matches!(step, Progress::Downloading { done_bytes, total_bytes, .. } if done_bytes == total_bytes)));
        assert_eq!(world.archive.downloads(), 1);

        assert_eq!(world.resolve("apt:sid").unwrap(), got);
        assert_eq!(world.resolve("apt:sid/cloud-amd64").unwrap(), got);
        assert_eq!(world.archive.calls(), 0, "a cached kernel needs no apt");
    }
}

#[test]
fn the_newest_admitted_version_is_taken() {
    let world = world();
    for (release, version) in [
        ("6.12.9-amd64", "6.12.9-1"),
        ("6.12.10-amd64", "6.12.10-1"),
        ("7.2.13-rt-amd64", "7.2.13-1"),
    ] {
        world.archive.add_whole(&kernel(release), version);
    }
    let check = |request: &str, release: &str| {
        assert_eq!(world.resolve(request).unwrap().release, release, "{request}");
    };
    check("apt:sid/amd64", "6.12.10-amd64");
    check("apt:sid/amd64=6.12.9", "6.12.9-amd64");
    check("apt:sid/amd64=6.12", "6.12.10-amd64");
    check("apt:sid/rt-amd64", "7.2.13-rt-amd64");
    let message = |request: &str| chain(&world.resolve(request).unwrap_err());
    assert!(
        message("apt:sid/amd64=6.12.1").contains("6.12.10-1, 6.12.9-1"),
        "{}",
        message("apt:sid/amd64=6.12.1")
    );
    assert!(
        message("apt:sid").contains("the flavours amd64, rt-amd64"),
        "{}",
        message("apt:sid")
    );
}

#[test]
fn refresh_asks_the_suite_and_downloads_only_what_is_new() {
    let world = world();
    world.archive.add_whole(&kernel(OLD), "6.12.9-1");
    let old = world.resolve("apt:sid").unwrap();
    assert_eq!(world.archive.downloads(), 1);
    assert_eq!(world.refresh("apt:sid").unwrap(), old);
    assert_eq!(world.archive.downloads(), 0, "nothing new");

    world.archive.add_split(&kernel(NEW), "7.2.13-1");
    assert_eq!(
        world.resolve("apt:sid").unwrap(),
        old,
        "resolve stays with what is cached"
    );
    assert_eq!(world.refresh("apt:sid").unwrap().release, NEW);
    assert_eq!(world.archive.downloads(), 1);
    assert_eq!(world.resolve("apt:sid").unwrap().release, NEW);
    assert_eq!(world.resolve("apt:sid=6.12").unwrap().vmlinux, old.vmlinux);
    assert_eq!(
        world.archive.downloads(),
        0,
        "another request for a package that is stored"
    );
    let releases: Vec<_> = world
        .store
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| (entry.release, entry.requests))
        .collect();
    let expect = [
        (OLD.to_owned(), vec!["apt:sid=6.12".to_owned()]),
        (NEW.to_owned(), vec!["apt:sid".to_owned()]),
    ];
    assert_eq!(releases, expect);
}

#[test]
fn a_damaged_entry_is_fetched_again_or_reported() {
    let damages: [fn(&Path); 5] = [
        |entry| fs::write(entry.join("vmlinux"), b"short").unwrap(),
        |entry| {
            let mut bytes = fs::read(entry.join("vmlinuz")).unwrap();
            bytes[700] ^= 1;
            fs::write(entry.join("vmlinuz"), bytes).unwrap();
        },
        |entry| fs::remove_file(entry.join("config")).unwrap(),
        |entry| fs::write(entry.join("manifest.json"), "{").unwrap(),
        |entry| fs::remove_dir_all(entry).unwrap(),
    ];
    for damage in damages {
        let world = world();
        let tiny = kernel(NEW);
        world.archive.add_split(&tiny, "7.2.13-1");
        let got = world.resolve("apt:sid").unwrap();
        damage(got.vmlinux.parent().unwrap());
        assert!(
            world
                .store
                .list()
                .unwrap()
                .iter()
                .all(|entry| entry.damage.is_some())
        );
        assert_eq!(world.resolve("apt:sid").unwrap(), got);
        assert_eq!(fs::read(&got.vmlinux).unwrap(), tiny.elf());
        assert_eq!(world.store.list().unwrap()[0].damage, None);
        assert_eq!(
            world.names(),
            [
                ".apt",
                ".lock",
                got.vmlinux
                    .parent()
                    .unwrap()
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap(),
                "index.json"
            ]
        );

        damage(got.vmlinux.parent().unwrap());
        world.archive.go_offline();
        let error = world.resolve("apt:sid").unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error:?}");
        assert!(
            chain(&error).contains("the archive cannot be reached"),
            "{}",
            chain(&error)
        );
    }
}

#[test]
fn the_damage_is_in_the_message() {
    let world = world();
    world.archive.add_whole(&kernel(OLD), "6.12.9-1");
    let got = world.resolve("apt:sid").unwrap();
    fs::write(&got.vmlinux, b"short").unwrap();
    world.archive.go_offline();
    let Err(StoreError::Damaged {
        damage: Damage::Size { file, bytes: 5, .. },
        ..
    }) = world.resolve("apt:sid")
    else {
        panic!()
    };
    assert_eq!(file, "vmlinux");
}

#[test]
fn threads_that_want_the_same_kernel_download_it_once() {
    let world = world();
    world.archive.add_split(&kernel(NEW), "7.2.13-1");
    let kernels: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| world.resolve("apt:sid").unwrap()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(kernels.iter().all(|kernel| *kernel == kernels[0]));
    assert_eq!(world.archive.downloads(), 1);
}

/// Runs one test of this file in a process of its own, where it finds the world's directory in the environment.
fn in_another_process(test: &str, world: &World, before: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!(
            "{before} exec \"$0\" --exact {test} --include-ignored --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .env("KSTORE_TEST_WORLD", world.dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

const CHILD: &str = "store::tests::child_process_that_resolves";

/// Not a test of its own: the other process of the tests below, which prints what it was answered.
#[test]
#[ignore = "started by other tests"]
fn child_process_that_resolves() {
    let Some(dir) = std::env::var_os("KSTORE_TEST_WORLD").map(PathBuf::from) else {
        return;
    };
    let programs = Archive::existing(&dir.join("archive")).programs();
    let store = Store::open(dir.join("store")).unwrap().with_programs(programs);
    match store.resolve(&"apt:sid".parse().unwrap(), &mut |_| ()) {
        Ok(kernel) => println!("answer: {}", kernel.vmlinux.display()),
        Err(error) => println!("answer: error: {}", chain(&error)),
    }
}

fn answer_of(output: &[u8]) -> Option<String> {
    // The harness may have written before it on the same line.
    String::from_utf8_lossy(output)
        .lines()
        .find_map(|line| Some(line.split_once("answer: ")?.1.to_owned()))
}

#[test]
fn processes_that_want_the_same_kernel_download_it_once() {
    let world = world();
    world.archive.add_split(&kernel(NEW), "7.2.13-1");
    let children: Vec<_> = (0..4)
        .map(|_| in_another_process(CHILD, &world, "").spawn().unwrap())
        .collect();
    let answers: Vec<_> = children
        .into_iter()
        .map(|child| answer_of(&child.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    assert_eq!(world.archive.downloads(), 1);
    let mine = world.resolve("apt:sid").unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| *answer == mine.vmlinux.display().to_string()),
        "{answers:?}"
    );
}

#[test]
fn a_process_killed_while_it_writes_leaves_nothing_that_counts() {
    let world = world();
    let tiny = kernel(NEW);
    world.archive.add_split(&tiny, "7.2.13-1");
    // A file larger than the limit kills its writer: the ELF is the first of that size that the store writes itself.
    let limit = format!("ulimit -c 0; ulimit -f {};", tiny.elf().len() / 512);
    let killed = in_another_process(CHILD, &world, &limit).output().unwrap();
    assert!(
        !killed.status.success() && answer_of(&killed.stdout).is_none(),
        "{killed:?}"
    );
    assert!(
        world.names().iter().any(|name| name.starts_with(".new-")),
        "{:?}",
        world.names()
    );
    assert!(world.store.list().unwrap().is_empty());

    let got = world.resolve("apt:sid").unwrap();
    assert_eq!(fs::read(&got.vmlinux).unwrap(), tiny.elf());
    assert!(
        !world.names().iter().any(|name| name.starts_with(".new-")),
        "{:?}",
        world.names()
    );
}

#[test]
fn a_write_that_fails_is_reported_and_leaves_nothing() {
    let world = world();
    let tiny = kernel(NEW);
    world.archive.add_split(&tiny, "7.2.13-1");
    let limit = format!("trap '' XFSZ; ulimit -f {};", tiny.elf().len() / 512);
    let output = in_another_process(CHILD, &world, &limit).output().unwrap();
    let answer = answer_of(&output.stdout).unwrap();
    assert!(
        answer.starts_with("error: writing to") && answer.contains("File too large"),
        "{answer}"
    );
    assert_eq!(world.names(), [".apt", ".lock"]);
}

#[test]
fn a_full_disk_has_its_own_message() {
    let world = world();
    let full = std::io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
    let message = world.store.write_failed(76_000_000, full).to_string();
    assert!(message.contains("no room for 76000000 bytes in"), "{message}");
}

#[test]
fn leftovers_of_an_interruption_are_not_entries_and_are_swept() {
    let world = world();
    for leftover in [".new-abc/vmlinux", ".gone-abc/entry/vmlinux"] {
        let path = world.store.directory().join(leftover);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"half").unwrap();
    }
    fs::write(world.store.directory().join(".new-index"), b"{").unwrap();
    assert!(world.store.list().unwrap().is_empty());
    world.archive.add_whole(&kernel(OLD), "6.12.9-1");
    world.resolve("apt:sid").unwrap();
    assert_eq!(world.names().len(), 4, "{:?}", world.names());
}

#[test]
fn without_apt_the_alternatives_are_named() {
    let world = world();
    let nowhere = |program: &str| PathBuf::from(format!("/nonexistent/{program}"));
    let programs = Programs {
        apt_get: nowhere("apt-get"),
        apt_cache: nowhere("apt-cache"),
        apt_config: nowhere("apt-config"),
        dpkg: nowhere("dpkg"),
        ..Programs::default()
    };
    let store = world.store.clone().with_programs(programs);
    let message = chain(
        &store
            .resolve(&"apt:sid".parse().unwrap(), &mut |_| ())
            .unwrap_err(),
    );
    assert!(message.contains("/nonexistent/apt-config not found"), "{message}");
    assert!(
        message.contains("`path:") && message.contains("`host`"),
        "{message}"
    );
}

#[test]
fn a_lock_that_is_not_released_ends_the_wait() {
    let world = world();
    world.archive.add_whole(&kernel(OLD), "6.12.9-1");
    world.resolve("apt:sid").unwrap();
    let held = lock::acquire(&world.store.directory().join(".lock"), Duration::ZERO, &mut || ()).unwrap();
    let impatient = world.store.clone().with_patience(Duration::from_millis(50));
    let mut waits = 0;
    let request: KernelRequest = "apt:sid=6.12".parse().unwrap();
    let result = impatient.resolve(&request, &mut |step| {
        waits += usize::from(matches!(step, Progress::Waiting { .. }));
    });
    assert!(matches!(result, Err(StoreError::Lock(_))), "{result:?}");
    assert_eq!(waits, 1);
    world.resolve("apt:sid").unwrap();
    drop(held);
}

#[test]
fn a_kernel_file_is_taken_as_it_is_now() {
    let world = world();
    let (old, new) = (kernel(OLD), kernel(NEW));
    let path = world.file("vmlinuz", &old.bzimage(Compression::Gzip));
    let request = format!("path:{}", path.display());
    let got = world.resolve(&request).unwrap();
    assert_eq!((got.release.as_str(), &got.config), (OLD, &None));
    assert_eq!(fs::read(&got.vmlinux).unwrap(), old.elf());
    assert_eq!(world.resolve(&request).unwrap(), got);
    fs::write(&path, new.bzimage(Compression::Gzip)).unwrap();
    assert_eq!(world.resolve(&request).unwrap().release, NEW);
    assert_eq!(world.archive.calls(), 0);
}

#[test]
fn an_elf_is_its_own_image() {
    let world = world();
    let path = world.file("vmlinux", &kernel(OLD).elf());
    let got = world.resolve(&format!("path:{}", path.display())).unwrap();
    assert_eq!(got.image, got.vmlinux);
    assert_eq!(fs::read(got.image).unwrap(), kernel(OLD).elf());
}

#[test]
fn one_kernel_found_in_two_forms_is_one_entry_with_all_files() {
    let world = world();
    world.archive.add_split(&kernel(NEW), "7.2.13-1");
    let elf = world.file("vmlinux", &kernel(NEW).elf());
    let image = world.file("vmlinuz", &kernel(NEW).bzimage(Compression::Xz));
    world.resolve(&format!("path:{}", elf.display())).unwrap();
    let packaged = world.resolve("apt:sid").unwrap();
    let repacked = world.resolve(&format!("path:{}", image.display())).unwrap();
    assert_eq!(repacked.config, packaged.config);
    assert_eq!(fs::read(&repacked.image).unwrap(), fs::read(image).unwrap());
    let entries = world.store.list().unwrap();
    assert_eq!(
        (entries.len(), entries[0].requests.len(), &entries[0].damage),
        (1, 3, &None)
    );
    assert_eq!(entries[0].packages.len(), 2);
}

#[test]
fn files_that_are_no_kernels_are_refused_with_their_name() {
    let world = world();
    let whole = kernel(OLD).bzimage(Compression::Zstd);
    let check = |name: &str, bytes: &[u8]| {
        let path = world.file(name, bytes);
        let error = world.resolve(&format!("path:{}", path.display())).unwrap_err();
        assert!(matches!(error, StoreError::Image { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    };
    check("empty", b"");
    check("text", b"not a kernel, by far");
    for length in (1..whole.len()).step_by(97) {
        check(&format!("cut-{length}"), &whole[..length]);
    }
    let riscv = kimage::testing::TinyKernel {
        machine: 243,
        ..kernel(OLD)
    };
    check("riscv64", &riscv.elf());
    assert!(world.store.list().unwrap().is_empty());
}

#[test]
fn a_kernel_for_arm64_is_kept_as_the_flat_image_that_it_is() {
    let world = world();
    let tiny = kimage::testing::TinyImage::default();
    let path = world.file(
        "Image.gz",
        &kimage::testing::pack(Compression::Gzip, &tiny.image()),
    );
    let got = world.resolve(&format!("path:{}", path.display())).unwrap();
    assert_eq!(got.release, tiny.release);
    assert_eq!(fs::read(&got.vmlinux).unwrap(), tiny.image());
    assert_eq!(fs::read(&got.image).unwrap(), fs::read(&path).unwrap());
    got.require_btf().unwrap();
}

#[test]
fn a_kernel_without_what_is_required_says_so() {
    let world = world();
    let path = world.file(
        "vmlinuz",
        &kimage::testing::TinyKernel {
            btf: None,
            ..kernel(OLD)
        }
        .elf(),
    );
    world.file("config", b"# CONFIG_SCHED_CLASS_EXT is not set\n");
    let got = world.resolve(&format!("path:{}", path.display())).unwrap();
    let message = got.require_sched_ext().unwrap_err().to_string();
    assert!(
        message.contains(OLD) && message.contains("CONFIG_SCHED_CLASS_EXT=y"),
        "{message}"
    );
    assert!(got.require_btf().unwrap_err().to_string().contains("BTF"));
}

#[test]
fn an_entry_is_removed_by_any_of_its_names() {
    let id = |world: &World| world.store.list().unwrap()[0].id.clone();
    let names: [fn(&Entry) -> String; 6] = [
        |entry| entry.id.clone(),
        |entry| entry.id[..8].to_owned(),
        |entry| entry.release.clone(),
        |entry| entry.build_id[..6].to_owned(),
        |_| "apt:sid".to_owned(),
        |_| "apt:sid/cloud-amd64".to_owned(),
    ];
    for name in names {
        let world = world();
        world.archive.add_whole(&kernel(OLD), "6.12.9-1");
        world.resolve("apt:sid").unwrap();
        let entry = world.store.list().unwrap().remove(0);
        assert_eq!(world.store.remove(&name(&entry)).unwrap().id, entry.id);
        assert_eq!(world.names(), [".apt", ".lock", "index.json"]);
        world.archive.downloads();
        world.resolve("apt:sid").unwrap();
        assert_eq!((world.archive.downloads(), id(&world)), (1, entry.id));
    }
}

#[test]
fn a_name_that_is_nobodys_or_not_one_alone_removes_nothing() {
    let world = world();
    world.archive.add_whole(&kernel("6.12.9-amd64"), "6.12.9-1");
    world.archive.add_whole(&kernel("6.12.10-amd64"), "6.12.10-1");
    world.resolve("apt:sid/amd64=6.12.9").unwrap();
    world.resolve("apt:sid/amd64=6.12.10").unwrap();
    let message = |which: &str| world.store.remove(which).unwrap_err().to_string();
    assert!(
        message("6.12").contains("several cached kernels match `6.12`"),
        "{}",
        message("6.12")
    );
    assert!(message("7").contains("available: 6.12."), "{}", message("7"));
    assert!(message("").contains("no cached kernel"), "{}", message(""));
    assert!(message("../store").contains("no cached kernel"));
    assert_eq!(world.store.list().unwrap().len(), 2);
}

#[test]
fn a_file_of_any_package_is_fetched_once() {
    let world = world();
    for (version, bytes) in [("1:1.9-1", b"old"), ("1:1.10-1", b"new")] {
        world
            .archive
            .add("busybox-static", version, &[("./usr/bin/busybox", bytes)]);
    }
    let wanted = PackagedFile {
        suite: "sid",
        architecture: "arm64",
        package: "busybox-static",
        path: "usr/bin/busybox",
    };
    let get = |wanted: &PackagedFile<'_>| world.store.packaged(wanted, &mut |_| ());
    let path = get(&wanted).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(world.archive.downloads(), 1);
    assert_eq!(get(&wanted).unwrap(), path);
    assert_eq!(world.archive.calls(), 0);

    let message = |wanted| chain(&get(&wanted).unwrap_err());
    let package = PackagedFile {
        package: "toybox",
        ..wanted
    };
    assert_eq!(message(package), "the suite `sid` has no package `toybox`");
    let path = PackagedFile {
        path: "bin/sh",
        ..wanted
    };
    assert!(message(path).contains("has no file bin/sh"));
    let outside = PackagedFile {
        path: "../../etc/passwd",
        ..wanted
    };
    assert!(message(outside).contains("`..` is not a path of a file"));
    assert_eq!(world.store.list().unwrap().len(), 0, "no kernels");
}
