//! `rspy`, the command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    rspy::run(rspy::cli::Cli::parse())
}
