//! How one fact relates to another: the same subject, stronger or weaker.

use super::compare::words;
use super::facts::Fact;

pub(crate) fn related(fact: &Fact, now: &Fact) -> bool {
    let raising = |f: &Fact| matches!(f.op.as_str(), "raises" | "warns");
    if raising(fact) != raising(now) {
        return false;
    }
    if raising(fact) {
        return fact.op == now.op && (fact.body.last() == now.body.last() || fact.right == now.right);
    }
    fact.head == now.head
        || fact.right == now.right && fact.op == now.op && !fact.right.is_empty()
        || fact.key.contains(&now.head) && now.head.len() > 2
        || now.key.contains(&fact.head) && fact.head.len() > 2
}

pub(crate) fn broad(exceptions: &str) -> bool {
    words(exceptions).iter().any(|w| matches!(*w, "Exception" | "BaseException"))
}

/// Does the second accept less than the first?
pub(crate) fn narrower(before: &str, after: &str) -> bool {
    const BELOW: [(&str, &str); 7] = [
        ("ValueError", "JSONDecodeError UnicodeDecodeError UnicodeEncodeError UnicodeError"),
        ("OSError", "FileNotFoundError FileExistsError PermissionError ConnectionError TimeoutError IsADirectoryError"),
        ("LookupError", "KeyError IndexError"),
        ("ArithmeticError", "ZeroDivisionError OverflowError FloatingPointError"),
        ("ImportError", "ModuleNotFoundError"),
        ("RuntimeError", "RecursionError NotImplementedError"),
        ("ConnectionError", "ConnectionRefusedError ConnectionResetError BrokenPipeError"),
    ];
    let end = |name: &str| super::python::last(name).to_string();
    let below = |(above, names): &(&str, &str)| end(before) == *above && super::python::among(names, &end(after));
    BELOW.iter().any(below)
        || broad(before) && !broad(after)
        || before.starts_with('(')
            && words(after).iter().all(|w| words(before).contains(w))
            && after.len() < before.len()
}

pub(crate) fn loosened(fact: &Fact, now: &Fact) -> bool {
    let limits = (super::python::number(&fact.right), super::python::number(&now.right));
    if let (Some(old), Some(new)) = limits {
        match fact.op.as_str() {
            "<" | "<=" => return new > old,
            ">" | ">=" => return new < old,
            _ => {}
        }
    }
    let find = |f: &Fact, name: &str| f.tolerance.iter().find(|t| t.0 == name).map(|t| t.1);
    let same_value = |f: &Fact| f.atoms.first().cloned();
    now.tolerance.iter().any(|(name, new)| match (find(fact, name), name.as_str()) {
        (Some(old), "places" | "decimal" | "significant") => *new < old,
        (Some(old), _) => *new > old,
        (None, "places" | "decimal" | "significant") => *new < 7.0,
        (None, _) => {
            !fact.tolerance.is_empty() && *new > 1e-6
                || fact.tolerance.is_empty() && same_value(fact) == same_value(now)
        }
    })
}

/// Is every tolerance of the second smaller than that of the first, or than what `approx` takes by itself?
fn tighter(fact: &Fact, now: &Fact) -> bool {
    let old = |name: &str| fact.tolerance.iter().find(|t| t.0 == name).map(|t| t.1);
    now.tolerance.iter().all(|(name, new)| old(name).map_or(*new <= 1e-6, |old| *new <= old))
        && fact.tolerance.iter().all(|(name, _)| name == "approx" || now.tolerance.iter().any(|(n, _)| n == name))
}

pub(crate) fn tightened(fact: &Fact, now: &Fact) -> bool {
    let limits = (super::python::number(&fact.right), super::python::number(&now.right));
    if let (Some(old), Some(new)) = limits {
        return match (fact.op.as_str(), now.op.as_str()) {
            ("<" | "<=", "<" | "<=") => new <= old && !(new == old && fact.op == "<" && now.op == "<="),
            (">" | ">=", ">" | ">=") => new >= old && !(new == old && fact.op == ">" && now.op == ">="),
            _ => false,
        };
    }
    let value = |f: &Fact| f.right.trim_end_matches(')').split(", ").next().unwrap_or("").to_string();
    let approximate = |f: &Fact| f.op == "==" && f.right.contains("approx(");
    let near = approximate(fact) && approximate(now) && value(fact) == value(now) && tighter(fact, now);
    near || fact.op == "~=" && now.op == "~=" && fact.right == now.right && !loosened(fact, now)
}
