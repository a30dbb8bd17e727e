"""What code under test tries in the action's container. Every test passes when it got nowhere."""

import ctypes
import errno
import os
import signal
import socket
import unittest
from pathlib import Path

# In two halves: what is searched must not be found in the search itself.
CANARY = "canary-of-" + "the-runner"
PORT = 4777


class ProbeTest(unittest.TestCase):
    def nothing(self, reached):
        reached = list(reached)
        self.assertEqual(reached, [], "REACHED")

    def test_variables(self):
        ours = ("INPUT_", "ACTIONS_", "TEST_REPAIR", "DEEPSEEK", "GITHUB_TOKEN", "UV_NO_CONFIG")
        self.nothing(n for n, v in os.environ.items() if n.startswith(ours) or CANARY in v)

    def test_user(self):
        self.assertNotEqual(os.getuid(), 0)
        self.assertNotIn(0, os.getgroups())
        status = Path("/proc/self/status").read_text()
        for line in ("NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"):
            self.assertIn(line, status)

    def test_other_processes(self):
        self.nothing(self.seen_of_processes())

    def seen_of_processes(self):
        for process in Path("/proc").glob("[0-9]*"):
            if process.name == str(os.getpid()):
                continue
            for name in ("environ", "cmdline"):
                content = attempt(lambda: (process / name).read_bytes()) or b""
                if CANARY.encode() in content or (content and name == "environ" and foreign(process.name)):
                    yield f"{process}/{name}"
            if foreign(process.name):
                for name in ("root", "cwd", "fd"):
                    if attempt(lambda: os.listdir(process / name)) is not None:
                        yield f"{process}/{name}"
                if attempt(lambda: open(process / "mem", "rb")):
                    yield f"{process}/mem"

    def test_files_of_the_runner(self):
        self.nothing(self.read_files())

    def read_files(self):
        for top in ("/github", "/home/runner", "/root", "/var/cache/test-repair/run", "/var/cache/test-repair/env"):
            if attempt(lambda: os.listdir(top)) is not None:
                yield top
            for folder, _, files in os.walk(top):
                yield from (f"{folder}/{n}" for n in files if attempt(lambda: Path(folder, n).read_bytes()) is not None)
        # Known by name, where the folder can't be listed.
        known = ["/github/workflow/event.json", "/github/runner_temp/git-credentials-1.config", "/github/workspace/README.md"]
        known += [f"/github/file_commands/{n}_1" for n in ("output", "step_summary", "env", "path", "state")]
        known += ["/etc/shadow", "/entrypoint.sh", "/.dockerenv"]
        yield from (path for path in known if attempt(lambda: open(path, "rb")))

    def test_writing_outside(self):
        self.nothing(self.written())

    def written(self):
        folders = ["/", "/etc", "/usr", "/usr/local/bin", "/opt/uv/python", "/tmp", "/dev/shm", "/var/tmp"]
        folders += ["/var/cache/test-repair", "/github/workspace", "/github/home", "/github/runner_temp", "/run"]
        folders += ["/github/file_commands", "/github/workflow", "/sys/fs/cgroup", "/proc/sys/kernel"]
        for folder in folders:
            path = Path(folder, "written-by-the-probe")
            if attempt(lambda: path.write_text("x")):
                path.unlink()
                yield folder
        files = [f"/github/file_commands/{n}_1" for n in ("output", "step_summary", "env", "path", "state")]
        files += ["/usr/local/bin/test-repair", "/entrypoint.sh", "/etc/passwd", "/proc/1/oom_score_adj"]
        files += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]
        yield from (path for path in files if attempt(lambda: open(path, "ab")))

    def test_engine(self):
        self.nothing(self.connected(["/var/run/docker.sock", "/run/docker.sock", "/github/runner_temp/socket", "\0probe"]))

    def connected(self, addresses):
        for address in addresses:
            if attempt(lambda: use(socket.AF_UNIX, socket.SOCK_STREAM, "connect", address)):
                yield address

    def test_network(self):
        self.nothing(self.sent())

    def sent(self):
        for host in ("127.0.0.1", "1.1.1.1"):
            if attempt(lambda: use(socket.AF_INET, socket.SOCK_STREAM, "connect", (host, PORT))):
                yield f"TCP {host}"
            if attempt(lambda: use(socket.AF_INET, socket.SOCK_DGRAM, "sendto", b"probe", (host, PORT))):
                yield f"UDP {host}"
        for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_ALG, socket.AF_VSOCK):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
                if attempt(lambda: use(family, kind, "fileno")):
                    yield f"socket {family}"
        if attempt(lambda: socket.getaddrinfo("example.com", 443)):
            yield "DNS"

    def test_signals(self):
        self.nothing(p for p in [1, os.getppid()] if foreign(p) and attempt(lambda: os.kill(p, signal.SIGCONT) or True))

    def test_system_calls(self):
        self.nothing(self.called())

    def called(self):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        calls = {
            "ptrace of 1": (101, 0x4206, 1, 0, 0),
            "process_vm_readv of 1": (310, 1, 0, 0, 0, 0, 0),
            "unshare": (272, 0x10000000),
            "setns": (308, -1, 0),
            "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
            "chroot": (161, b"/"),
            "setuid": (105, 0),
            "mknod": (133, b"/tmp/node", 0o20666, 0x103),
            "keyctl": (250, 0, -3, 0, 0, 0),
            "bpf": (321, 0, 0, 0),
            "userfaultfd": (323, 0),
            "perf_event_open": (298, 0, 0, -1, -1, 0),
            "open_by_handle_at": (304, 0, 0, 0),
            "io_uring_setup": (425, 1, 0),
            "x32 getpid": (0x40000000 + 39,),
        }
        for name, arguments in calls.items() if os.uname().machine == "x86_64" else ():
            ctypes.set_errno(0)
            result = libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
            # EFAULT, EBADF and EINVAL come from the call itself: then nothing stood before it.
            if result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
                yield f"{name}: {errno.errorcode.get(ctypes.get_errno(), result)}"

    def test_open_files(self):
        # Standard streams, and the directory that lists them.
        self.nothing(n for n in os.listdir("/proc/self/fd") if int(n) > 3)


def attempt(what):
    """What it gave, `None` when it was refused."""
    try:
        result = what()
    except OSError:
        return None
    if hasattr(result, "close"):
        result.close()
    return result


def use(family, kind, method, *arguments):
    with socket.socket(family, kind) as opened:
        opened.settimeout(2)
        getattr(opened, method)(*arguments)
    return True


def foreign(pid):
    """Is it neither of this run's user, nor gone?"""
    owner = attempt(lambda: os.stat(f"/proc/{pid}").st_uid)
    return int(pid) != os.getpid() and (str(pid) == "1" or owner not in (None, os.getuid()))
