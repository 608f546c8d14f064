//! A program that outlives the process that started it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Starts `command` as a process without a parent, with a session of its own, which holds none of
/// the caller's files: a program that waits for its children, or holds a lock by a descriptor, must
/// not wait for it. The child that is returned ends at once; its standard streams are the program's.
///
/// # Errors
/// Those of [`Command::spawn`].
#[allow(unsafe_code, reason = "a child has to be forked once more before it becomes the program")]
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    // SAFETY: what runs between fork and exec allocates nothing and takes no lock; the functions it
    // calls are system calls.
    unsafe { command.pre_exec(detach) };
    command.spawn()
}

/// Continues as the child of a child that has ended.
///
/// The system call and not `fork`, whose handlers of other libraries take locks that a thread which
/// is not in this process may hold.
#[allow(unsafe_code, reason = "fork has no safe form")]
fn detach() -> std::io::Result<()> {
    let (signal, none) = (libc::c_long::from(libc::SIGCHLD), 0);
    // clone(2): on s390x the stack comes before the flags.
    let [first, second] = if cfg!(target_arch = "s390x") { [none, signal] } else { [signal, none] };
    // SAFETY: this process has one thread, for it was just forked, and the child continues with a
    // copy of its stack.
    match unsafe { libc::syscall(libc::SYS_clone, first, second, none, none, none) } {
        -1 => return Err(std::io::Error::last_os_error()),
        0 => {}
        // SAFETY: the process ends at once, without running any destructor or handler of the
        // caller's.
        _ => unsafe { libc::_exit(0) },
    }
    rustix::process::setsid()?;
    close_on_exec_from(3);
    Ok(())
}

/// Marks every descriptor from this one on to be closed when the program takes over.
#[allow(unsafe_code, reason = "descriptors of others are known by their numbers only")]
fn close_on_exec_from(first: u32) {
    // SAFETY: no descriptor is closed before the program is another.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // A kernel before 5.11.
    const USUAL_LIMIT: i32 = 1024;
    for descriptor in first.cast_signed()..USUAL_LIMIT {
        // SAFETY: a number that is no descriptor is an error that changes nothing.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
