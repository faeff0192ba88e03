//! `rspy completions`: a script that completes the command line in a shell.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Completions};
use crate::failure::Failure;

/// Writes the script for the asked shell to stdout.
pub fn completions(options: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "rspy", &mut script);
    // In one piece: writing as it is made would panic when nobody reads on.
    let mut out = io::stdout().lock();
    let written = out.write_all(&script).and_then(|()| out.flush());
    written.map_err(|error| Failure::writing("the output", &error))?;
    Ok(ExitCode::SUCCESS)
}
