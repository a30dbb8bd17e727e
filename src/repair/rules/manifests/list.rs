//! A new element in a bracketed list of TOML or Python, in the list's own layout. Only text around the new element's
//! place is touched.

use std::ops::Range;

use crate::repair::rules::text::{self, Edit};

/// A list in a text.
pub(in crate::repair::rules) struct List<'a> {
    /// The text it is in.
    pub(in crate::repair::rules) content: &'a str,
    /// What is between the brackets.
    pub(in crate::repair::rules) inside: Range<usize>,
    /// The elements' places, in order.
    pub(in crate::repair::rules) elements: Vec<Range<usize>>,
    /// What the elements are sorted by, one each.
    pub(in crate::repair::rules) keys: Vec<String>,
}

/// Where a new key stands: in its sorted place where the keys are sorted, else at the end.
pub(in crate::repair::rules) fn position(keys: &[String], new: &str) -> usize {
    let sorted = keys.len() > 1 && keys.is_sorted();
    if sorted { keys.iter().position(|key| key.as_str() > new).unwrap_or(keys.len()) } else { keys.len() }
}

impl List<'_> {
    /// The edits that add an element as it is to be written; `None` where the layout is not understood.
    pub(in crate::repair::rules) fn insert(&self, element: &str, key: &str) -> Option<Vec<Edit>> {
        let content = self.content;
        let newline = text::newline(content);
        let multiline = content.get(self.inside.clone())?.contains('\n');
        let at = position(&self.keys, key);
        let Some(last) = self.elements.last() else {
            let open = self.inside.start;
            return Some(if multiline {
                let outer = text::indent(content, open);
                let tail = content[self.inside.clone()].trim_end_matches([' ', '\t']);
                let at = self.inside.start + tail.trim_end_matches(['\r', '\n']).len();
                vec![Edit::insert(at, format!("{newline}{outer}    {element},"))]
            } else {
                vec![Edit { range: self.inside.clone(), text: element.to_owned() }]
            });
        };
        if at == 0 {
            let first = self.elements.first()?.start;
            let own_line = content[text::line_start(content, first)..first].trim().is_empty();
            let text = if own_line {
                format!("{element},{newline}{}", text::indent(content, first))
            } else {
                format!("{element}, ")
            };
            return Some(vec![Edit::insert(first, text)]);
        }
        let before = self.elements.get(at - 1)?;
        let next = self.elements.get(at);
        let until = next.map_or(self.inside.end, |next| next.start);
        let comma = comma(content, before.end..until)?;
        if let (None, Some(_)) = (comma, next) {
            return None;
        }
        if !multiline {
            let place = comma.map_or(before.end, |comma| comma + 1);
            let text = match (comma, next) {
                (None, _) => format!(", {element}"),
                // A trailing comma stays one, as does the blank that may follow it.
                (Some(_), None) => format!(" {element},"),
                (Some(_), Some(_)) => format!(" {element},"),
            };
            return Some(vec![Edit::insert(place, text)]);
        }
        let after_comma = comma.map_or(before.end, |comma| comma + 1);
        let line_end = text::line_end(content, after_comma);
        let same_line = next.is_some_and(|next| next.start < line_end);
        if same_line {
            return Some(vec![Edit::insert(after_comma, format!(" {element},"))]);
        }
        let indent = text::indent(content, if at == self.elements.len() { last.start } else { before.start });
        // The bracket in front of the first element gives no indent to follow.
        let own_line = content[text::line_start(content, before.start)..before.start].trim().is_empty();
        if !own_line && self.elements.len() == 1 {
            return Some(vec![Edit::insert(
                after_comma,
                if comma.is_some() { format!(" {element},") } else { format!(", {element}") },
            )]);
        }
        let place = line_end.min(self.inside.end);
        // Between the element and the place there may be a comment, but nothing else.
        let between = content.get(after_comma..place)?.trim();
        if !(between.is_empty() || between.starts_with('#')) {
            return None;
        }
        let place = if between.is_empty() { after_comma } else { place };
        let mut edits = Vec::new();
        match comma {
            Some(_) => edits.push(Edit::insert(place, format!("{newline}{indent}{element},"))),
            None if between.is_empty() => edits.push(Edit::insert(place, format!(",{newline}{indent}{element}"))),
            None => {
                edits.push(Edit::insert(before.end, ","));
                edits.push(Edit::insert(place, format!("{newline}{indent}{element}")));
            }
        }
        Some(edits)
    }
}

/// Where the comma stands in a gap between elements, comments aside. `None` outside: something else stands there.
#[allow(clippy::option_option)]
fn comma(content: &str, gap: Range<usize>) -> Option<Option<usize>> {
    let mut found = None;
    let mut comment = false;
    for (offset, each) in content.get(gap.clone())?.char_indices() {
        match each {
            '\n' => comment = false,
            _ if comment => {}
            '#' => comment = true,
            ',' if found.is_none() => found = Some(gap.start + offset),
            _ if each.is_whitespace() => {}
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds `'new'` to the one list of a Python text.
    fn add(content: &str, new: &str) -> String {
        let open = content.find('[').unwrap() + 1;
        let close = content.rfind(']').unwrap();
        let mut elements = Vec::new();
        let mut at = open;
        while let Some(start) = content[at..close].find('\'').map(|found| at + found) {
            let end = content[start + 1..].find('\'').map(|found| start + found + 2).unwrap();
            elements.push(start..end);
            at = end;
        }
        let keys = elements.iter().map(|range| content[range.start + 1..range.end - 1].to_owned()).collect();
        let list = List { content, inside: open..close, elements, keys };
        text::apply(content, &list.insert(&format!("'{new}'"), new).unwrap()).unwrap()
    }

    #[test]
    fn a_list_on_one_line_stays_on_it() {
        assert_eq!(add("a = []", "n"), "a = ['n']");
        assert_eq!(add("a = ['x']", "n"), "a = ['x', 'n']");
        assert_eq!(add("a = ['x',]", "n"), "a = ['x', 'n',]");
        assert_eq!(add("a = ['a', 'z']", "n"), "a = ['a', 'n', 'z']");
        assert_eq!(add("a = ['o', 'z']", "n"), "a = ['n', 'o', 'z']");
    }

    #[test]
    fn a_list_of_lines_gets_a_line() {
        assert_eq!(add("a = [\n    'x',\n]\n", "n"), "a = [\n    'x',\n    'n',\n]\n");
        assert_eq!(add("a = [\r\n\t'x'\r\n]", "n"), "a = [\r\n\t'x',\r\n\t'n'\r\n]");
        assert_eq!(add("a = [\n  'b',\n  'z',\n]", "a"), "a = [\n  'a',\n  'b',\n  'z',\n]");
        assert_eq!(add("a = [\n]\n", "n"), "a = [\n    'n',\n]\n");
    }

    #[test]
    fn comments_stay_where_they_are() {
        assert_eq!(add("a = [\n  'z',  # why\n  # end\n]", "n"), "a = [\n  'z',  # why\n  'n',\n  # end\n]");
        assert_eq!(add("a = [\n  'z'  # why, ]\n]", "n"), "a = [\n  'z',  # why, ]\n  'n'\n]");
    }

    #[test]
    fn a_bracket_on_the_last_line_stays_there() {
        assert_eq!(add("a = ['x',\n     'y']", "z"), "a = ['x',\n     'y',\n     'z']");
        assert_eq!(add("a = ['x', 'y',\n     'b']", "z"), "a = ['x', 'y',\n     'b',\n     'z']");
    }
}
