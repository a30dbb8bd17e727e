//! The few system calls that neither the standard library nor nix offers safely: the only unsafe code of the room.
//!
//! All of it runs in the supervisor, which is a process of its own with a single thread.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
    time::Duration,
};

use nix::unistd::{ForkResult, Pid};

/// What [`poll`] saw on one descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// There is something to read.
    pub(super) readable: bool,
    /// The other side is gone.
    pub(super) hung_up: bool,
}

/// Forks; `None` in the child.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: only supervisors call this, and they never start a thread, so the child may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Ends a forked child at once, without the parent's exit handlers.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any value and does not return.
    unsafe { libc::_exit(code) }
}

/// Takes over a descriptor that a parent left open for us under this number.
pub(super) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 3 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: F_SETFD fails with EBADF when the number is not open, and is harmless otherwise.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the parent passed it to this process to own; nothing else here knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a descriptor survive the next exec.
pub(super) fn keep_over_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the borrow.
    done(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }.into())
}

/// Closes every descriptor from `first` on when the process next execs.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: with this flag nothing is closed now, so no owner loses its descriptor.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) })
}

/// Waits until one of the descriptors has something, for at most `timeout`.
pub(super) fn poll<const N: usize>(fds: [Option<BorrowedFd<'_>>; N], timeout: Duration) -> io::Result<[Ready; N]> {
    let mut list =
        fds.map(|fd| libc::pollfd { fd: fd.map_or(-1, |fd| fd.as_raw_fd()), events: libc::POLLIN, revents: 0 });
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the length describe `list`, which lives across the call.
    let n = unsafe { libc::poll(list.as_mut_ptr(), N as libc::nfds_t, millis) };
    if n < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok([Ready::default(); N]) } else { Err(error) };
    }
    Ok(list.map(|fd| Ready {
        readable: fd.revents & libc::POLLIN != 0,
        hung_up: fd.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0,
    }))
}

/// A descriptor that becomes readable when the process ends.
pub(super) fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the result is checked.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds mount attributes (`MOUNT_ATTR_*`) to a mount and to all mounts below it.
pub(super) fn mount_attributes(at: &Path, attributes: u64, recursive: bool) -> io::Result<()> {
    let path = c_path(at)?;
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is a C string and `attr` a mount_attr of the given size; both live across the call.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// Brings the loopback interface of this network namespace up.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: plain integers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives across the call.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
}

/// Empties the bounding and ambient sets, so that no exec gives a capability back.
pub(super) fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: plain integers; unknown capabilities give EINVAL.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::EINVAL) && capability > 30 {
                break;
            }
            return Err(error);
        }
    }
    // SAFETY: plain integers.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Ok(())
}

/// Empties the effective, permitted and inheritable sets.
pub(super) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let sets = [0_u32; 6];
    // SAFETY: version 3 reads a header of two words and two triples of sets; both live across the call.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })
}

/// Drops all supplementary groups, and becomes this user and group for good.
pub(super) fn become_user(uid: u32) -> io::Result<()> {
    nix::unistd::setgroups(&[])?;
    let (gid, uid) = (nix::unistd::Gid::from_raw(uid), nix::unistd::Uid::from_raw(uid));
    nix::unistd::setresgid(gid, gid, gid)?;
    Ok(nix::unistd::setresuid(uid, uid, uid)?)
}

/// Tries a system call that the filter must deny; what the kernel answered.
pub(super) fn attempt(number: libc::c_long, args: [libc::c_long; 3]) -> io::Result<()> {
    // SAFETY: used by the probe only, with calls that read no memory for these arguments: socket, unshare, ptrace.
    done(unsafe { libc::syscall(number, args[0], args[1], args[2]) })
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A path as the kernel wants it.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Sets a signal's handling to a plain one.
pub(super) fn default_signal(signal: nix::sys::signal::Signal) -> io::Result<()> {
    // SAFETY: the default action runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) }?;
    Ok(())
}
