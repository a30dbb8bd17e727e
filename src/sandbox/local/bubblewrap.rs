//! bubblewrap's arguments for one run.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::layout::Step;

/// Where our own program is seen inside; it confines itself further and then becomes the run.
const LAUNCHER: &str = "/run/test-repair";

/// bubblewrap, where the machine has it in a place that only root can write.
pub(super) fn find() -> Option<PathBuf> {
    ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"].map(PathBuf::from).into_iter().find(|path| {
        fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0 && meta.mode() & 0o111 != 0)
    })
}

/// The whole command line; the last argument names the descriptor of the inner specification.
pub(super) fn arguments(steps: &[Step], network: bool, inner: i32, status: i32) -> io::Result<Vec<OsString>> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add =
        |words: &[&dyn AsRef<std::ffi::OsStr>]| args.extend(words.iter().map(|word| word.as_ref().to_owned()));
    add(&[&"--unshare-pid", &"--unshare-ipc", &"--unshare-uts", &"--hostname", &"sandbox", &"--as-pid-1"]);
    add(&[&"--new-session", &"--die-with-parent", &"--cap-drop", &"ALL"]);
    if nix::unistd::geteuid().is_root() {
        // Just enough to become the run's own user; it drops the rest.
        for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
            add(&[&"--cap-add", &capability]);
        }
    }
    if !network {
        add(&[&"--unshare-net"]);
    }
    let mut made = std::collections::BTreeSet::new();
    for step in steps {
        if let Step::Symlink { at, .. } | Step::Bind { at, .. } = step {
            // It would make parents that only root can pass.
            let mut parents: Vec<&Path> = at.ancestors().skip(1).filter(|parent| parent.parent().is_some()).collect();
            parents.reverse();
            for parent in parents.into_iter().filter(|parent| made.insert(parent.to_path_buf())) {
                add(&[&"--dir", &parent]);
            }
        }
        match step {
            Step::Symlink { to, at } => add(&[&"--symlink", to, at]),
            Step::Bind { from, at, writable } => add(&[&if *writable { "--bind" } else { "--ro-bind" }, from, at]),
            Step::Proc => add(&[&"--proc", &"/proc"]),
            Step::Devices => add(&[&"--dev", &"/dev"]),
        }
    }
    let ourselves: PathBuf = std::env::current_exe()?;
    add(&[&"--ro-bind", &ourselves, &LAUNCHER, &"--remount-ro", &"/", &"--chdir", &"/", &"--"]);
    add(&[&Path::new(LAUNCHER), &"sandbox-supervise", &"--enter", &inner.to_string(), &status.to_string()]);
    Ok(args)
}
