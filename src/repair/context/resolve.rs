//! Where a name of one module is defined in another: static imports, re-exports included.

use super::{
    files::{Files, parent},
    module::Module,
};

/// How far re-exports are followed.
const DEEPEST: u8 = 6;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A definition: the file, and its place among the file's definitions.
    Def(String, usize),
    /// A value that is assigned at a module's top: the file, and the statement's lines.
    Constant(String, (usize, usize)),
    /// A module.
    Module(String),
}

impl Target {
    pub(super) fn path(&self) -> &str {
        match self {
            Target::Def(path, _) | Target::Constant(path, _) | Target::Module(path) => path,
        }
    }
}

/// What `dotted` means where it stands in `module`, inside the definition `within`.
pub(super) fn resolve(files: &Files<'_>, module: &Module, within: Option<usize>, dotted: &str) -> Option<Target> {
    let (head, rest) = dotted.split_once('.').map_or((dotted, ""), |(head, rest)| (head, rest));
    if matches!(head, "self" | "cls") {
        let class = within.and_then(|at| module.class_of(at))?;
        return method(files, module, class, rest.split('.').next()?, DEEPEST);
    }
    within_module(files, module, head, rest, DEEPEST)
}

/// A class's own or inherited method.
pub(super) fn method(files: &Files<'_>, module: &Module, class: usize, name: &str, depth: u8) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    if let Some((at, _)) = module.members(class).filter(|(_, def)| def.name == name).last() {
        return Some(Target::Def(module.path.clone(), at));
    }
    let bases = module.defs.get(class)?.takes.clone();
    bases.iter().find_map(|base| {
        let (head, rest) = base.split_once('.').unwrap_or((base, ""));
        match within_module(files, module, head, rest, depth)? {
            Target::Def(path, at) => {
                let other = files.module(&path)?;
                if other.path == module.path && at == class {
                    return None;
                }
                method(files, &other, at, name, depth)
            }
            _ => None,
        }
    })
}

fn within_module(files: &Files<'_>, module: &Module, head: &str, rest: &str, depth: u8) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    if let Some(at) = module.defs.iter().rposition(|def| def.parent.is_none() && def.name == head) {
        return member(files, module, at, rest, depth);
    }
    if let Some((_, other)) = module.aliases.iter().find(|(name, other)| name == head && other != head) {
        let (other, inner) = other.split_once('.').unwrap_or((other, ""));
        let rest = [inner, rest].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".");
        if let Some(found) = within_module(files, module, other, &rest, depth) {
            return Some(found);
        }
    }
    let constant = module.constants.iter().find(|(name, _)| name == head);
    if let Some((_, lines)) = constant {
        return Some(Target::Constant(module.path.clone(), *lines));
    }
    let named = module.imports.iter().filter(|import| import.name == head);
    for import in named {
        let found = match &import.member {
            Some(member) => from_import(files, module, (import.level, &import.module), member, rest, depth),
            None => whole_import(files, module, &import.module, head, rest, depth),
        };
        if found.is_some() {
            return found;
        }
    }
    let stars = module.imports.iter().filter(|import| import.name == "*");
    stars.into_iter().find_map(|import| {
        let path = module_file(files, module, import.level, &import.module)?;
        let other = files.module(&path).filter(|other| other.path != module.path)?;
        within_module(files, &other, head, rest, depth)
    })
}

fn member(files: &Files<'_>, module: &Module, at: usize, rest: &str, depth: u8) -> Option<Target> {
    let def = module.defs.get(at)?;
    match rest.split('.').next().filter(|name| def.class && !name.is_empty()) {
        Some(name) => {
            Some(method(files, module, at, name, depth).unwrap_or_else(|| Target::Def(module.path.clone(), at)))
        }
        None => Some(Target::Def(module.path.clone(), at)),
    }
}

fn from_import(
    files: &Files<'_>,
    module: &Module,
    (level, from): (u32, &str),
    name: &str,
    rest: &str,
    depth: u8,
) -> Option<Target> {
    let base = module_file(files, module, level, from);
    if let Some(path) = &base
        && let Some(other) = files.module(path).filter(|other| other.path != module.path)
        && let Some(found) = within_module(files, &other, name, rest, depth)
    {
        return Some(found);
    }
    // `from package import module`
    let sub = if from.is_empty() { name.to_owned() } else { format!("{from}.{name}") };
    let path = module_file(files, module, level, &sub)?;
    in_file(files, &path, rest, depth)
}

fn whole_import(
    files: &Files<'_>,
    module: &Module,
    imported: &str,
    head: &str,
    rest: &str,
    depth: u8,
) -> Option<Target> {
    // `import a.b` binds `a`; `import a.b as c` binds the module itself.
    let mut dotted = if imported.split('.').next() == Some(head) { head.to_owned() } else { imported.to_owned() };
    let mut rest = rest;
    while let Some((next, after)) =
        Some(rest.split_once('.').unwrap_or((rest, ""))).filter(|(next, _)| !next.is_empty())
    {
        let longer = format!("{dotted}.{next}");
        if files.of_module(&longer, parent(&module.path)).is_none() {
            break;
        }
        dotted = longer;
        rest = after;
    }
    let path = files.of_module(&dotted, parent(&module.path))?;
    in_file(files, &path, rest, depth)
}

fn in_file(files: &Files<'_>, path: &str, rest: &str, depth: u8) -> Option<Target> {
    let (head, rest) = rest.split_once('.').unwrap_or((rest, ""));
    if head.is_empty() {
        return Some(Target::Module(path.to_owned()));
    }
    let module = files.module(path)?;
    within_module(files, &module, head, rest, depth)
}

/// The file that an import in `module` names.
pub(super) fn module_file(files: &Files<'_>, module: &Module, level: u32, dotted: &str) -> Option<String> {
    if level == 0 {
        return files.of_module(dotted, parent(&module.path));
    }
    let mut folder = parent(&module.path);
    for _ in 1..level {
        folder = parent(folder);
    }
    let relative = dotted.replace('.', "/");
    let base = match (folder.is_empty(), relative.is_empty()) {
        (true, _) => relative,
        (false, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{relative}"),
    };
    [".py", "/__init__.py", ".pyi"].iter().map(|ending| format!("{base}{ending}")).find(|path| files.has(path))
}
