//! A kernel under a QEMU of its own, of any architecture, booted as a bootloader would: KASLR and all. Its init is a
//! shell that does what is asked on the console, and between two questions nothing in it moves, unless it is let run:
//!
//! ```text
//!   test                                  guest
//!   ask("cat /proc/stat") ── SIGCONT ──►  reads the line, runs it
//!                         ◄── lines, the mark ──
//!                         ── SIGSTOP ──►  stands still; RAM is a memfd that we have mapped
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use guestmem::{GuestPhys, RamLayout, Region, SharedRam};
use introspect::{DebugInfo, GuestKernel, Hints, Placement};
use kimage::KernelImage;
use kstore::{PackagedFile, Store};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A machine of QEMU's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Debian's name of the architecture: `amd64` or `arm64`.
    pub(crate) architecture: &'static str,
    /// What the kernel is asked for by.
    pub(crate) kernel: &'static str,
    /// QEMU's name of the CPU.
    pub(crate) cpu: &'static str,
    pub(crate) ram_mib: u64,
    /// More of the kernel's command line.
    pub(crate) args: &'static str,
}

/// CPUs of each guest.
pub(crate) const CPUS: u32 = 4;

/// What a guest may take to boot, and to answer one question. Slow hosts run four CPUs on two.
const BOOT: Duration = Duration::from_secs(400);
const ANSWER: Duration = Duration::from_secs(400);

/// What ends an answer. Written in two parts, so that the echo of a question does not have it.
const MARK: &str = "@@end";

/// Runs each line of the console as a command. The spinners are there before the first.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /proc /sys
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sys /sys
echo 1 > /proc/sys/kernel/printk
echo 0 > /proc/sys/kernel/kptr_restrict
stty -echo
spin() { taskset $2 sh -c 'echo -n $0 > /proc/$$/comm; while :; do :; done' $1 & }
spin spin-one 2
spin spin-two 2
spin spin-three 4
echo @@"end"
while read -r line; do eval "$line"; echo @@"end"; done
"#;

/// A booted guest that stands still.
pub(crate) struct Guest {
    qemu: Child,
    stdin: ChildStdin,
    console: Receiver<String>,
    ram: SharedRam,
    info: Arc<DebugInfo>,
    runs: bool,
}

impl Guest {
    /// Boots it up to its first question.
    pub(crate) fn boot(shape: &Shape) -> Guest {
        let store = Store::open_default().unwrap();
        let kernel = shape.kernel.parse().unwrap();
        let kernel = store.resolve(&kernel, &mut |_| {}).unwrap();
        let info = DebugInfo::of_kernel(&KernelImage::read(&kernel.vmlinux).unwrap()).unwrap();
        let busybox = PackagedFile {
            suite: "sid",
            architecture: shape.architecture,
            package: "busybox-static",
            path: "usr/bin/busybox",
        };
        let busybox = std::fs::read(store.packaged(&busybox, &mut |_| {}).unwrap()).unwrap();
        let initrd = memory("initrd");
        (&initrd).write_all(&initramfs(&busybox)).unwrap();
        let ram = memory("ram");
        ram.set_len(shape.ram_mib << 20).unwrap();

        let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        // Killed with the thread that has started it, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.args(shape.qemu(&path(&ram)));
        command.arg("-kernel").arg(&kernel.image);
        command.args(["-initrd", &path(&initrd)]);
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut guest = Guest {
            stdin: qemu.stdin.take().unwrap(),
            console: lines(qemu.stdout.take().unwrap()),
            qemu,
            ram: SharedRam::map(&ram, shape.layout()).unwrap(),
            info,
            runs: false,
        };
        let begin = Instant::now();
        guest.answer(BOOT);
        println!("{shape:?}: booted in {:?}", begin.elapsed());
        guest.stop();
        guest
    }

