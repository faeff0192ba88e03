//! Callgrind files in what reads them: `callgrind_annotate` of Debian's valgrind, and gprof2dot.
//!
//! Both are put into the user's cache when they are not there.

mod fixture;
mod packages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixture::{Recorder, metadata, shop, written};
use rspy_profile::format::Callgrind;
use rspy_profile::{Frame, FrameKind, Metadata, Options, Profile, StackId};

/// A folder of a test's own, with a file of `profile`.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, profile: &Profile) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a writable target directory");
        fs::write(folder.join("profile"), written(&Callgrind, profile, &Options::default()))
            .expect("a writable folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `callgrind_annotate` prints, which must have nothing to complain about.
fn annotated(test: &str, profile: &Profile, arguments: &[&str]) -> Option<String> {
    let mut command = packages::debian(test, "usr/bin/callgrind_annotate", &["valgrind"])?;
    let folder = Folder::new(test, profile);
    let output = command.args(arguments).arg("profile").current_dir(&folder.0).output().expect("it starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// The numbers before `name`, which are of samples and microseconds, or of samples alone.
fn numbers(text: &str, name: &str) -> Vec<u64> {
    let mut rows = text.lines().filter_map(|line| line.strip_suffix(name)).filter(|row| row.ends_with("  "));
    let row = rows.next().unwrap_or_else(|| panic!("no {name} in\n{text}"));
    assert!(rows.next().is_none(), "{name} twice in\n{text}");
    let words = row.split(' ').filter(|word| !word.contains('%') && !word.is_empty() && *word != "(");
    words.map(|word| word.replace(',', "").parse().expect("a number")).collect()
}

const MODELS: &str = "/srv/shop/shop/models.py:";

#[test]
fn annotate_prints_what_functions_cost_themselves() {
    let options = ["--auto=no", "--threshold=100"];
    let Some(text) = annotated("own", &shop(), &options) else { return };
    assert!(text.contains("Profiled target:  python -m shop serve --port 8080 (PID 8306)\n"), "{text}");
    assert!(text.contains("Calls: estimates, lower bounds"), "{text}");
    for (name, samples) in [
        ("PROGRAM TOTALS", 975),
        ("/srv/shop/shop/money.py:tax (shop/money.py:8)", 215),
        (&format!("{MODELS}Cart.total (shop/models.py:50)"), 61),
        (&format!("{MODELS}Category.subtree (shop/models.py:131)"), 90),
        ("???:[cut]", 3),
        ("???:[no frames]", 5),
        ("???:[lost: memory unreadable]", 2),
        ("???:[lost: exited while read]", 1),
    ] {
        assert_eq!(numbers(&text, name), [samples, samples * 10_000], "{name}");
    }
}

#[test]
fn annotate_prints_what_they_cost_with_all_they_call() {
    let options = ["--auto=no", "--threshold=100", "--inclusive=yes"];
    let Some(text) = annotated("total", &shop(), &options) else { return };
    for (name, samples) in [
        ("PROGRAM TOTALS", 975),
        ("???:[all samples]", 975),
        ("<frozen runpy>:<module> (<frozen runpy>:1)", 822),
        ("/srv/shop/shop/server.py:dispatch (shop/server.py:60)", 822),
        (&format!("{MODELS}Cart.total (shop/models.py:50)"), 377),
        // A recursion, which callgrind's own files count once for each level.
        (&format!("{MODELS}Category.subtree (shop/models.py:131)"), 90),
        ("???:[cut]", 3),
        ("???:[lost: exited while read]", 1),
    ] {
        assert_eq!(numbers(&text, name), [samples, samples * 10_000], "{name}");
    }
}

#[test]
fn annotate_prints_callers_with_the_number_of_calls() {
    let options = ["--auto=no", "--threshold=100", "--tree=caller", "--show-percs=no"];
    let Some(text) = annotated("callers", &shop(), &options) else { return };
    let subtree = format!("{MODELS}Category.subtree (shop/models.py:131)");
    for (name, samples) in [
        ("< /srv/shop/shop/views.py:CategoryView.tree (shop/views.py:190) (1x) []", 90),
        (&format!("< {subtree} (5x) []"), 0),
        (&format!("*  {subtree}"), 90),
    ] {
        assert_eq!(numbers(&text, name), [samples, samples * 10_000], "{name}");
    }
}

/// Of two functions that call each other, in a source that is there.
#[test]
fn annotate_shows_the_lines_of_a_source() {
    let source = "def outer(n):\n    work()\n    return inner(n)\n\ndef inner(n):\n    return outer(n - 1)\n";
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let thread = recorder.thread(1, "");
    let calls = |calls: &[(&'static str, u32, u32)]| -> Vec<_> {
        calls.iter().map(|&(name, line, first)| (name, "source.py", line, first)).collect()
    };
    let (outer, inner, work) = (("outer", 3, 1), ("inner", 6, 5), ("outer", 2, 1));
    for (stack, weight) in
        [(calls(&[outer, inner, work]), 7), (calls(&[outer, inner, outer, inner]), 11), (calls(&[outer]), 1)]
    {
        let stack = recorder.stack(StackId::EMPTY, &stack);
        recorder.active(thread, stack, weight);
    }
    let Some(mut command) = packages::debian("source", "usr/bin/callgrind_annotate", &["valgrind"]) else {
        return;
    };
    let folder = Folder::new("source", &recorder.profile);
    fs::write(folder.0.join("source.py"), source).expect("a writable folder");
    let options = ["--threshold=100", "--show=Samples", "--show-percs=no", "--inclusive=yes", "profile"];
    let text = packages::run(command.args(options).current_dir(&folder.0));
    assert_eq!(numbers(&text, "source.py:outer (source.py:1)"), [19]);
    assert_eq!(numbers(&text, "source.py:inner (source.py:5)"), [18]);
    for row in [
        "\n      7      work()\n",
        "\n      1      return inner(n)\n",
        "\n     18  => source.py:inner (source.py:5) (2x)\n",
        "\n     11      return outer(n - 1)\n",
        // One call, that went on to another line.
        "\n      0  => source.py:outer (source.py:1) (1x)\n",
    ] {
        assert!(text.contains(row), "no {row:?} in\n{text}");
    }
}

#[test]
fn annotate_opens_what_is_empty_and_what_is_hostile() {
    let options = ["--threshold=100"];
    let Some(text) = annotated("empty", &Profile::new(metadata()), &options) else { return };
    assert!(text.contains("Events recorded:  Samples Microseconds\n"), "{text}");

    let hostile = "x\nfn=(1) y\n0 5\n\0(3)";
    let mut recorder =
        Recorder { profile: Profile::new(Metadata { rate: 0.0, ..metadata() }), ..Recorder::default() };
    recorder.profile.metadata.program = hostile.into();
    recorder.profile.metadata.host = Some(hostile.into());
    let thread = recorder.thread(1, hostile);
    for text in [hostile, "", "(1)", "calls=7 7", "größe"] {
        let text = recorder.profile.strings.intern(text);
        let frame = Frame { name: text, file: text, short_file: text, ..Frame::unknown(FrameKind::Python) };
        let frame = recorder.profile.frames.intern(frame);
        let stack = recorder.profile.stacks.intern(StackId::EMPTY, frame);
        recorder.active(thread, stack, 3);
    }
    let Some(text) = annotated("hostile", &recorder.profile, &options) else { return };
    assert_eq!(numbers(&text, "PROGRAM TOTALS"), [15]);
    for name in
        ["(1):(1) ((1):0)", "calls=7 7:calls=7 7 (calls=7 7:0)", "größe:größe (größe:0)", "???:[unnamed]"]
    {
        assert_eq!(numbers(&text, name), [3], "{name}");
    }
}

#[test]
fn gprof2dot_draws_the_shares() {
    let Some(python) = packages::python("gprof2dot-callgrind", "gprof2dot==2025.4.14") else { return };
    let whole = ["-m", "gprof2dot", "-f", "callgrind", "-n", "0", "-e", "0", "profile"];
    let drawn = |test: &str, profile: &Profile| {
        packages::run(Command::new(&python).args(whole).current_dir(&Folder::new(test, profile).0))
    };
    let text = drawn("gprof2dot", &shop());
    for label in [
        r"[all samples]\n100.00%\n(0.00%)\n0×",
        r"dispatch (shop/server.py:60)\n84.31%\n(0.00%)\n1×",
        r"tax (shop/money.py:8)\n22.05%\n(22.05%)\n1×",
        r"Category.subtree (shop/models.py:131)\n9.23%\n(9.23%)\n6×",
        r"[cut]\n0.31%\n(0.31%)\n1×",
        r"[lost: exited while read]\n0.10%\n(0.10%)\n1×",
    ] {
        assert!(text.contains(&format!("label=\"{label}\"")), "no {label} in\n{text}");
    }
    assert!(drawn("gprof2dot-empty", &Profile::new(metadata())).contains("[all samples]"));
}
