//! What rspy finds and does, line by line on stderr, as `RUST_LOG` asks for it.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::progress::report;

/// Sets the log up: warnings, or what `RUST_LOG` says.
pub fn start() {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, wrong) = filter(&wanted);
    for directive in wrong {
        report(format_args!(
            "rspy: RUST_LOG holds {directive:?}, which is no filter; info or rspy=debug are."
        ));
    }
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !no_color)
        // It would say so on stderr, which is what failed.
        .log_internal_errors(false);
    // Fails only if there is a log already: then that is the one.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// The filter that `wanted` describes, and the parts that are none. What was
/// written for py-spy means rspy.
fn filter(wanted: &str) -> (Targets, Vec<String>) {
    let mut filter = Targets::new().with_default(LevelFilter::WARN);
    let mut wrong = Vec::new();
    for directive in wanted.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        match directive.replace("py_spy", "rspy").parse::<Targets>() {
            Ok(parsed) => {
                if let Some(level) = parsed.default_level() {
                    filter = filter.with_default(level);
                }
                filter = filter.with_targets(parsed);
            }
            Err(_) => wrong.push(directive.to_owned()),
        }
    }
    (filter, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn warnings_unless_more_is_wanted() {
        let (filter, wrong) = filter("");
        assert!(filter.would_enable("rspy", &Level::WARN) && !filter.would_enable("rspy", &Level::INFO));
        assert!(wrong.is_empty());
    }

    #[test]
    fn filters_for_py_spy_are_understood() {
        let filter = |wanted| filter(wanted).0;
        assert!(filter("info").would_enable("rspy_process::stop", &Level::INFO));
        assert!(filter("DEBUG").would_enable("rspy", &Level::DEBUG));
        let debug = filter("py_spy=debug");
        assert!(
            debug.would_enable("rspy::launch", &Level::DEBUG) && !debug.would_enable("other", &Level::INFO)
        );
        assert!(!filter("off").would_enable("rspy", &Level::ERROR));
        assert!(filter("rspy_cpython=trace,warn").would_enable("rspy_cpython::find", &Level::TRACE));
    }

    #[test]
    fn what_is_no_filter_is_named() {
        assert_eq!(filter("info,rspy=loud").1, ["rspy=loud"]);
    }
}
