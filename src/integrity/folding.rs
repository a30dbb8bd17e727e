//! What an expression of literals comes to: sums of whole numbers, and texts that are put together.

use super::python::canon;
use ruff_python_ast::{self as ast, Expr};

/// The canonical text of what it comes to, where that is another than how it is written.
pub(crate) fn literal(expr: &Expr) -> Option<String> {
    folded_number(expr).map(|number| number.to_string()).or_else(|| template(expr))
}

/// Longer sums are not added up: each of their parts would be added up again.
const DEEPEST: usize = 32;

/// The value of arithmetic on whole numbers.
pub(crate) fn folded_number(expr: &Expr) -> Option<i64> {
    folded_to(expr, DEEPEST)
}

fn folded_to(expr: &Expr, depth: usize) -> Option<i64> {
    let Expr::BinOp(b) = expr else { return None };
    let depth = depth.checked_sub(1)?;
    let side = |e: &Expr| match e {
        Expr::NumberLiteral(_) => canon(e).parse::<i64>().ok(),
        other => folded_to(other, depth),
    };
    let (left, right) = (side(&b.left)?, side(&b.right)?);
    match b.op {
        ast::Operator::Add => left.checked_add(right),
        ast::Operator::Sub => left.checked_sub(right),
        ast::Operator::Mult => left.checked_mul(right),
        ast::Operator::Pow => left.checked_pow(u32::try_from(right).ok()?),
        ast::Operator::BitXor => Some(left ^ right),
        ast::Operator::BitOr => Some(left | right),
        _ => None,
    }
}

/// A text with places for values, the same for `f"{a}!"`, `"{}!".format(a)`, `"%s!" % a` and `a + "!"`; without any, it
/// is a literal. Only plain places are known.
fn template(expr: &Expr) -> Option<String> {
    let parts = pieces(expr, DEEPEST)?;
    let (mut text, mut values) = (String::new(), Vec::new());
    for part in parts {
        match part {
            Piece::Text(piece) => text.push_str(&piece),
            Piece::Value(value) => {
                text.push_str("{}");
                values.push(value);
            }
        }
    }
    Some(if values.is_empty() { format!("{text:?}") } else { format!("template({text:?}, {})", values.join(", ")) })
}

enum Piece {
    Text(String),
    Value(String),
}

/// A literal stands for itself.
fn piece(expr: &Expr) -> Piece {
    match expr {
        Expr::StringLiteral(s) => Piece::Text(s.value.to_str().to_string()),
        other => Piece::Value(canon(other)),
    }
}

fn pieces(expr: &Expr, depth: usize) -> Option<Vec<Piece>> {
    let depth = depth.checked_sub(1)?;
    let filled = |text: &str, place: &str, values: &[Expr]| -> Option<Vec<Piece>> {
        let texts: Vec<&str> = text.split(place).collect();
        let plain = texts.iter().all(|t| !t.contains(['%', '{', '}']));
        (plain && texts.len() == values.len() + 1 && !values.is_empty()).then(|| {
            let mut found = vec![Piece::Text(texts[0].to_string())];
            for (value, text) in values.iter().zip(&texts[1..]) {
                found.push(piece(value));
                found.push(Piece::Text((*text).to_string()));
            }
            found
        })
    };
    match expr {
        Expr::FString(f) => {
            let plain = |part: &ast::InterpolatedStringElement| match part {
                ast::InterpolatedStringElement::Literal(text) => Some(Piece::Text(text.value.to_string())),
                ast::InterpolatedStringElement::Interpolation(i) => {
                    (i.format_spec.is_none() && i.conversion.is_none() && i.debug_text.is_none())
                        .then(|| piece(&i.expression))
                }
            };
            f.value.elements().map(plain).collect()
        }
        Expr::BinOp(b) if b.op == ast::Operator::Mod => match (&*b.left, &*b.right) {
            (Expr::StringLiteral(s), Expr::Tuple(t)) => filled(s.value.to_str(), "%s", &t.elts),
            (Expr::StringLiteral(s), one) => filled(s.value.to_str(), "%s", std::slice::from_ref(one)),
            _ => None,
        },
        Expr::BinOp(b) if b.op == ast::Operator::Add => {
            let text = |e: &Expr| matches!(e, Expr::StringLiteral(_) | Expr::FString(_));
            let side = |e: &Expr| {
                if e.is_f_string_expr() || e.is_bin_op_expr() { pieces(e, depth) } else { Some(vec![piece(e)]) }
            };
            if !text(&b.left) && !text(&b.right) {
                return None;
            }
            let mut all = side(&b.left)?;
            all.extend(side(&b.right)?);
            Some(all)
        }
        Expr::Call(call) if call.arguments.keywords.is_empty() => match &*call.func {
            Expr::Attribute(a) if a.attr.as_str() == "format" => match &*a.value {
                Expr::StringLiteral(s) => filled(s.value.to_str(), "{}", &call.arguments.args),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
