//! The rows of the table: what is compared with what, and the targets.

/// One performance target.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) peer: &'static str,
    pub(super) target: Target,
    pub(super) measurement: Measurement,
}

/// What a measurement must reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// Keybearer's number is less than this, in this unit.
    Below(f64, &'static str),
    /// Keybearer's number divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Keybearer's number divided by the peer's is at least this.
    RatioAtLeast(f64),
}

/// The measurement that fills a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measurement {
    RustHit,
    /// A hit in the Python credential.
    PythonHit {
        /// The number of connected accounts.
        accounts: u32,
    },
    Import,
    PythonFirst,
    Token,
    Hits,
    HitsBesidePeer,
    EngineHit,
    DurableWrite,
    BrokerStart,
}

impl Row {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "rust-hit",
        title: "credential cache hit, Rust",
        peer: "azure-identity (Python), 1 account",
        target: Target::Below(300.0, "ns"),
        measurement: Measurement::RustHit,
    },
    Row {
        name: "rust-hit-threads",
        title: "the same from 8 threads, throughput",
        peer: "the same from 1 thread",
        target: Target::RatioAtLeast(1.0),
        measurement: Measurement::RustHit,
    },
    Row {
        name: "python-hit",
        title: "credential cache hit, Python",
        peer: "azure-identity (Python), 1 account",
        target: Target::Below(1500.0, "ns"),
        measurement: Measurement::PythonHit { accounts: 1 },
    },
    Row {
        name: "python-hit-100",
        title: "the same with 100 connected accounts",
        peer: "azure-identity (Python), 100 accounts",
        target: Target::Below(1500.0, "ns"),
        measurement: Measurement::PythonHit { accounts: 100 },
    },
    Row {
        name: "python-hit-10000",
        title: "the same with 10,000 connected accounts",
        peer: "azure-identity (Python), 10,000 accounts",
        target: Target::Below(1500.0, "ns"),
        measurement: Measurement::PythonHit { accounts: 10_000 },
    },
    Row {
        name: "import",
        title: "import keybearer, over bare Python",
        peer: "import azure.identity.broker, over bare Python",
        target: Target::Below(10.0, "ms"),
        measurement: Measurement::Import,
    },
    Row {
        name: "python-first",
        title: "a Python program's first token from a warm broker, whole process",
        peer: "azure-identity-broker with Microsoft's runtime, same broker",
        target: Target::RatioAtMost(1.0),
        measurement: Measurement::PythonFirst,
    },
    Row {
        name: "python-memory",
        title: "largest resident memory of that process",
        peer: "the same",
        target: Target::RatioAtMost(1.0),
        measurement: Measurement::PythonFirst,
    },
    Row {
        name: "token",
        title: "keybearer token, warm broker, whole process",
        peer: "a C program: connect and one round trip",
        target: Target::RatioAtMost(4.0),
        measurement: Measurement::Token,
    },
    Row {
        name: "hits-socket",
        title: "broker's silent hits over its socket",
        peer: "a zbus service returning a constant",
        target: Target::RatioAtLeast(0.7),
        measurement: Measurement::Hits,
    },
    Row {
        name: "hits-bus",
        title: "broker's silent hits over a bus",
        peer: "a zbus service returning a constant",
        target: Target::RatioAtLeast(0.7),
        measurement: Measurement::Hits,
    },
    Row {
        name: "hits-bus-peer",
        title: "broker's silent hits over a bus",
        peer: "a constant, served with the crate identity_dbus_broker",
        target: Target::RatioAtLeast(0.7),
        measurement: Measurement::HitsBesidePeer,
    },
    Row {
        name: "many-tokens",
        title: "hit in the engine with 100,000 tokens",
        peer: "with 10 tokens",
        target: Target::RatioAtMost(1.3),
        measurement: Measurement::EngineHit,
    },
    Row {
        name: "many-accounts",
        title: "hit in the engine with 1,000 accounts",
        peer: "with one account",
        target: Target::RatioAtMost(1.3),
        measurement: Measurement::EngineHit,
    },
    Row {
        name: "durable-write",
        title: "durable write of one record to the store",
        peer: "pages overwritten with fdatasync",
        target: Target::RatioAtMost(2.0),
        measurement: Measurement::DurableWrite,
    },
    Row {
        name: "broker-start",
        title: "broker start to first answer, 1,000 accounts",
        peer: "-",
        target: Target::Below(50.0, "ms"),
        measurement: Measurement::BrokerStart,
    },
    Row {
        name: "broker-memory",
        title: "idle broker's resident memory, 1,000 accounts",
        peer: "-",
        target: Target::Below(12.0, "MB"),
        measurement: Measurement::BrokerStart,
    },
];
