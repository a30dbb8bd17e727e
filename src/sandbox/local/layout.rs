//! The root directory a run sees: the system's parts, what it was given, and nothing else.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::{records::Slot, spec::Spec};

/// One step in making the root, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Symlink { to: PathBuf, at: PathBuf },
    Bind { from: PathBuf, at: PathBuf, writable: bool },
    Proc,
    Devices,
}

/// Parts of the system, where they exist.
pub(super) const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What Python, git, pip, OpenSSL and the loader read. Accounts, resolver and hosts are made, not shown.
pub(super) const ETC: [&str; 30] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "ImageMagick-6",
    "java-11-openjdk",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "python3",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];

/// Directories that no run may have as a whole.
const TOO_BROAD: [&str; 12] =
    ["/", "/home", "/root", "/etc", "/usr", "/proc", "/dev", "/sys", "/run", "/var", "/tmp", "/var/run"];

/// The steps for one run; files that are made lie in the slot's directory.
pub(super) fn plan(spec: &Spec, slot: &Slot) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for path in SYSTEM.map(PathBuf::from) {
        show(&path, &mut steps);
    }
    for name in ETC {
        show(&Path::new("/etc").join(name), &mut steps);
    }
    for (name, text) in made_files(spec, slot.uid) {
        let from = slot.dir.join("files").join(name);
        fs::write(&from, text)?;
        steps.push(Step::Bind { from, at: Path::new("/etc").join(name), writable: false });
    }
    steps.push(Step::Proc);
    steps.push(Step::Devices);
    steps.push(Step::Bind { from: slot.dir.join("shm"), at: "/dev/shm".into(), writable: true });
    steps.push(Step::Bind { from: slot.dir.join("tmp"), at: "/tmp".into(), writable: true });
    steps.push(Step::Symlink { to: "../tmp".into(), at: "/var/tmp".into() });
    let mut given: Vec<(&PathBuf, bool)> =
        spec.readable.iter().map(|path| (path, false)).chain(spec.writable.iter().map(|path| (path, true))).collect();
    // Outer ones first, so that inner ones are seen; what is both is writable.
    given.sort_by_key(|(path, writable)| (path.components().count(), *writable));
    for (path, writable) in given {
        let from = path
            .canonicalize()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        if from != *path {
            steps.push(Step::Bind { from: from.clone(), at: from.clone(), writable });
        }
        steps.push(Step::Bind { from, at: path.clone(), writable });
    }
    steps.extend(spec.laid.iter().map(|(from, at)| Step::Bind { from: from.clone(), at: at.clone(), writable: false }));
    Ok(steps)
}

/// A path as the machine has it: a link stays a link where its target is shown too, else its content is shown.
fn show(path: &Path, steps: &mut Vec<Step>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if !meta.is_symlink() {
        steps.push(Step::Bind { from: path.into(), at: path.into(), writable: false });
        return;
    }
    let (Ok(to), Ok(from)) = (fs::read_link(path), path.canonicalize()) else { return };
    if from.starts_with("/usr") {
        steps.push(Step::Symlink { to, at: path.into() });
    } else {
        steps.push(Step::Bind { from, at: path.into(), writable: false });
    }
}

fn made_files(spec: &Spec, uid: Option<u32>) -> Vec<(&'static str, String)> {
    let uid = uid.unwrap_or_else(|| inner_uid(nix::unistd::geteuid().as_raw()));
    let home = spec.env.get("HOME").map_or("/tmp", String::as_str).replace([':', '\n'], "_");
    let mut passwd =
        String::from("root:x:0:0:root:/nonexistent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n");
    let mut group = String::from("root:x:0:\nnogroup:x:65534:\n");
    if uid != 0 {
        passwd.push_str(&format!("runner:x:{uid}:{uid}:runner:{home}:/bin/bash\n"));
        group.push_str(&format!("runner:x:{uid}:\n"));
    }
    let own_hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 sandbox\n";
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (hosts, resolver) = match spec.network {
        true => (read("/etc/hosts"), read("/etc/resolv.conf")),
        false => (own_hosts.to_owned(), String::new()),
    };
    vec![("passwd", passwd), ("group", group), ("hosts", hosts), ("resolv.conf", resolver)]
}

/// The number of our user inside a user namespace: the same, but never root.
pub(super) fn inner_uid(uid: u32) -> u32 {
    if uid == 0 { 1000 } else { uid }
}

/// Why a path can't be given to a run.
pub(super) fn refusal(path: &Path, writable: bool) -> Option<String> {
    let shown = path.display();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Some(format!("{shown} is not an absolute path"));
    }
    let Ok(real) = path.canonicalize() else { return Some(format!("{shown} does not exist")) };
    let broad = |path: &Path| TOO_BROAD.iter().any(|broad| path == Path::new(broad));
    if broad(path) || broad(&real) {
        return Some(format!("{shown} is too much to give to a run"));
    }
    if writable && SYSTEM.iter().any(|system| real.starts_with(system)) {
        return Some(format!("{shown} belongs to the system and can't be writable"));
    }
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(&real).is_ok_and(|meta| meta.file_type().is_socket()).then(|| format!("{shown} is a socket"))
}

/// Whether a file is a directory, following links.
pub(super) fn is_dir(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.mode() & libc::S_IFMT == libc::S_IFDIR)
}
