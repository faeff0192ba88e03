//! `--class-names`: methods with the classes of what they are called on, where code does not know them.

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::stacks::{DumpThread, compare_profile};
use rspy_tests::target::{self, Target};
use rspy_tests::{Outcome, run, test};

fn are_named(interpreter: &Interpreter) -> Outcome {
    let mut command = target::command(interpreter, "classes.py", &[]);
    command.env("TESTIFY_CLASSES", "1");
    let target = Target::start(command)?;
    let arguments = ["dump", "--json", "--class-names", "--pid", &target.pid.to_string()];
    let output = Run::start(arguments)?.output()?.success()?;
    let dump: Vec<DumpThread> = serde_json::from_str(&output.stdout)?;
    rspy_tests::stacks::compare_dump(&target, &dump)?;
    let told = &target.testimony.threads[0].stacks[0];
    if !told.iter().any(|frame| frame.name.starts_with("Derived.")) {
        return Err("the target says too little of its classes".into());
    }
    let (profile, _) =
        Recording::of(target.pid, &["--idle", "--duration", "0.5", "--class-names"])?.finish()?;
    compare_profile(&target, &profile, true)
}

fn main() {
    let tests = interpreters::all().into_iter().map(|interpreter| {
        test(format!("class-names::{}", interpreter.label), move || are_named(&interpreter))
    });
    run(tests.collect());
}
