//! A job's matrix: its cells, in GitHub's order, with `exclude` and `include` as GitHub applies them.
//!
//! The algorithm is that of the documentation ("Expanding or adding matrix configurations"): an `include` entry is added
//! to every combination of which it changes no original value, and else is a combination of its own.

use std::collections::HashMap;

use github_actions_expressions::Evaluation;
use github_actions_models::{common::expr::LoE, workflow::job::Matrix};
use serde::Serialize;

use super::expression::{Contexts, Known, Unknown};

/// GitHub allows so many jobs of one matrix.
const MOST: usize = 256;

/// One combination: names and values, in the file's order.
pub(super) type Combination = Vec<(String, Evaluation)>;

/// All combinations of a matrix.
pub(super) fn combinations(matrix: &LoE<Matrix>, contexts: &Contexts) -> Known<Vec<Combination>> {
    let (dimensions, include, exclude) = match matrix {
        LoE::Literal(matrix) => literal(matrix, contexts)?,
        LoE::Expr(expression) => whole(contexts.evaluate(expression.as_bare())?)?,
    };
    let mut found = product(&dimensions)?;
    found.retain(|combination| !exclude.iter().any(|entry| covers(combination, entry)));
    let original = found.len();
    for entry in &include {
        let clashes = |combination: &Combination| {
            entry.iter().any(|(name, value)| {
                let first = dimensions.iter().any(|(dimension, _)| dimension == name);
                first && combination.iter().any(|(known, own)| known == name && own.sema() != value.sema())
            })
        };
        let mut added = false;
        if !dimensions.is_empty() {
            for combination in found.iter_mut().take(original) {
                if !clashes(combination) {
                    extend(combination, entry);
                    added = true;
                }
            }
        }
        if !added && found.len() < MOST {
            found.push(entry.clone());
        }
    }
    Ok(found)
}

type Parts = (Vec<(String, Vec<Evaluation>)>, Vec<Combination>, Vec<Combination>);

fn literal(matrix: &Matrix, contexts: &Contexts) -> Known<Parts> {
    let LoE::Literal(dimensions) = &matrix.dimensions else {
        return Err(Unknown("the matrix is no mapping".to_owned()));
    };
    let mut read = Vec::new();
    for (name, values) in dimensions {
        let values = match values {
            LoE::Literal(values) => values.iter().map(|value| filled(value, contexts)).collect::<Known<Vec<_>>>()?,
            LoE::Expr(expression) => list(contexts.evaluate(expression.as_bare())?)?,
        };
        read.push((name.clone(), values));
    }
    Ok((read, entries(&matrix.include, contexts)?, entries(&matrix.exclude, contexts)?))
}

fn entries<'a, E, V>(given: &'a LoE<Vec<E>>, contexts: &Contexts) -> Known<Vec<Combination>>
where
    &'a E: IntoIterator<Item = (&'a String, &'a V)>,
    V: Serialize + 'a,
{
    match given {
        LoE::Literal(given) => given
            .iter()
            .map(|entry| entry.into_iter().map(|(name, value)| Ok((name.clone(), filled(value, contexts)?))).collect())
            .collect(),
        LoE::Expr(expression) => list(contexts.evaluate(expression.as_bare())?)?.into_iter().map(object).collect(),
    }
}

/// A matrix that an expression makes (`fromJSON(…)`).
fn whole(value: Evaluation) -> Known<Parts> {
    let mut dimensions = Vec::new();
    let (mut include, mut exclude) = (Vec::new(), Vec::new());
    for (name, value) in object(value)? {
        let values = list(value)?;
        match name.as_str() {
            "include" => include = values.into_iter().map(object).collect::<Known<Vec<_>>>()?,
            "exclude" => exclude = values.into_iter().map(object).collect::<Known<Vec<_>>>()?,
            _ => dimensions.push((name, values)),
        }
    }
    Ok((dimensions, include, exclude))
}

/// A value of the file, with its expressions filled in.
fn filled(value: &impl Serialize, contexts: &Contexts) -> Known<Evaluation> {
    let value = serde_json::to_value(value).map_err(|error| Unknown(format!("a value of the matrix: {error}")))?;
    match value {
        serde_json::Value::String(text) if text.contains("${{") => match text.strip_prefix("${{") {
            Some(rest) if rest.matches("}}").count() == 1 && rest.ends_with("}}") => {
                contexts.evaluate(rest.trim_end_matches("}}"))
            }
            _ => contexts.interpolate(&text).map(Evaluation::String),
        },
        other => other.try_into().map_err(|()| Unknown("a value of the matrix is no number".to_owned())),
    }
}

