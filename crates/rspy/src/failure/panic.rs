//! What a user is told when rspy itself is wrong.

use std::panic::{self, PanicHookInfo};

use crate::progress::report;

/// Has a panic say that it is a bug and what to report, instead of how Rust puts
/// it. The exit code is 101 then, as Rust has it; threads of the target that were
/// stopped are let go of while the panic unwinds.
pub fn report_panics() {
    panic::set_hook(Box::new(|info| report(format_args!("rspy: {}", text(info)))));
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    described(&place, message.unwrap_or("without a message"))
}

fn described(place: &str, message: &str) -> String {
    format!(
        "This is a bug in rspy {}, not in your program.\n      \
         Please report it at {}/issues\n      \
         with this command line, the version of Python, and these lines:\n\n          {place}\n          {message}",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_REPOSITORY"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_reads_as_a_bug_report() {
        let text = described("crates/rspy/src/clock.rs:7", "index out of range");
        insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
        This is a bug in rspy VERSION, not in your program.
              Please report it at https://github.com/rspy-profiler/rspy/issues
              with this command line, the version of Python, and these lines:

                  crates/rspy/src/clock.rs:7
                  index out of range
        ");
        assert!(!text.contains("panicked") && !text.contains("backtrace"));
    }
}
