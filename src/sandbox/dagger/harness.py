"""Runs one command of a repository inside a container, and says what came of it.

Started as root by a generated Dockerfile, with the path of a JSON file (harness.rs writes it and reads the answer). The
command itself is a user without rights, who can neither write the answer nor reach this process. Python 3.6 and later,
the image's own, with nothing but the standard library.
"""

import base64
import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.parse

POLL = 0.05  # seconds
HERE = "/opt/test-repair"
ANSWERS = "/out"
BEGUN = HERE + "/tree.json"
# Bytes of changed files that are brought back; more is only named.
MOST = 48 << 20


def drop_rights(uid):
    libc = ctypes.CDLL(None, use_errno=True)

    def drop():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        for capability in range(64):
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
            os._exit(126)
        os.umask(0o022)

    return drop


def as_user(uid, what):
    """Does what could be led elsewhere, by links that an installation left, with the rights of that installation."""
    child = os.fork()
    if child == 0:
        try:
            drop_rights(uid)()
            what()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def alive(uid):
    """The user's processes: threads and resident bytes of each."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/status" % name) as file:
                status = dict(line.split(":", 1) for line in file if ":" in line)
            if int(status["Uid"].split()[0]) != uid or status["State"].split()[0] == "Z":
                continue
            with open("/proc/%s/statm" % name) as file:
                resident = int(file.read().split()[1]) * page
            found[int(name)] = (int(status["Threads"]), resident)
        except (OSError, KeyError, IndexError, ValueError):
            continue
    return found


def kill_all(uid):
    for _ in range(200):
        left = alive(uid)
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)


class Kept:
    """The beginning and the end of an output."""

    def __init__(self, most):
        self.half = max(most // 2, 1)
        self.head = bytearray()
        self.tail = bytearray()
        self.dropped = 0

    def add(self, data):
        room = self.half - len(self.head)
        self.head += data[:room]
        self.tail += data[room:] if room > 0 else data
        if len(self.tail) > 2 * self.half:
            self.cut()

    def cut(self):
        over = len(self.tail) - self.half
        if over > 0:
            self.dropped += over
            del self.tail[:over]

    def text(self):
        self.cut()
        return bytes(self.head + self.tail)


def run(spec):
    """What the command printed, how it ended, and how long it took."""
    uid = spec["uid"]
    cwd = spec["cwd"] if os.path.isdir(spec["cwd"]) else spec["tree"]
    kept = Kept(spec["output"])
    begun = time.monotonic()
    child = subprocess.Popen(
        ["/bin/bash", "-e", "-c", spec["script"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=spec["env"],
        start_new_session=True,
        preexec_fn=drop_rights(uid),
    )
    pipe = child.stdout.fileno()
    os.set_blocking(pipe, False)
    selector = selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ)
    ended, looked, open_ = None, 0.0, True

    def drain():
        while True:
            try:
                data = os.read(pipe, 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            kept.add(data)

    while child.poll() is None:
        if open_ and selector.select(POLL):
            open_ = drain()
            if not open_:
                selector.unregister(pipe)
        elif not open_:
            time.sleep(POLL)
        now = time.monotonic()
        if now - begun > spec["wall"]:
            ended = "wall_time"
        elif now - looked > POLL:
            looked = now
            processes = alive(uid)
            if sum(resident for _, resident in processes.values()) > spec["memory"]:
                ended = "memory"
            elif sum(threads for threads, _ in processes.values()) > spec["processes"]:
                ended = "processes"
        if ended:
            break
    if ended is None and open_:
        open_ = drain()
    kill_all(uid)
    code = child.wait()
    seconds = time.monotonic() - begun
    if open_:
        drain()
    answer = {"seconds": seconds, "dropped": 0, "code": code, "killed": ended}
    answer["output"] = base64.b64encode(kept.text()).decode()
    answer["dropped"] = kept.dropped
    return answer


def walk(root):
    """The files of a tree (not of its history) by their relative paths."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in files + links:
            path = os.path.join(folder, name)
            try:
                about = os.lstat(path)
            except OSError:
                continue
            found[os.path.relpath(path, root)] = about
    return found


def mark(about):
    return (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_mode)


def changed(root, before):
    """What the files of a tree are now, where they were not the same before, and which are gone."""
    after = walk(root)
    files, left = [], MOST
    for path, about in sorted(after.items()):
        if path in before and mark(about) == mark(before[path]):
            continue
        try:
            path.encode()
            if stat.S_ISLNK(about.st_mode):
                files.append({"path": path, "link": os.readlink(os.path.join(root, path))})
            elif stat.S_ISREG(about.st_mode) and about.st_size <= left:
                left -= about.st_size
                with open(os.path.join(root, path), "rb") as file:
                    content = file.read(about.st_size)
                executable = bool(about.st_mode & 0o100)
                files.append({"path": path, "content": base64.b64encode(content).decode(), "executable": executable})
            elif stat.S_ISREG(about.st_mode):
                files.append({"path": path, "too_large": True})
        except (OSError, UnicodeError):
            continue
    gone = [path for path in before if path not in after]
    return files, [path for path in gone if path.isprintable()]


