use super::Tried;

const SETUP: &str = "import os\nfrom setuptools import setup\n\nsetup(name='x', install_requires=['a'])\n";
const PROJECT: &str = "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = \"x\"\n";

#[test]
fn a_new_or_changed_setup_py_is_refused_unless_the_failure_explains_it() {
    Tried::new().add("setup.py", SETUP).category("unit_test").is_refused_by("build-changed");
    let changed = SETUP.replace("['a']", "['a', 'b']");
    let edit = || Tried::new().edit("setup.py", SETUP, &changed);
    edit().category("unit_test").is_refused_by("build-changed");
    edit().category("import_dependency").passes();
    let moved = SETUP.replace("setup(name", "setup(\n    name");
    Tried::new().edit("setup.py", SETUP, &moved).category("lint").passes();
}

#[test]
fn setup_py_may_not_load_what_the_change_brings() {
    let after = SETUP.replace("import os\n", "import os\nfrom hooks import NAME\n");
    Tried::new()
        .edit("setup.py", SETUP, &after)
        .add("hooks.py", "NAME = 'x'\n")
        .category("import_dependency")
        .is_refused_by("build-changed");
}

#[test]
fn the_build_backend_is_refused_unless_the_failure_explains_it() {
    let edit = |more: &str| Tried::new().edit("pyproject.toml", PROJECT, &PROJECT.replace("[project]", more));
    for more in ["backend-path = [\"tools\"]\n[project]", "[tool.hatch.build.hooks.custom]\npath = \"x.py\"\n[project]"]
    {
        edit(more).category("unit_test").is_refused_by("build-changed");
    }
    edit("[project]\ndescription = \"y\"").category("unit_test").passes();
    let pinned = PROJECT.replace("\"setuptools\"]", "\"setuptools<80\"]");
    Tried::new().edit("pyproject.toml", PROJECT, &pinned).category("unit_test").is_refused_by("build-changed");
    Tried::new().edit("pyproject.toml", PROJECT, &pinned).category("build").passes();
}

#[test]
fn effects_are_seen_wherever_loading_evaluates_them() {
    let files = ["tests/conftest.py", "pkg/__init__.py"];
    for code in [
        "X = [open('a.pth', 'w').write('x') for _ in 'a']\n",
        "X = os.system('true')\n",
        "def f(x=os.system('true')):\n    return x\n",
        "class A:\n    x = subprocess.run(['true'])\n",
        "def probe():\n    return socket.socket().connect(('x', 1))\n\n\nX = probe()\n",
        "import os as system\nX = system.unlink('x')\n",
        "from pathlib import Path as P\nX = P('x').write_text('y')\n",
        "X = eval('1')\n",
        "@exec\ndef f():\n    pass\n\n\nX = urllib.request.urlopen('x')\n",
    ] {
        for file in files {
            Tried::new().edit(file, "", code).is_refused_by("loadable-effect");
        }
    }
    for code in [
        "import os\n\nHERE = os.path.dirname(os.path.abspath(__file__))\n",
        "X = open('a.txt').read()\n",
        "def f():\n    return os.unlink('x')\n",
        "X = lambda: os.unlink('x')\n",
        "import os\n\nSLOW = os.environ.get('SLOW')\n",
    ] {
        for file in files {
            Tried::new().edit(file, "", code).passes();
        }
    }
}

#[test]
fn imported_names_are_known_under_any_name() {
    let edit = |after: &str| Tried::new().edit("pkg/other.py", "X = 1\n", after);
    edit("import os as system\n\n\ndef f():\n    system._exit(0)\n").is_refused_by("forced-exit");
    edit("from os import _exit as done\n\n\ndef f():\n    done(0)\n").is_refused_by("forced-exit");
    edit("import posix\n\n\ndef f():\n    posix._exit(0)\n").is_refused_by("forced-exit");
    edit("import sys as s\n\n\ndef f():\n    s.modules['rich'] = 1\n").is_refused_by("module-faked");
    edit("import os as system\n\n\ndef f():\n    return system.path.join('a', 'b')\n").passes();
}
