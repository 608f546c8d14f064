//! The targets that are supported.

/// A machine and C library that wheels and the program are built for.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    /// The oldest system the wheel runs on, PEP 600 and PEP 656.
    pub(crate) tag: &'static str,
    /// What rustc is told for the wheel.
    pub(crate) wheel: &'static [&'static str],
    /// What rustc is told for the program, where one is built: the one for musl runs with every
    /// C library.
    pub(crate) program: Option<&'static [&'static str]>,
}

/// zig brings musl's start objects.
const STATIC: &[&str] = &["-Clink-self-contained=no"];

/// A module uses the interpreter's C library.
const SHARED: &[&str] = &["-Clink-self-contained=no", "-Ctarget-feature=-crt-static"];

impl Target {
    pub(crate) const ALL: &[Self] = &[
        Self {
            triple: "x86_64-unknown-linux-gnu",
            tag: "manylinux_2_17_x86_64",
            wheel: &[],
            program: None,
        },
        Self {
            triple: "aarch64-unknown-linux-gnu",
            tag: "manylinux_2_17_aarch64",
            wheel: &[],
            program: None,
        },
        Self {
            triple: "x86_64-unknown-linux-musl",
            tag: "musllinux_1_2_x86_64",
            wheel: SHARED,
            program: Some(STATIC),
        },
        Self {
            triple: "aarch64-unknown-linux-musl",
            tag: "musllinux_1_2_aarch64",
            wheel: SHARED,
            program: Some(STATIC),
        },
    ];

    /// The target of that name.
    pub(crate) fn named(triple: &str) -> Result<&'static Self, String> {
        let known = || Self::ALL.iter().map(|target| target.triple).collect::<Vec<_>>().join(", ");
        let target = Self::ALL.iter().find(|target| target.triple == triple);
        target.ok_or_else(|| format!("not one of {}", known()))
    }
}
