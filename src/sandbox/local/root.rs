//! Makes the root directory of a run ourselves, in a mount namespace of its own.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{
    layout::{self, Step},
    sys,
};

/// Where the machine's root is until everything is bound.
const OLD: &str = "/.machine";

/// Builds the root at `base` from the steps and moves into it. The machine's own root is out of reach after.
pub(super) fn enter(base: &Path, steps: &[Step]) -> io::Result<()> {
    mount_or("/", None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_or("the root", Some(Path::new("tmpfs")), base, Some("tmpfs"), flags, Some("mode=755,size=4m"))?;
    let old = base.join(&OLD[1..]);
    fs::create_dir(&old)?;
    nix::unistd::pivot_root(base, &old)?;
    std::env::set_current_dir("/")?;
    for step in steps {
        make(step).map_err(|error| io::Error::new(error.kind(), format!("{step:?}: {error}")))?;
    }
    umount2(OLD, MntFlags::MNT_DETACH)?;
    fs::remove_dir(OLD)?;
    sys::mount_attributes(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false)
}

fn make(step: &Step) -> io::Result<()> {
    match step {
        Step::Symlink { to, at } => {
            parent_of(at)?;
            symlink(to, at)
        }
        Step::Bind { from, at, writable } => bind(&old(from), at, *writable),
        Step::Proc => {
            fs::create_dir("/proc")?;
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount_or("/proc", Some(Path::new("proc")), Path::new("/proc"), Some("proc"), flags, None)?;
            // Kernel settings ask for the machine's root only, with or without capabilities.
            ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"]
                .map(|name| Path::new("/proc").join(name))
                .iter()
                .filter(|path| path.exists())
                .try_for_each(|path| bind(path, path, false))
        }
        Step::Devices => devices(),
    }
}

fn bind(from: &Path, at: &Path, writable: bool) -> io::Result<()> {
    if layout::is_dir(from) {
        fs::create_dir_all(at)?;
    } else if !at.exists() {
        parent_of(at)?;
        fs::File::create(at)?;
    }
    mount_or("bind", Some(from), at, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
    sys::mount_attributes(at, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | read_only, true)
}

fn devices() -> io::Result<()> {
    fs::create_dir("/dev")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount_or("/dev", Some(Path::new("tmpfs")), Path::new("/dev"), Some("tmpfs"), flags, Some("mode=755,size=64k"))?;
    for name in ["null", "zero", "full", "random", "urandom"] {
        let at = Path::new("/dev").join(name);
        fs::File::create(&at)?;
        mount_or(name, Some(&old(&at)), &at, None, MsFlags::MS_BIND, None)?;
    }
    for (name, to) in [("fd", "self/fd"), ("stdin", "self/fd/0"), ("stdout", "self/fd/1"), ("stderr", "self/fd/2")] {
        symlink(Path::new("/proc").join(to), Path::new("/dev").join(name))?;
    }
    fs::create_dir("/dev/pts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let terminals = Some("newinstance,ptmxmode=0666,mode=620");
    mount_or("/dev/pts", Some(Path::new("devpts")), Path::new("/dev/pts"), Some("devpts"), flags, terminals)?;
    symlink("pts/ptmx", "/dev/ptmx")?;
    fs::create_dir("/dev/shm")?;
    fs::set_permissions("/dev/shm", fs::Permissions::from_mode(0o755))
}

fn old(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn parent_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn mount_or(
    what: &str,
    from: Option<&Path>,
    at: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> io::Result<()> {
    mount(from, at, kind, flags, data).map_err(|errno| io::Error::other(format!("can't mount {what}: {errno}")))
}
