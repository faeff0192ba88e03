//! What `docs/jsonl.md` shows scripts to do works, and gives what the shop is known to have; it names all keys.

mod fixture;
mod packages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixture::{shop, written};
use rspy_profile::Options;
use rspy_profile::format::Jsonl;
use serde_json::{Value, json};

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/jsonl.md");
    fs::read_to_string(path).expect("the documentation")
}

/// The examples of a section of the documentation.
fn examples(section: &str) -> Vec<String> {
    let text = documentation();
    let (_, text) = text.split_once(&format!("\n## {section}\n")).expect("the section");
    let (text, _) = text.split_once("\n## ").unwrap_or((text, ""));
    text.split("```")
        .skip(1)
        .step_by(2)
        .map(|code| code.split_once('\n').expect("code").1.to_owned())
        .collect()
}

/// What `command` prints in a folder with the shop.
fn printed(test: &str, command: &mut Command) -> String {
    let folder: PathBuf =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jsonl-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a writable target directory");
    fs::write(folder.join("profile.jsonl"), written(&Jsonl, &shop(), &Options::default()))
        .expect("a writable folder");
    let text = packages::run(command.current_dir(&folder));
    fs::remove_dir_all(&folder).expect("a folder of our own");
    text
}

#[test]
fn jq_prints_what_the_documentation_says() {
    let Some(jq) = packages::debian("jq", "usr/bin/jq", &["jq", "libjq1", "libonig5"]) else { return };
    let run = |test: &str, example: &str| {
        // The command of the example is a function, which is the program that there is.
        let script = format!("jq() {{ env '{}' \"$@\"; }}\n{example}", jq.get_program().display());
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command.envs(jq.get_envs().filter_map(|(name, value)| Some((name, value?))));
        printed(test, &mut command)
    };
    let examples = examples("With jq");
    assert_eq!(examples.len(), 2);
    let own = run("jq-own", &examples[0]);
    assert!(own.starts_with("2.15 tax\n1.5 block_body\n1.12 JSONDecoder.raw_decode\n"), "{own}");
    assert!(own.ends_with("0.05 [no frames]\n0.03 [cut]\n0.02 [lost: memory unreadable]\n"), "{own}");
    let threads: Value = serde_json::from_str(&run("jq-threads", &examples[1])).expect("JSON");
    let weight = |thread, weight| json!({ "thread": thread, "weight": weight });
    assert_eq!(threads, json!([weight(0, 822), weight(1, 145), weight(2, 7)]));
}

#[test]
fn python_prints_what_the_documentation_says() {
    if !packages::has("python3", "python") {
        return;
    }
    let [example] = &examples("With Python alone")[..] else { panic!("not one example") };
    let text = printed("python", Command::new("python3").args(["-c", example]));
    for line in ["822 dispatch", "377 Cart.total", "215 tax", "90 Category.subtree", "3 [cut]"] {
        assert!(text.lines().any(|printed| printed == line), "no {line} in\n{text}");
    }
}

/// pandas is large: where it is not installed this says that it was skipped, in CI too.
#[test]
fn pandas_prints_what_the_documentation_says() {
    let has_pandas = Command::new("python3").args(["-c", "import pandas"]).output();
    if !has_pandas.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped pandas: it is not installed");
        return;
    }
    let [example] = &examples("With pandas")[..] else { panic!("not one example") };
    let text = printed("pandas", Command::new("python3").args(["-c", example]));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["tax", "215.0"]) && rows.contains(&vec!["[cut]", "3.0"]), "{text}");
}

#[test]
fn the_documentation_names_every_key() {
    let text = documentation();
    for line in written(&Jsonl, &shop(), &Options::default()).lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let kind = record["type"].as_str().expect("a type");
        let row = text.lines().find(|row| row.starts_with(&format!("| `{kind}` |"))).expect("a row");
        let named: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
        for key in record.as_object().expect("an object").keys().filter(|key| *key != "type") {
            assert!(named.contains(key.as_str()), "{kind} has no {key}");
        }
    }
}
