//! What Keybearer promises, by number and by word.
//!
//! Code and tests cite these promises: in comments as "promise I5 (secret)" or "(I5)", in test
//! names as `inv_i5` or `i5_`. `cargo xtask check` fails when a citation has no heading here. Each
//! entry gives the promise, its reason, the test suites that hold it, and what does not hold yet.
//!
//! ## I1: inside
//!
//! No refresh token, primary refresh token, device key or proof-of-possession key leaves the
//! broker.
//!
//! * Reason: an access token ends within hours, but a refresh token gives access until someone
//!   revokes it.
//! * Tests: `dbus/tests/arbitrary.rs` (no reply has a refresh token), `engine/tests/proof.rs`.
//! * Limits: when no broker can serve, an app signs in within its own process, and the refresh
//!   token is then in the memory of that app. There are no primary refresh tokens or device keys
//!   yet.
//!
//! ## I2: same user
//!
//! A broker returns a token only to a process with its own user id. It asks the kernel for the id
//! on the socket and the bus daemon on the session bus. A client verifies the broker in the same
//! way.
//!
//! * Reason: the user is the security boundary of the operating system; programs of one user are
//!   not separated from each other.
//! * Tests: unit tests of `dbus/src/peer.rs` and `dbus/src/client/connect.rs`,
//!   `dbus/tests/socket.rs` and `bus.rs`, `host/tests/store.rs` for the files.
//! * Not yet: no test runs a process with a second user id. The loopback listener of a sign-in is
//!   not covered; see [I11](#i11-own-listeners).
//!
//! ## I3: crash
//!
//! After a crash at any moment, the store opens with the old or the new state, and no account that
//! was signed in is lost.
//!
//! * Reason: providers rotate refresh tokens. A successor that was received but not written is a
//!   lost session.
//! * Tests: `engine/tests/durability.rs` (crashes in simulated time), `host/tests/store.rs`
//!   (processes killed during commits), `engine/tests/proof.rs`.
//! * Not yet: power cuts and full disks are not tested on real files. Damage by other causes is
//!   [I13](#i13-damage).
//!
//! ## I4: sealed
//!
//! Secrets on disk are sealed with XChaCha20-Poly1305; a record is bound to its key, the format
//! version and the key epoch. The master key is in the desktop keyring, else in a file with mode
//! 0600, and `keybearer doctor` says which.
//!
//! * Reason: backups and copies of the state directory leave the machine.
//! * Tests: unit tests of `engine/src/store/vault.rs`, `engine/tests/durability.rs`, every case in
//!   `engine/testdata/cases` (the harness checks each record written), `host/tests/store.rs`,
//!   `cli/tests/windows_browser.rs`.
//! * Not yet: the master key is never in a TPM. A store with more than 1 MiB of
//!   records keeps a sealed refresh token after its sign-out until the file is next rewritten.
//!
//! ## I5: secret
//!
//! No secret is in a log, an error, a `Debug` output, an argument list, a panic or a core dump, at
//! any level of detail.
//!
//! * Reason: logs and errors are pasted into issues and collected by other systems.
//! * Tests: the leak check of `testkit/src/leak.rs` after every case of the engine and the CLI, at
//!   trace level; `client/tests/credential.rs`; `python/tests/test_logging.py` and
//!   `test_pickling.py`; `interop/broker` and `interop/python`; the demo.
//! * Not yet: the address of the first page of a sign-in, with its secret path, is in the argument
//!   list of the browser; see [I11](#i11-own-listeners). Copies of secrets in the buffers of D-Bus
//!   and TLS are not wiped.
//!
//! ## I6: one flight
//!
//! At most one token request per cache key is in flight, however many callers wait for its result.
//!
//! * Reason: a provider that detects the re-use of a refresh token revokes the whole session, and a
//!   person must not see two sign-ins for one request.
//! * Tests: `engine/tests/silent.rs`, `engine/src/flights.rs`, `engine/tests/proof.rs`,
//!   `client/tests/credential.rs`, `client/src/flights.rs`.
//! * Limits: this holds within a broker and within a credential. Processes that sign in without a
//!   broker do not share requests.
//!
//! ## I7: deadline
//!
//! Every wait has a deadline, and a request can be cancelled while it waits.
//!
//! * Reason: a program that hangs in `get_token` cannot report what is wrong.
//! * Tests: the contract suite (`testkit/src/contract.rs`) against every broker,
//!   `engine/tests/silent.rs`, `interactive.rs` and `sign_in_options.rs`,
//!   `credential/tests/end_to_end/limits.rs`, `client/tests`.
//!
//! ## I8: right account
//!
//! An account is never used silently in place of another that was asked for.
//!
//! * Reason: a token for the wrong person reads or writes the wrong data, and nothing reports it.
//! * Tests: the contract suite, `engine/tests/silent.rs`, `interactive.rs` and `single_sign_on.rs`,
//!   `engine/src/accounts/registry.rs`, `client/tests`, `cli/tests/program/sign_in.rs`.
//! * Not yet: an account named by its user name is only a hint in an interactive request: if
//!   another person signs in, that person's token is returned. Only a home account id is checked
//!   then.
//!
//! ## I9: own answer
//!
//! A sign-in accepts only its own answer: the listener is bound to loopback before the browser
//! opens, it accepts one answer with the right `state`, PKCE (S256), nonce and issuer are checked,
//! and a wrong answer does not stop the right one.
//!
//! * Reason: any program or web page can send requests to a loopback port.
//! * Tests: `engine/tests/interactive.rs` and `sign_in_options.rs`,
//!   `host/tests/loopback.rs`, `host/tests/window.rs`, unit tests of `protocol/src/authorize.rs`.
//! * Not yet: a program of another user can read and use the pages of a sign-in if it learns their
//!   address; see [I11](#i11-own-listeners).
//!
//! ## I10: clean output
//!
//! Standard output carries the answer of a command and nothing else.
//!
//! * Reason: scripts read the token from it.
//! * Tests: `cli/tests/cmd` and `cli/tests/program`, `cli/tests/windows_browser.rs`,
//!   `host/tests/browser.rs`.
//!
//! ## I11: own listeners
//!
//! Every listener (socket, bus, loopback page, identity endpoint) serves only processes of its own
//! user, verified with the kernel for each connection, and no secret address is in an argument
//! list.
//!
//! * Reason: the loopback interface is shared by all users of a machine, and so are argument lists.
//! * Holds today: on the socket and on the bus ([I2](#i2-same-user)).
//! * Not yet: the loopback listener of a sign-in serves any local user, and the address of its
//!   first page is in the argument list of the browser command.
//!
//! ## I12: bounded
//!
//! What one caller does costs the others at most 100 ms and the broker at most 64 MB, which it
//! gives back.
//!
//! * Reason: one faulty program must not take the tokens away from all others.
//! * Holds today: numbers are limited (512 connections, 128 pending requests per connection).
//! * Not yet: memory is not: the size a message claims is allocated before its body arrives,
//!   replies that are not read pile up, and the number of sign-ins waiting for a person has no
//!   limit.
//!
//! ## I13: damage
//!
//! Damage to the store is noticed when it is opened and is reported; only the records it touched
//! are lost.
//!
//! * Reason: disks and file copies lose bytes, and every lost account is a new sign-in.
//! * Tests: unit tests of `host/src/store/damage.rs` (over 5,000 flipped bits and a sample of all
//!   lengths of a store of 50 accounts; with `KEYBEARER_EXHAUSTIVE=1` each of them),
//!   `host/tests/store.rs`, `engine/tests/durability.rs`.
//! * Not yet: `keybearer accounts` does not show the report. A whole file in place of a newer one is
//!   not noticed.
//!
//! ## I14: as named
//!
//! What a caller named (account, tenant, authority, scope) is used or refused, never dropped.
//!
//! * Reason: a caller that names something depends on it.
//! * Holds today: for tenant, authority and scopes, and for an account named by its home account
//!   id.
//! * Not yet: for an account named by its user name; see [I8](#i8-right-account). No suite covers
//!   this promise as a whole.