    /// Lets the guest run a line of shell, and gives what it printed. Then it stands still again.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        kill_process(self.pid(), Signal::CONT).unwrap();
        writeln!(self.stdin, "{line}").unwrap();
        let answer = self.answer(ANSWER);
        if !self.runs {
            self.stop();
        }
        answer
    }

    /// From now on it runs between two questions, too.
    pub(crate) fn let_run(&mut self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
        self.runs = true;
    }

    pub(crate) fn info(&self) -> &DebugInfo {
        &self.info
    }

    pub(crate) fn ram(&self) -> &SharedRam {
        &self.ram
    }

    /// The kernel of this moment.
    pub(crate) fn kernel(&self) -> GuestKernel<'_> {
        let place = Placement::find(&self.info, &self.ram, &Hints::default()).unwrap();
        if self.runs {
            GuestKernel::live(&self.info, &self.ram, place)
        } else {
            GuestKernel::frozen(&self.info, &self.ram, place)
        }
    }

    fn answer(&mut self, patience: Duration) -> String {
        let end = Instant::now() + patience;
        let mut text = String::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.console.recv_timeout(left) {
                Ok(line) if line.starts_with(MARK) => return text,
                Ok(line) => text.push_str(&(line + "\n")),
                Err(why) => panic!("{why} after {patience:?}; the console says:\n{text}"),
            }
        }
    }

    /// Returns when all of QEMU's threads have stopped.
    fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "QEMU has ended: {status:?}");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.qemu)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Shape {
    fn qemu(&self, ram: &str) -> Vec<String> {
        let (program, machine, console) = match self.architecture {
            "arm64" => ("qemu-system-aarch64", "virt,gic-version=3", "ttyAMA0"),
            _ => ("qemu-system-x86_64", "q35,max-ram-below-4g=2G", "ttyS0"),
        };
        let size = format!("{}M", self.ram_mib);
        let words = [
            program.to_owned(),
            "-nodefaults -no-user-config -display none -no-reboot -serial stdio".into(),
            "-accel tcg,thread=multi".into(),
            format!(
                "-machine {machine},memory-backend=ram -cpu {} -smp {CPUS} -m {size}",
                self.cpu
            ),
            format!("-object memory-backend-file,id=ram,size={size},share=on,mem-path={ram}"),
        ];
        let mut words: Vec<String> = words.join(" ").split(' ').map(str::to_owned).collect();
        words.push("-append".into());
        words.push(format!(
            "console={console} quiet panic=-1 schedstats=enable {}",
            self.args
        ));
        words
    }

    fn layout(&self) -> RamLayout {
        const LOW: u64 = 2 << 30;
        let len = self.ram_mib << 20;
        match self.architecture {
            "arm64" => RamLayout::from_regions(vec![Region {
                start: GuestPhys(1 << 30),
                len,
                file: 0,
                file_offset: 0,
            }])
            .unwrap(),
            _ => RamLayout::split_below_4g(len, LOW),
        }
    }
}

fn memory(name: &str) -> File {
    memfd_create(name, MemfdFlags::CLOEXEC).unwrap().into()
}

/// What is read line by line, by a thread that ends with the reader's other end.
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if send.send(line.trim_end_matches('\r').to_owned()).is_err() {
                break;
            }
        }
    });
    receive
}

/// A cpio archive with the shell, its script and a console.
fn initramfs(busybox: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut entry = |name: &str, mode: u32, device: (u32, u32), bytes: &[u8]| {
        let (size, name_size) = (bytes.len(), name.len() + 1);
        let (major, minor) = device;
        archive.extend(
            format!(
                "070701{0:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{major:08x}{minor:08x}\
                 {name_size:08x}{0:08x}{name}\0",
                0, 1
            )
            .bytes(),
        );
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(4), 0);
    };
    entry("bin", 0o040_755, (0, 0), b"");
    entry("dev", 0o040_755, (0, 0), b"");
    entry("dev/console", 0o020_600, (5, 1), b"");
    entry("dev/null", 0o020_666, (1, 3), b"");
    entry("bin/busybox", 0o100_755, (0, 0), busybox);
    entry("init", 0o100_755, (0, 0), INIT.as_bytes());
    entry("TRAILER!!!", 0, (0, 0), b"");
    archive
}
