//! The build tool says what is wrong with the project's metadata, and there is one mechanical reading of what is right.

mod slid;
mod values;

use super::{
    Applied, FixType, Repaired, RuleContext, RuleDoc,
    tree::{self, Tree},
};
use crate::detect::Category;

pub(super) const DOC: RuleDoc = RuleDoc {
    id: "packaging-metadata",
    repairs: "metadata in `pyproject.toml` that the build tool rejects: keys that slid below a sub-table of \
              `[project]`, a README or license file that has another ending, classifiers it names, a value of the \
              wrong form, several packages of which one has the project's name",
    evidence: "the build tool's message, and a value in the file that is as the message says",
    example: "TypeError: URL `keywords` of field `project.urls` must be a string",
};

/// What an editor did: the new content, and what to say about it.
struct Edited {
    content: String,
    description: String,
}

/// What an editor may look at.
struct Evidence<'a> {
    tree: &'a Tree<'a>,
    /// Where the file lies.
    folder: &'a str,
    content: &'a str,
    /// What the tools said, bounded.
    said: &'a str,
}

type Editor = fn(&Evidence<'_>) -> Option<Edited>;

const EDITORS: &[Editor] = &[
    slid::repair,
    values::named_file,
    values::classifiers,
    values::license_form,
    values::value_form,
    values::top_level_packages,
];

pub(super) fn apply(context: &RuleContext<'_>, repaired: &mut Repaired) -> anyhow::Result<()> {
    let of_build = |category| {
        matches!(category, Category::ImportDependency | Category::Build | Category::RuntimeError | Category::Aggregate)
    };
    let mut said = String::new();
    for failure in context.failures.iter().filter(|failure| of_build(failure.category)).take(50) {
        for text in [&failure.message, &failure.excerpt] {
            said.push_str(text);
            said.push('\n');
        }
    }
    if said.is_empty() {
        return Ok(());
    }
    let tree = Tree::new(context.workspace.root());
    let workdir = tree::folder(context.workspace.root(), context.workdir);
    let Some(folder) = [workdir, ""].into_iter().find(|folder| tree.is_file(&tree::join(folder, "pyproject.toml")))
    else {
        return Ok(());
    };
    let file = tree::join(folder, "pyproject.toml");
    let Some(text) = tree.read(&file) else { return Ok(()) };
    let mut content = text.content.clone();
    let mut descriptions = Vec::new();
    for editor in EDITORS {
        let evidence = Evidence { tree: &tree, folder, content: &content, said: &said };
        if let Some(edited) = editor(&evidence) {
            content = edited.content;
            descriptions.push(edited.description);
        }
    }
    if content == text.content {
        return Ok(());
    }
    tree.write(&file, &text.with(content))?;
    repaired.applied.push(Applied {
        rule: DOC.id,
        fix_type: FixType::Build,
        description: descriptions.join(" "),
        impact: "The project's published metadata changes as described; its code does not.".to_owned(),
        files: vec![file],
    });
    Ok(())
}
