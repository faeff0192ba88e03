//! The messages that `docs/errors.md` promises, to be held against those that are printed.
//!
//! A row of a table there begins with an anchor, its id. Of three cells the first is the message, the last what rspy
//! says to do; `*words*` in them stand for any text, and a link to `#NAME` for any row of two cells whose id begins
//! with `NAME-`.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::interpreters::workspace;

/// Rows that unit tests of `rspy` produce from made-up circumstances: those that no test can bring about on every
/// machine, or at will.
pub const MADE_UP: &[&str] = &[
    "apparmor",
    "disagreeing",
    "elsewhere",
    "endless-command",
    "exited",
    "from-outside",
    "group",
    "hidden",
    "left-out",
    "memory-gone",
    "no-reading",
    "no-terminal",
    "no-thread-to-record",
    "output-quota",
    "refused",
    "samples-kept",
    "sandbox",
    "seccomp",
    "selinux",
    "stops-refused",
    "tracemalloc-unknown",
    "unreadable",
    "yama-1",
    "yama-2",
    "yama-3",
];

/// The messages by id: the whole text with its placeholders, in each of its forms.
pub fn messages() -> Outcome<BTreeMap<String, Vec<String>>> {
    let page = std::fs::read_to_string(workspace().join("docs/errors.md"))?;
    let rows: Vec<(String, Vec<String>)> = page.lines().filter_map(row).collect();
    let mut messages = BTreeMap::new();
    for (id, cells) in &rows {
        let forms = match cells.as_slice() {
            [message, _, advice] => expanded(&format!("{message} {advice}"), &rows)?,
            [_, _] => continue,
            _ => return Err(format!("the row {id} has {} cells", cells.len()).into()),
        };
        if messages.insert(id.clone(), forms).is_some() {
            return Err(format!("two rows have the id {id}").into());
        }
    }
    Ok(messages)
}

/// Fails unless `text` is the message `id`, however its lines are broken.
pub fn is_documented(id: &str, text: &str) -> Outcome {
    let messages = messages()?;
    let forms =
        messages.get(id).ok_or_else(|| format!("docs/errors.md has no row {id}; rspy said:\n{text}"))?;
    let words = words(text);
    if forms.iter().any(|form| fits(form, &words)) {
        return Ok(());
    }
    Err(format!("docs/errors.md says under {id}:\n{}\nrspy said:\n{words}", forms.join("\nor: ")).into())
}

/// Anchor and cells of a table's row.
fn row(line: &str) -> Option<(String, Vec<String>)> {
    let rest = line.strip_prefix("| <a id=\"")?.strip_suffix(" |")?;
    let (id, rest) = rest.split_once("\"></a>")?;
    // A bar within a cell is written `\|`.
    let cells = rest.replace("\\|", "\0");
    let cells = cells.split(" | ").map(|cell| words(&cell.replace('\0', "|").replace('`', ""))).collect();
    Some((id.to_owned(), cells))
}

/// `text` with every link to `#NAME` replaced, in all ways.
fn expanded(text: &str, rows: &[(String, Vec<String>)]) -> Outcome<Vec<String>> {
    let Some((before, link)) = text.split_once('[').filter(|(_, link)| link.contains("](#")) else {
        return Ok(vec![text.to_owned()]);
    };
    let (name, after) = link
        .split_once("](#")
        .and_then(|(_, link)| link.split_once(')'))
        .ok_or_else(|| format!("no link in {text}"))?;
    let prefix = format!("{name}-");
    let fragments = rows.iter().filter(|(id, cells)| id.starts_with(&prefix) && cells.len() == 2);
    let forms: Vec<String> = fragments.map(|(_, cells)| format!("{before}{}{after}", cells[1])).collect();
    if forms.is_empty() {
        return Err(format!("no row of two cells has an id that begins with {prefix}").into());
    }
    Ok(forms)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// Whether `text` is `pattern` with something in the place of each `*words*`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut literals: Vec<&str> = pattern.split('*').step_by(2).collect();
    let (Some(last), true) = (literals.pop(), pattern.contains('*')) else { return pattern == text };
    let mut rest = text;
    for (index, literal) in literals.iter().enumerate() {
        rest = match rest.find(literal) {
            Some(0) if index == 0 => &rest[literal.len()..],
            Some(at) if index > 0 && at > 0 => &rest[at + literal.len()..],
            _ => return false,
        };
    }
    rest.len() > last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_some_text() {
        assert!(fits("process *pid* runs *program*.", "process 12 runs a b."));
        assert!(!fits("process *pid* runs *program*.", "process  runs a b."));
        assert!(!fits("process *pid* runs *program*.", "process 12 runs ."));
        assert!(!fits("process *pid*.", "a process 12."));
        assert!(!fits("process *pid* ends", "process 12 ends now"));
        assert!(fits("plain", "plain") && !fits("plain", "plainer"));
    }

    #[test]
    fn links_stand_for_the_rows_they_lead_to() {
        let rows: Vec<_> =
            ["| <a id=\"x-a\"></a>here | do `a \\| b` |", "| <a id=\"x-b\"></a>there | do b |"]
                .iter()
                .filter_map(|line| row(line))
                .collect();
        assert_eq!(expanded("so [see](#x).", &rows).unwrap(), ["so do a | b.", "so do b."]);
        assert!(expanded("so [see](#y).", &rows).is_err());
        assert_eq!(expanded("a [b]", &rows).unwrap(), ["a [b]"]);
    }
}
