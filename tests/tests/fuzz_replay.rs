//! The fuzz targets of `tests/fuzz`, on every input that is kept: what coverage has found (`corpus`), and what once
//! was wrong (`regressions`).

use std::path::Path;

use libtest_mimic::Trial;
use rspy_tests::fuzz::{TARGETS, Target};
use rspy_tests::{Outcome, run, test};

/// Runs `target` on every file of `folder`. A panic names the file by the test's output.
fn replay(target: Target, folder: &Path) -> Outcome {
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    if files.is_empty() {
        return Err(format!("{} is empty", folder.display()).into());
    }
    for file in files {
        let input = std::fs::read(file.path())?;
        std::panic::catch_unwind(|| target(&input))
            .map_err(|_| format!("{}: see above", file.path().display()))?;
    }
    Ok(())
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut trials: Vec<Trial> = Vec::new();
    for (name, target) in TARGETS {
        for kind in ["corpus", "regressions"] {
            let folder = root.join(kind).join(name);
            // A target that has never found anything has no regressions; each has a corpus.
            if kind == "corpus" || folder.exists() {
                trials.push(test(format!("{name}::{kind}"), move || replay(*target, &folder)));
            }
        }
    }
    run(trials);
}
