//! Names that several rules know: modules of the standard library, distributions that are called otherwise than their
//! module, and the shapes of things that come from a hostile log.

use std::{collections::BTreeSet, sync::LazyLock};

/// A pattern that is compiled once. `None` where it is no pattern: its rule's tests fail then.
macro_rules! matcher {
    ($pattern:expr) => {
        LazyLock::new(|| Regex::new($pattern).ok())
    };
}
pub(super) use matcher;

static STDLIB: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| include_str!("stdlib.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// Is it a top-level module of the standard library?
pub(super) fn is_stdlib(module: &str) -> bool {
    STDLIB.contains(module) || module.starts_with('_')
}

/// The top-level modules of the standard library that are anybody's to import.
pub(super) fn stdlib<'a>() -> impl Iterator<Item = &'a str> {
    STDLIB.iter().copied().filter(|module| !module.starts_with('_'))
}

/// Top-level names that many distributions share: they name none.
pub(super) const SHARED: &[&str] = &[
    "google",
    "azure",
    "zope",
    "backports",
    "sphinxcontrib",
    "jaraco",
    "paste",
    "plone",
    "ruamel",
    "mpl_toolkits",
    "opentelemetry",
    "airflow",
    "aws_cdk",
    "oslo",
    "win32com",
    "pkg_resources",
    "tests",
    "test",
    "utils",
    "config",
];

const DISTRIBUTIONS: &[(&str, &str)] = &[
    ("Crypto", "pycryptodome"),
    ("Cryptodome", "pycryptodomex"),
    ("MySQLdb", "mysqlclient"),
    ("OpenGL", "PyOpenGL"),
    ("OpenSSL", "pyOpenSSL"),
    ("PIL", "Pillow"),
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("charset_normalizer", "charset-normalizer"),
    ("cv2", "opencv-python"),
    ("dateutil", "python-dateutil"),
    ("decouple", "python-decouple"),
    ("discord", "discord.py"),
    ("django_filters", "django-filter"),
    ("dns", "dnspython"),
    ("docx", "python-docx"),
    ("dotenv", "python-dotenv"),
    ("fitz", "PyMuPDF"),
    ("flask_cors", "Flask-Cors"),
    ("flask_sqlalchemy", "Flask-SQLAlchemy"),
    ("git", "GitPython"),
    ("github", "PyGithub"),
    ("gitlab", "python-gitlab"),
    ("grpc", "grpcio"),
    ("importlib_metadata", "importlib-metadata"),
    ("importlib_resources", "importlib-resources"),
    ("jose", "python-jose"),
    ("jwt", "PyJWT"),
    ("ldap", "python-ldap"),
    ("magic", "python-magic"),
    ("markdown", "Markdown"),
    ("nacl", "PyNaCl"),
    ("pptx", "python-pptx"),
    ("pythonjsonlogger", "python-json-logger"),
    ("pytest_mock", "pytest-mock"),
    ("rest_framework", "djangorestframework"),
    ("serial", "pyserial"),
    ("skimage", "scikit-image"),
    ("sklearn", "scikit-learn"),
    ("slugify", "python-slugify"),
    ("socks", "PySocks"),
    ("telegram", "python-telegram-bot"),
    ("typing_extensions", "typing-extensions"),
    ("usb", "pyusb"),
    ("websocket", "websocket-client"),
    ("win32api", "pywin32"),
    ("xdist", "pytest-xdist"),
    ("yaml", "PyYAML"),
    ("zmq", "pyzmq"),
];

/// The distribution that is known to provide a module, or the module's own name in its usual form.
pub(super) fn distribution(module: &str) -> String {
    match DISTRIBUTIONS.iter().find(|(known, _)| *known == module) {
        Some((_, name)) => (*name).to_owned(),
        None => crate::registry::normalise(module),
    }
}

/// Is it a name as Python writes them (ASCII only)?
pub(super) fn is_identifier(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_library_is_known() {
        assert!(is_stdlib("json") && is_stdlib("os") && is_stdlib("tomllib") && is_stdlib("_thread"));
        assert!(!is_stdlib("yaml"));
    }

    #[test]
    fn modules_are_mapped_to_distributions() {
        assert_eq!(distribution("yaml"), "PyYAML");
        assert_eq!(distribution("rich"), "rich");
        assert_eq!(distribution("flask_login"), "flask-login");
    }
}
