"""Prints the public modules of the standard library that a name is at home in, one a line."""
import importlib
import sys

# What opens windows or browsers, prints, warns, or only repeats other modules.
LEFT_OUT = {
    "antigravity", "this", "idlelib", "lib2to3", "turtle", "turtledemo", "tkinter", "test", "ensurepip", "pydoc_data",
    "posixpath", "ntpath", "genericpath", "sre_compile", "sre_constants", "sre_parse", "imp", "asyncore", "asynchat",
    "smtpd", "distutils", "pip", "site", "nt", "posix", "venv", "formatter", "builtins", "rlcompleter", "xxlimited",
}
DEEPER = (
    "collections.abc concurrent.futures email.message email.mime.multipart email.mime.text email.policy email.utils "
    "html.parser http.client http.cookies http.server importlib.metadata importlib.resources importlib.util "
    "logging.handlers multiprocessing.pool os.path unittest.mock urllib.error urllib.parse urllib.request "
    "wsgiref.simple_server xml.dom.minidom xml.etree.ElementTree"
).split()


def home(module, name):
    try:
        found = importlib.import_module(module)
    except Exception:
        return False
    if not hasattr(found, name):
        return False
    if hasattr(found, "__all__"):
        return name in found.__all__
    # A builtin module's own, or a module's that lists nothing.
    return getattr(getattr(found, name), "__module__", None) in (module, "_" + module)


top = [name for name in sys.argv[2:] if not name.startswith("_") and name not in LEFT_OUT]
for module in [*top, *DEEPER]:
    if home(module, sys.argv[1]):
        print(module)
