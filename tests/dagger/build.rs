//! Builds the Dockerfiles that the sandbox writes: their steps run for real, each in a scratch root of this machine's
//! programs, with namespaces of its own. What comes from Debian or from a hub is not fetched.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// Where this machine's Python stands, and its minor version.
pub(crate) static PYTHON: LazyLock<(PathBuf, String)> = LazyLock::new(|| {
    let script = "import sys; print(sys.base_prefix); print('%d.%d' % sys.version_info[:2])";
    let output = Command::new("python3").args(["-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (prefix, version) = text.trim().split_once('\n').unwrap();
    (prefix.into(), version.to_owned())
});

/// Can a step be run here? That takes root, and namespaces.
pub(crate) fn can_build() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--pid", "--net", "--fork", "true"]).output();
    nix::unistd::geteuid().is_root() && tried.is_ok_and(|output| output.status.success())
}

/// A step that ended badly.
pub(crate) struct Failed {
    pub(crate) command: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Builds, and keeps layers by what they are made of.
pub(crate) struct Builder {
    layers: PathBuf,
    /// The steps that were run, in order.
    pub(crate) ran: Vec<String>,
}

impl Builder {
    pub(crate) fn new(layers: PathBuf) -> Builder {
        fs::create_dir(&layers).unwrap();
        Builder { layers, ran: Vec::new() }
    }

    /// The image of this machine's Python, and no other.
    pub(crate) fn has_image(&self, name: &str) -> bool {
        let version = &PYTHON.1;
        name == format!("python:{version}-slim-bookworm") || name == "python:3.12-slim-bookworm"
    }

    /// The root of the last stage.
    pub(crate) fn build(&mut self, dockerfile: &str, context: &Path) -> Result<PathBuf, Failed> {
        let mut stages: BTreeMap<String, String> = BTreeMap::new();
        let (mut layer, mut stage) = (String::new(), String::new());
        for line in dockerfile.lines().filter(|line| !line.trim().is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap();
            match word {
                "FROM" => {
                    let (from, name) = rest.split_once(" AS ").unwrap();
                    layer = match stages.get(from) {
                        Some(layer) => layer.clone(),
                        None => self.image(from),
                    };
                    stage = name.to_owned();
                }
                "RUN" if stage == "system" => {
                    // From Debian and PyPI: here it is this machine's. All of it is one line of ours.
                    assert!(rest.contains("apt-get") || rest.contains("--require-hashes"), "{rest}");
                }
                "RUN" => layer = self.run(&layer, rest, context)?,
                "COPY" => {
                    let mut words = rest.split_whitespace();
                    let from = words.next().unwrap().strip_prefix("--from=").unwrap();
                    let (source, target) = (words.next().unwrap(), words.next().unwrap());
                    let source = self.layers.join(&stages[from]).join(source.trim_matches('/'));
                    let copied = self.layers.join(&layer).join(target.trim_matches('/'));
                    assert!(Command::new("cp").arg("-aT").args([source, copied]).status().unwrap().success());
                }
                other => panic!("{other} is not written by the sandbox"),
            }
            stages.insert(stage.clone(), layer.clone());
        }
        Ok(self.layers.join(layer))
    }

    /// A root with nothing in it, or an image's: what no program is in.
    fn image(&self, name: &str) -> String {
        let layer = if name == "scratch" { format!("scratch-{}", fastrand::u64(..)) } else { "image".to_owned() };
        let root = self.layers.join(&layer);
        if name == "scratch" {
            fs::create_dir(&root).unwrap();
        } else if !root.exists() {
            for folder in ["tmp", "opt", "proc", "dev", "sys", "etc", "var", "root"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
            let passwd = "root:x:0:0:root:/root:/bin/sh\nrunner:x:1001:1001:runner:/tmp:/bin/bash\n";
            fs::write(root.join("etc/passwd"), passwd).unwrap();
            fs::write(root.join("etc/group"), "root:x:0:\nrunner:x:1001:\n").unwrap();
            fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
            for file in ["resolv.conf", "nsswitch.conf", "pip.conf", "ld.so.cache"] {
                let _ = fs::copy(Path::new("/etc").join(file), root.join("etc").join(file));
            }
        }
        layer
    }

    fn run(&mut self, parent: &str, line: &str, context: &Path) -> Result<String, Failed> {
        let (mut network, mut mounts, mut rest) = (true, Vec::new(), line);
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, more) = flag.split_once(' ').unwrap();
            rest = more.trim_start();
            match flag.split_once('=').unwrap() {
                ("network", mode) => {
                    assert_eq!(mode, "none");
                    network = false;
                }
                ("mount", options) => {
                    let option = |name: &str| {
                        let named = options.split(',').find_map(|o| o.strip_prefix(name)?.strip_prefix('='));
                        named.unwrap().to_owned()
                    };
                    assert_eq!(option("type"), "bind");
                    mounts.push((context.join(option("source")), option("target")));
                }
                (other, _) => panic!("{other} is not written by the sandbox"),
            }
        }
        let mut hash = DefaultHasher::new();
        (parent, line).hash(&mut hash);
        mounts.iter().for_each(|(source, _)| digest(source, &mut hash));
        let layer = format!("{:016x}", hash.finish());
        let root = self.layers.join(&layer);
        if root.exists() {
            return Ok(layer);
        }
        self.ran.push(rest.to_owned());
        let new = self.layers.join(format!("{layer}.new"));
        assert!(Command::new("cp").arg("-aT").args([&self.layers.join(parent), &new]).status().unwrap().success());
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--ipc", "--fork", "--kill-child"])
            .args((!network).then_some("--net"))
            .args(["/bin/sh", "-eu", "-c", ROOM])
            .args(["room", new.to_str().unwrap(), PYTHON.0.to_str().unwrap(), rest])
            .args(mounts.iter().flat_map(|(source, target)| [source.to_str().unwrap(), target]))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
            .output()
            .unwrap();
        if !output.status.success() {
            let _ = fs::remove_dir_all(&new);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Err(Failed {
                command: rest.to_owned(),
                code: output.status.code().unwrap_or(137),
                stdout: text(&output.stdout),
                stderr: text(&output.stderr),
            });
        }
        fs::rename(new, root).unwrap();
        Ok(layer)
    }
}

/// Mounts this machine's programs and what the step mounts into the root, and runs the step in it.
const ROOM: &str = r#"
root=$1 python=$2 command=$3
shift 3
mount --make-rprivate /
for name in usr bin sbin lib lib64; do
    if [ -L /$name ]; then ln -sfn "$(readlink /$name)" "$root/$name"
    elif [ -d /$name ]; then mkdir -p "$root/$name"; mount --bind /$name "$root/$name"; fi
done
case $python in
    /usr) mkdir -p "$root/tmp/.local/bin"; ln -sf /usr/bin/python3 "$root/tmp/.local/bin/python3"; mount --bind "$root/tmp/.local" "$root/usr/local" ;;
    *) mount --bind "$python" "$root/usr/local" ;;
esac
for name in ssl alternatives ca-certificates; do
    if [ -d /etc/$name ]; then mkdir -p "$root/etc/$name"; mount --bind /etc/$name "$root/etc/$name"; fi
done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
"$python/bin/python3" - <<'UP' || true
import fcntl, socket, struct
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
UP
exec chroot "$root" /bin/sh -c "$command"
"#;

fn digest(path: &Path, hash: &mut DefaultHasher) {
    for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
        let entry = entry.unwrap();
        entry.path().strip_prefix(path).unwrap().hash(hash);
        if entry.file_type().is_file() {
            fs::read(entry.path()).unwrap().hash(hash);
        } else if entry.file_type().is_symlink() {
            fs::read_link(entry.path()).unwrap().hash(hash);
        }
    }
}
