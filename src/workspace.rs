//! workspace: trees of files, and changes between them. Path-safe: nothing here leaves its root.

use std::collections::BTreeMap;

/// A file's content on both sides of a change; `None` where there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Before, `None` for a new file.
    pub before: Option<Vec<u8>>,
    /// After, `None` for a deleted file.
    pub after: Option<Vec<u8>>,
    /// Is it executable afterwards?
    pub executable: bool,
    /// Is either side a symbolic link (its content is then the target)?
    pub symlink: bool,
}

/// What a patch does to a tree: repository-relative paths with `/`, and both contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// By path.
    pub files: BTreeMap<String, FileChange>,
}
