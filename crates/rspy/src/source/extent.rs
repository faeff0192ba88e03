//! Where a function ends, by its source: code objects tell only where it begins.

/// What a line of source begins in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Within {
    /// A statement of its own.
    Nothing,
    /// A statement that goes on: so many brackets are open.
    Brackets(u32),
    /// The text of a string with three quotes, in so many brackets.
    Text(char, u32),
}

/// The last line of the function whose first line, with its decorators, is `first`: both are counted from 1. At least
/// `least`.
pub fn last_line(lines: &[String], first: u32, least: u32) -> u32 {
    let start = usize::try_from(first).unwrap_or(usize::MAX).saturating_sub(1);
    let mut within = Within::Nothing;
    let mut definition = None;
    let mut last = first;
    for (line, number) in lines.iter().skip(start).zip(first..) {
        let text = line.trim_start();
        let begins = within == Within::Nothing;
        let is_empty = begins && (text.is_empty() || text.starts_with('#'));
        let indent = line.len() - text.len();
        match definition {
            Some(outer) if begins && !is_empty && indent <= outer => break,
            // Decorators come before what is decorated.
            None if begins && !is_empty && !text.starts_with('@') => definition = Some(indent),
            _ => {}
        }
        if !is_empty {
            last = number;
            within = after(within, line);
        }
    }
    last.max(least)
}

/// What the next line begins in.
fn after(within: Within, line: &str) -> Within {
    let (mut brackets, mut text) = match within {
        Within::Nothing => (0, None),
        Within::Brackets(open) => (open, None),
        Within::Text(quote, open) => (open, Some(quote)),
    };
    let mut rest = line;
    let mut goes_on = false;
    while let Some(character) = rest.chars().next() {
        let triple = |quote: char| rest.chars().take(3).filter(|each| *each == quote).count() == 3;
        let mut step = character.len_utf8();
        goes_on = false;
        match (text, character) {
            (_, '\\') => {
                goes_on = rest.len() == 1;
                step += rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            (Some(quote), _) if triple(quote) => {
                text = None;
                step = 3;
            }
            (Some(_), _) => {}
            (None, '#') => break,
            (None, '"' | '\'') if triple(character) => {
                text = Some(character);
                step = 3;
            }
            (None, '"' | '\'') => step = short_text(rest, character),
            (None, '(' | '[' | '{') => brackets += 1,
            (None, ')' | ']' | '}') => brackets = brackets.saturating_sub(1),
            (None, _) => {}
        }
        rest = rest.get(step..).unwrap_or_default();
    }
    match text {
        Some(quote) => Within::Text(quote, brackets),
        None if brackets > 0 || goes_on => Within::Brackets(brackets),
        None => Within::Nothing,
    }
}

/// The length of a string in one line that `text` begins with, quotes included.
fn short_text(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return position + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn last(source: &str, first: u32) -> u32 {
        let lines: Vec<String> = source.lines().map(str::to_owned).collect();
        last_line(&lines, first, 0)
    }

    #[test]
    fn a_function_ends_where_something_else_begins() {
        assert_eq!(last("def f():\n    a()\n\n    b()\n\n# about g\ndef g():\n    pass\n", 1), 4);
        assert_eq!(last("class C:\n    def f(self):\n        a()\n    x = 1\n", 2), 3);
        assert_eq!(last("def f():\n    def g():\n        pass\n    return g\nf()\n", 1), 4);
        assert_eq!(last("def f(): return 1\nx = 2\n", 1), 1);
        assert_eq!(last("def f():\n    a()", 1), 2);
    }

    #[test]
    fn decorators_and_long_signatures_belong_to_it() {
        assert_eq!(last("@cache\n@app.route(\n    '/a',\n)\nasync def f(\n    a,\n):\n    b()\nc()\n", 1), 8);
    }

    #[test]
    fn text_may_lie_left_of_it() {
        assert_eq!(last("def f():\n    a = \"\"\"\nb = '''\nc\"\"\"\n    d()\ne()\n", 1), 5);
        assert_eq!(
            last("def f():\n    a = [1,\n2, '(', # (\n]\n    b = 'it\\'s' + \\\n'c'\n    d\ne\n", 1),
            7
        );
    }

    #[test]
    fn what_was_executed_belongs_to_it() {
        let lines = vec!["f = lambda: (".to_owned(), "  1)".to_owned()];
        assert_eq!(last_line(&lines, 1, 5), 5);
        assert_eq!(last_line(&lines, 9, 5), 9);
        assert_eq!(last_line(&[], u32::MAX, 0), u32::MAX);
    }

    proptest! {
        #[test]
        fn any_text_has_an_end(text in "(def|class|[ ]{0,4}|[\"'#\\\\()\\[\\]\n@a-cäß]){0,60}", first in 0..20u32) {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let end = last_line(&lines, first, 0);
            prop_assert!(end >= first && (end == first || end as usize <= lines.len().max(first as usize)));
        }
    }
}