def report(path):
    """A report that the command may have replaced by anything."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > MOST:
            return None
        return base64.b64encode(opened.read(MOST)).decode()


def check(spec):
    before = walk(spec["tree"])
    answer = run(spec)
    answer["changed"], answer["gone"] = changed(spec["tree"], before)
    answer["report"] = report(spec["report"]) if spec.get("report") else None
    return answer


def local_copy(origin, home):
    """Does a direct_url.json name something of this machine, and no editable installation (PEP 610)?"""
    url = origin.get("url", "")
    if not url.startswith("file:") or origin.get("dir_info", {}).get("editable") is True:
        return False
    path = urllib.parse.unquote(url[len("file:"):])
    return not (path[2:] if path.startswith("//") else path).startswith(home + "/")


def copied(tree, places, home):
    """Is the tree itself installed below one of the places, and not only pointed at?"""
    modules = {}
    for path, about in walk(tree).items():
        if path.endswith(".py") and about.st_size > 0 and path in begun():
            modules.setdefault((os.path.basename(path), about.st_size), []).append(path)
    for place in places:
        for folder, _, files in os.walk(place):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    if name == "direct_url.json":
                        with open(path) as file:
                            if local_copy(json.load(file), home):
                                return True
                    elif "site-packages" in folder and "_vendor" not in folder:
                        for module in modules.get((name, os.lstat(path).st_size), []):
                            with open(path, "rb") as one, open(os.path.join(tree, module), "rb") as other:
                                if one.read() == other.read():
                                    return True
                except (OSError, ValueError):
                    continue
    return False


def begun():
    if begun.files is None:
        with open(BEGUN) as file:
            begun.files = set(json.load(file))
    return begun.files


begun.files = None


def lay(source, spec):
    """Lays the tree out, in place of what an installation has left where it goes. From above: no link is gone through."""
    for folder, folders, files in os.walk(source):
        to = os.path.join(spec["tree"], os.path.relpath(folder, source))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in set(folders).difference(links):
            path = os.path.join(to, name)
            if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
                os.unlink(path)
        for name in files + links:
            path = os.path.join(to, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
    subprocess.check_call(["cp", "-a", "--remove-destination", source + "/.", spec["tree"] + "/"])
    subprocess.check_call(["chown", "-R", "-h", "%d:%d" % (spec["uid"], spec["uid"]), spec["tree"]])


def begin(spec):
    """Notes what the tree is made of before anything is installed."""
    with open(BEGUN, "w") as file:
        json.dump(sorted(walk(spec["tree"])), file)


def finish(spec):
    """What was installed; of the tree only what the installation put there stays."""
    answer = run(spec)
    answer["copied"] = copied(spec["tree"], [spec["venv"], spec["home"], spec["tree"]], spec["home"])
    answer["python"] = "%d.%d.%d" % sys.version_info[:3]
    tree = begun()
    as_user(spec["uid"], lambda: clean(spec, tree))
    os.makedirs(spec["tree"], exist_ok=True)
    os.chown(spec["tree"], spec["uid"], spec["uid"])
    return answer


def clean(spec, tree):
    for path in tree:
        try:
            os.unlink(os.path.join(spec["tree"], path))
        except OSError:
            continue
    subprocess.call(["rm", "-rf", os.path.join(spec["tree"], ".git")])
    for folder, _, _ in os.walk(spec["tree"], topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue
    for cache in ("pip", "uv"):
        subprocess.call(["rm", "-rf", os.path.join(spec["home"], ".cache", cache)])


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    os.makedirs(ANSWERS, mode=0o700, exist_ok=True)
    for folder in spec["folders"]:
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, spec["uid"], spec["uid"])
    if len(sys.argv) > 2:
        lay(sys.argv[2], spec)
    if spec["does"] == "begin":
        return begin(spec)
    answer = {"install": run, "check": check, "finish": finish}[spec["does"]](spec)
    if spec["does"] == "install":
        if answer["code"] != 0 or answer["killed"]:
            # No result of a failed installation is kept by a cache: what failed may have been the network.
            sys.stdout.write(json.dumps(answer))
            sys.stdout.flush()
            sys.exit(97)
        return None
    with open(os.path.join(ANSWERS, spec["does"] + ".json"), "w") as file:
        json.dump(answer, file)


main()
