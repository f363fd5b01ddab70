//! A guest program written byte by byte: the init of the tests' guests, with no compiler but this file.
//!
//! ```text
//! file offset = address − 0x400000
//!   0x00000  ELF header, one program header: everything readable, writable, executable
//!   0x01000  data: texts and buffers, in the order of their use
//!   0x10000  code
//!   0x2f000  a scratch page, zero, not in the file
//! ```

const BASE: u32 = 0x40_0000;
const DATA: u32 = 0x1000;
const CODE: u32 = 0x1_0000;
const SCRATCH: u32 = BASE + 0x2_f000;
const END: u32 = 0x3_0000;

/// The call instruction, see the crate `tcg-plugin`.
const CALL: &[u8; 8] = b"\x0f\x1f\x84\x00SRIG";

/// Numbers of system calls on x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`).
mod sys {
    pub(super) const READ: u32 = 0;
    pub(super) const WRITE: u32 = 1;
    pub(super) const OPEN: u32 = 2;
    pub(super) const EXIT: u32 = 60;
    pub(super) const MKDIR: u32 = 83;
    pub(super) const MOUNT: u32 = 165;
    pub(super) const REBOOT: u32 = 169;
}

/// `mov r32, imm32` for the registers of a system call's arguments, in their order.
const ARGUMENTS: [&[u8]; 5] = [b"\xbf", b"\xbe", b"\xba", b"\x41\xba", b"\x41\xb8"];

/// A program under construction; each method appends what its name says.
#[derive(Debug, Default, Clone)]
pub(crate) struct Program {
    code: Vec<u8>,
    data: Vec<u8>,
}

impl Program {
    /// Writes `text` to the console.
    pub(crate) fn print(mut self, text: &str) -> Program {
        let at = self.place(text.as_bytes());
        self.system_call(sys::WRITE, &[1, at, text.len() as u32]);
        self
    }

    /// Calls the host with `request` in a buffer of `capacity` bytes, then writes the whole buffer to the console.
    pub(crate) fn call_and_print(mut self, request: &[u8], capacity: u32) -> Program {
        let mut buffer = request.to_vec();
        buffer.resize(capacity as usize, b'.');
        let at = self.place(&buffer);
        // A page that was never written is not there, or is the page cache's own: the host must not write to it.
        self.store(at, buffer[0]);
        self.store(at + capacity - 1, buffer[buffer.len() - 1]);
        self.call(at, request.len() as u32, capacity);
        self.system_call(sys::WRITE, &[1, at, capacity]);
        self
    }

    /// Calls the host `times` times, each time with the low half of the time stamp counter as the request.
    pub(crate) fn call_with_time(mut self, times: u32) -> Program {
        self.code.push(0xbb); // mov ebx, imm32
        self.code.extend(times.to_le_bytes());
        let again = self.code.len();
        self.code.extend(b"\x0f\x31"); // rdtsc
        self.code.extend(b"\x89\x04\x25"); // mov [disp32], eax
        self.code.extend(SCRATCH.to_le_bytes());
        self.call(SCRATCH, 4, 4);
        self.code.extend(b"\xff\xcb"); // dec ebx
        let next = self.code.len() + 6;
        self.code.extend(b"\x0f\x85"); // jnz rel32
        self.code.extend((again as i32 - next as i32).to_le_bytes());
        self
    }

    /// Mounts sysfs at `/sys`.
    pub(crate) fn mount_sysfs(mut self) -> Program {
        let (sysfs, sys) = (self.place(b"sysfs\0"), self.place(b"/sys\0"));
        self.system_call(sys::MKDIR, &[sys, 0o755]);
        self.system_call(sys::MOUNT, &[sysfs, sys, sysfs, 0, 0]);
        self
    }

    /// Writes `path: ` and the file's first 256 bytes to the console.
    pub(crate) fn print_file(mut self, path: &str) -> Program {
        self = self.print(&format!("{path}: "));
        let at = self.place(format!("{path}\0").as_bytes());
        self.system_call(sys::OPEN, &[at, 0, 0]);
        self.code.extend(b"\x89\xc7"); // mov edi, eax
        self.system_call_after(1, sys::READ, &[SCRATCH, 256]);
        self.code.extend(b"\x89\xc2"); // mov edx, eax
        self.system_call(sys::WRITE, &[1, SCRATCH]);
        self
    }