fn list(value: Evaluation) -> Known<Vec<Evaluation>> {
    match value {
        Evaluation::Array(items) => Ok(items),
        Evaluation::Null => Ok(Vec::new()),
        _ => Err(Unknown("a dimension of the matrix is no list".to_owned())),
    }
}

fn object(value: Evaluation) -> Known<Combination> {
    match value {
        Evaluation::Object(entries) => {
            let mut entries: Combination = HashMap::into_iter(entries).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(entries)
        }
        _ => Err(Unknown("an entry of the matrix is no mapping".to_owned())),
    }
}

/// Every value of every dimension with every other, the last dimension running fastest.
fn product(dimensions: &[(String, Vec<Evaluation>)]) -> Known<Vec<Combination>> {
    if dimensions.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: Vec<Combination> = vec![Vec::new()];
    for (name, values) in dimensions {
        if found.len().saturating_mul(values.len()) > MOST {
            return Err(Unknown(format!("the matrix has more than {MOST} cells")));
        }
        let longer = |known: &Combination, value: &Evaluation| {
            known.iter().cloned().chain([(name.clone(), value.clone())]).collect::<Combination>()
        };
        found = found.iter().flat_map(|known| values.iter().map(move |value| longer(known, value))).collect();
    }
    Ok(found)
}

/// Has the combination all values of the entry?
fn covers(combination: &Combination, entry: &Combination) -> bool {
    entry.iter().all(|(name, value)| combination.iter().any(|(known, own)| known == name && same(own, value)))
}

fn same(own: &Evaluation, wanted: &Evaluation) -> bool {
    match (own, wanted) {
        (Evaluation::Object(own), Evaluation::Object(wanted)) => {
            wanted.iter().all(|(name, value)| own.get(name).is_some_and(|own| same(own, value)))
        }
        (Evaluation::Array(own), Evaluation::Array(wanted)) => {
            own.len() == wanted.len() && own.iter().zip(wanted).all(|(own, wanted)| same(own, wanted))
        }
        _ => own.sema() == wanted.sema(),
    }
}

fn extend(combination: &mut Combination, entry: &Combination) {
    for (name, value) in entry {
        match combination.iter_mut().find(|(known, _)| known == name) {
            Some((_, own)) => own.clone_from(value),
            None => combination.push((name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use github_actions_models::workflow::Workflow;

    fn cells(matrix: &str) -> Vec<String> {
        let indented: String = matrix.lines().map(|line| format!("        {line}\n")).collect();
        let text = format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix:\n{indented}    steps: [{{run: x}}]\n"
        );
        let workflow: Workflow = super::super::typed(&text).unwrap();
        let github_actions_models::workflow::Job::NormalJob(job) = &workflow.jobs["a"] else { panic!("{text}") };
        let matrix = job.strategy.as_ref().unwrap().matrix.as_ref().unwrap();
        let shown = |combination: &Combination| {
            let parts: Vec<String> =
                combination.iter().map(|(name, value)| format!("{name}={}", value.sema())).collect();
            parts.join(" ")
        };
        combinations(matrix, &Contexts::default()).unwrap().iter().map(shown).collect()
    }

    #[test]
    fn the_documentations_own_example_has_its_six_cells() {
        let matrix = "fruit: [apple, pear]\nanimal: [cat, dog]\ninclude:\n  - color: green\n  - {color: pink, animal: cat}\n  - {fruit: apple, shape: circle}\n  - {fruit: banana}\n  - {fruit: banana, animal: cat}";
        assert_eq!(
            cells(matrix),
            [
                "fruit=apple animal=cat color=pink shape=circle",
                "fruit=apple animal=dog color=green shape=circle",
                "fruit=pear animal=cat color=pink",
                "fruit=pear animal=dog color=green",
                "fruit=banana",
                "fruit=banana animal=cat",
            ]
        );
    }

    #[test]
    fn excluded_cells_go_and_numbers_are_written_as_github_writes_them() {
        assert_eq!(
            cells(
                "python: ['3.9', 3.10, 3.11]\nos: [ubuntu, windows]\nexclude: [{os: windows, python: '3.9'}, {python: 3.1}]"
            ),
            ["python=3.9 os=ubuntu", "python=3.11 os=ubuntu", "python=3.11 os=windows"]
        );
        assert_eq!(cells("include: [{env: lint}, {env: docs, python: 3.12}]"), ["env=lint", "env=docs python=3.12"]);
        assert_eq!(cells("python: ${{ fromJSON('[\"3.8\", \"3.9\"]') }}"), ["python=3.8", "python=3.9"]);
    }
}
