//! `rspy`, the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rspy::main()
}