    /// Switches the machine off.
    pub(crate) fn power_off(mut self) -> Program {
        self.system_call(sys::REBOOT, &[0xfee1_dead, 0x2812_1969, 0x4321_fedc]);
        self
    }

    /// Resets the machine.
    pub(crate) fn reset(mut self) -> Program {
        self.system_call(sys::REBOOT, &[0xfee1_dead, 0x2812_1969, 0x0123_4567]);
        self
    }

    /// Exits: for init, that is a kernel panic.
    pub(crate) fn exit(mut self, code: u32) -> Program {
        self.system_call(sys::EXIT, &[code]);
        self
    }

    /// Never ends.
    pub(crate) fn spin(mut self) -> Program {
        self.code.extend(b"\xeb\xfe"); // jmp to itself
        self
    }

    /// The address of the first call instruction.
    pub(crate) fn first_call(&self) -> u64 {
        let at = self.code.windows(CALL.len()).position(|bytes| bytes == CALL);
        u64::from(BASE + CODE) + at.expect("the program has a call") as u64
    }

    /// An initramfs (cpio, "newc") with the program as `/init`.
    pub(crate) fn initramfs(&self) -> Vec<u8> {
        let elf = self.elf();
        let init = cpio::newc::Builder::new("init").mode(0o100_755);
        let mut entry = init.write(Vec::new(), elf.len() as u32);
        std::io::Write::write_all(&mut entry, &elf).unwrap();
        let archive = entry.finish().unwrap();
        cpio::newc::trailer(archive).unwrap()
    }

    fn elf(&self) -> Vec<u8> {
        let size = u64::from(CODE) + self.code.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        for half in [2u16, 62] {
            elf.extend(half.to_le_bytes()); // ET_EXEC, EM_X86_64
        }
        elf.extend(1u32.to_le_bytes());
        for word in [u64::from(BASE + CODE), 64, 0] {
            elf.extend(word.to_le_bytes()); // entry, program headers, no sections
        }
        elf.extend(0u32.to_le_bytes());
        for half in [64u16, 56, 1, 0, 0, 0] {
            elf.extend(half.to_le_bytes()); // sizes and counts of headers
        }
        for word in [1u32, 7] {
            elf.extend(word.to_le_bytes()); // PT_LOAD, rwx
        }
        for word in [0, BASE.into(), BASE.into(), size, END.into(), 0x1000] {
            elf.extend(word.to_le_bytes()); // offset, addresses, file and memory size, alignment
        }
        elf.resize(DATA as usize, 0);
        elf.extend(&self.data);
        assert!(elf.len() <= CODE as usize, "the data runs into the code");
        elf.resize(CODE as usize, 0);
        elf.extend(&self.code);
        assert!(
            elf.len() <= (SCRATCH - BASE) as usize,
            "the code runs into the scratch page"
        );
        elf
    }

    /// Puts `bytes` into the data; their address.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        let at = BASE + DATA + self.data.len() as u32;
        self.data.extend(bytes);
        at
    }

    /// Writes `byte` to memory at `at`.
    fn store(&mut self, at: u32, byte: u8) {
        self.code.extend(b"\xc6\x04\x25"); // mov byte [disp32], imm8
        self.code.extend(at.to_le_bytes());
        self.code.push(byte);
    }

    fn call(&mut self, buffer: u32, len: u32, capacity: u32) {
        self.arguments(0, &[buffer, len, capacity]);
        self.code.extend(CALL);
    }

    fn system_call(&mut self, number: u32, arguments: &[u32]) {
        self.system_call_after(0, number, arguments);
    }

    /// A system call whose first `given` arguments are in their registers already.
    fn system_call_after(&mut self, given: usize, number: u32, arguments: &[u32]) {
        self.arguments(given, arguments);
        self.code.push(0xb8); // mov eax, imm32
        self.code.extend(number.to_le_bytes());
        self.code.extend(b"\x0f\x05"); // syscall
    }

    fn arguments(&mut self, given: usize, arguments: &[u32]) {
        for (register, value) in ARGUMENTS[given..].iter().zip(arguments) {
            self.code.extend(*register);
            self.code.extend(value.to_le_bytes());
        }
    }
}
