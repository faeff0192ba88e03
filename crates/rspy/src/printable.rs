//! Text of the target's, made fit for a terminal.

use std::borrow::Cow;

/// `text` with its control characters escaped: they would act on the terminal, or
/// break the line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|character| {
        let control = character.is_control();
        let escape = character.escape_default().take(if control { usize::MAX } else { 0 });
        escape.chain((!control).then_some(character))
    });
    Cow::Owned(escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("Héllo \"wörld\" \\"), "Héllo \"wörld\" \\");
        assert_eq!(printable("a\nb\x1b[31m\tc"), "a\\nb\\u{1b}[31m\\tc");
    }
}
