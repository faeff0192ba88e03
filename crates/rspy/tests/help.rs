//! What `--help` says, word for word: a change of it is a change of the interface.

use clap::{Command, CommandFactory};
use rspy::cli::Cli;

/// The help of `rspy COMMAND --help` on a terminal of `width` columns; of rspy itself for an empty name.
fn help(command: &str, width: usize) -> String {
    let mut rspy = Cli::command().term_width(width);
    rspy.build();
    let chosen: &mut Command = match command {
        "" => &mut rspy,
        name => rspy.find_subcommand_mut(name).expect("a command of rspy"),
    };
    chosen.render_long_help().to_string()
}

#[test]
fn help_is_what_it_was() {
    for command in ["", "record", "top", "dump", "lines", "stats", "memory", "heap", "time", "completions"] {
        let name = if command.is_empty() { "rspy" } else { command };
        insta::assert_snapshot!(name, help(command, 100));
    }
}

#[test]
fn help_fits_narrow_terminals() {
    insta::assert_snapshot!("record_80", help("record", 80));
    for command in ["", "record", "top", "dump", "lines", "stats", "memory", "heap", "time", "completions"] {
        let widest = help(command, 80).lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "rspy {command} --help has lines of {widest:?} columns");
        // Nothing is lost where words do not fit.
        let letters = |width| help(command, width).split_whitespace().collect::<String>();
        assert_eq!(letters(20), letters(100), "rspy {command} --help");
    }
}
