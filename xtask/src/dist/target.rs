//! The supported targets.

/// A processor and C library that wheels and the program are built for.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    pub(crate) machine: &'static Machine,
    pub(crate) library: Library,
    /// The oldest system the wheel runs on (PEP 600, PEP 656).
    pub(crate) tag: &'static str,
    /// Flags of rustc for the wheel.
    pub(crate) wheel: &'static [&'static str],
    /// Flags of rustc for the program, if one is built for this target. The program for musl runs with
    /// every C library.
    pub(crate) program: Option<&'static [&'static str]>,
}

/// zig provides musl's start objects.
const STATIC: &[&str] = &["-Clink-self-contained=no"];

/// A Python module uses the C library of the interpreter.
const SHARED: &[&str] = &["-Clink-self-contained=no", "-Ctarget-feature=-crt-static"];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Library {
    Glibc,
    Musl,
}

/// A kind of processor.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Machine {
    /// The name in Rust, GNU and qemu.
    pub(crate) name: &'static str,
    /// The name in Debian.
    pub(crate) debian: &'static str,
    /// The dynamic linker of glibc.
    pub(crate) linker: &'static str,
}

const X86_64: Machine = Machine { name: "x86_64", debian: "amd64", linker: "ld-linux-x86-64.so.2" };
const AARCH64: Machine =
    Machine { name: "aarch64", debian: "arm64", linker: "ld-linux-aarch64.so.1" };

impl Machine {
    pub(crate) const ALL: [&Self; 2] = [&X86_64, &AARCH64];

    /// The processor of this machine, if it is supported.
    pub(crate) fn ours() -> Option<&'static Self> {
        Self::ALL.into_iter().find(|machine| machine.is_ours())
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name == std::env::consts::ARCH
    }
}

impl Target {
    pub(crate) const ALL: &[Self] = &[
        Self {
            triple: "x86_64-unknown-linux-gnu",
            machine: &X86_64,
            library: Library::Glibc,
            tag: "manylinux_2_17_x86_64",
            wheel: &[],
            program: None,
        },
        Self {
            triple: "aarch64-unknown-linux-gnu",
            machine: &AARCH64,
            library: Library::Glibc,
            tag: "manylinux_2_17_aarch64",
            wheel: &[],
            program: None,
        },
        Self {
            triple: "x86_64-unknown-linux-musl",
            machine: &X86_64,
            library: Library::Musl,
            tag: "musllinux_1_2_x86_64",
            wheel: SHARED,
            program: Some(STATIC),
        },
        Self {
            triple: "aarch64-unknown-linux-musl",
            machine: &AARCH64,
            library: Library::Musl,
            tag: "musllinux_1_2_aarch64",
            wheel: SHARED,
            program: Some(STATIC),
        },
    ];

    /// The target that has the program for the same processor.
    pub(crate) fn with_program(&self) -> Option<&'static Self> {
        let same_machine = |other: &&Self| other.machine == self.machine;
        Self::ALL.iter().filter(same_machine).find(|other| other.program.is_some())
    }

    /// The target of that name.
    pub(crate) fn named(triple: &str) -> Result<&'static Self, String> {
        let known = || Self::ALL.iter().map(|target| target.triple).collect::<Vec<_>>().join(", ");
        let target = Self::ALL.iter().find(|target| target.triple == triple);
        target.ok_or_else(|| format!("the target is not one of {}", known()))
    }
}
