//! Our files in the viewer that they are made for: speedscope, as npm ships it, opens them in Chromium, and what it
//! then shows is read from its page. It imports Chrome's trace events and pprof's files too.
//!
//! speedscope is installed into the user's cache by npm when it is not there. Without npm or Chromium this fails where
//! `CI` is `true`, and elsewhere says that it was skipped.

mod chromium;
mod fixture;
mod packages;

use std::fs;

use fixture::{bytes, shop};
use rspy_profile::format::{Chrometrace, Pprof, Speedscope};
use rspy_profile::{Format, Options};
use serde_json::{Value, json};

const SPEEDSCOPE: &str = "speedscope@1.25.0";

/// Waits until the table of functions is there, and reports the rows of all tables.
const PROBE: &str = r#"
var errors = [];
window.addEventListener("error", function (event) { errors.push(event.message); });
var timer = setInterval(function () {
    var rows = Array.from(document.querySelectorAll("tbody tr, table:not(:has(thead)) tr"));
    rows = rows.map(function (row) {
        return Array.from(row.cells).map(function (cell) { return cell.textContent.trim(); });
    });
    var page = document.body.textContent;
    if (!rows.some(function (row) { return row.join().includes("%"); }) && !page.includes("went wrong")) { return; }
    clearInterval(timer);
    var result = document.createElement("div");
    result.textContent = "REPORT" + JSON.stringify({ errors: errors, rows: rows, title: document.title }) + "END";
    document.body.appendChild(result);
}, 20);
"#;

/// What speedscope shows of the shop as `format` writes it, under a file name with the usual extension.
fn shown(test: &str, format: &dyn Format) -> Option<Value> {
    let viewer = packages::npm(test, SPEEDSCOPE)?.join("dist/release/index.html");
    let directory = chromium::directory(test);
    let file = bytes(format, &shop(), &Options::default());
    let script = directory.join("profile.js");
    let name = format!("profile.{}", format.about().extension);
    // The way in that speedscope's own command uses; `btoa` takes each byte as a character.
    let load = format!(
        "speedscope.loadFileFromBase64({}, btoa(String.fromCharCode.apply(null, {})));",
        json!(name),
        json!(file)
    );
    fs::write(&script, format!("{load}{PROBE}")).expect("a writable target directory");
    let url = format!("file://{}#localProfilePath={}&view=sandwich", viewer.display(), script.display());
    // It draws with WebGL, here in software.
    let software = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
    let report = chromium::report(test, &directory, &software, &url);
    fs::remove_dir_all(&directory).expect("a directory of our own");
    let report = report?;
    assert_eq!(report["errors"], json!([]), "{report}");
    Some(report)
}

/// The row of those that speedscope shows whose last cells are these.
fn has_row(report: &Value, cells: &[&str]) -> bool {
    let rows = report["rows"].as_array().expect("a list");
    rows.iter().any(|row| {
        row.as_array().expect("a list").ends_with(&cells.iter().map(|cell| json!(cell)).collect::<Vec<_>>())
    })
}

#[test]
fn speedscope_opens_its_own_format() {
    let Some(report) = shown("speedscope", &Speedscope) else { return };
    for cells in [
        ["Thread 8306 \"MainThread\"", "8.22s"],
        ["Thread 8308 \"worker 1\"", "1.45s"],
        ["Thread 8309", "70.00ms"],
        ["Lost samples", "10.00ms"],
    ] {
        assert!(has_row(&report, &cells), "{cells:?} is missing: {report}");
    }
    // Total, self, function: the functions of the first thread.
    for cells in [
        ["8.22s (100%)", "0.00ns (<0.01%)", "dispatch"],
        ["3.77s (46%)", "0.00ns (<0.01%)", "CartView.checkout"],
        ["1.43s (17%)", "1.43s (17%)", "tax"],
    ] {
        assert!(has_row(&report, &cells), "{cells:?} is missing: {report}");
    }
}

#[test]
fn speedscope_opens_chrometrace() {
    let Some(report) = shown("chrometrace", &Chrometrace) else { return };
    for cells in [
        ["python -m shop serve --port 8080 (pid 8306), MainThread (tid 8306)", "8.22s"],
        ["python -m shop serve --port 8080 (pid 8306), worker 1 (tid 8308)", "1.45s"],
        ["python -m shop serve --port 8080 (pid 8306, tid 8309)", "70.00ms"],
    ] {
        assert!(has_row(&report, &cells), "{cells:?} is missing: {report}");
    }
    // A function by the line that a call of it was first seen on.
    let tax = "tax {\"filename\":\"/srv/shop/shop/money.py\",\"line\":12}";
    assert!(has_row(&report, &["2.15s (26%)", "2.15s (26%)", tax]), "{report}");
}

/// All threads are one there; what it shows is the last kind of value, time.
#[test]
fn speedscope_opens_pprof() {
    let Some(report) = shown("pprof", &Pprof) else { return };
    for cells in [
        ["8.22s (84%)", "0.00ns (<0.01%)", "dispatch"],
        ["3.77s (39%)", "0.00ns (<0.01%)", "CartView.checkout"],
        ["2.15s (22%)", "2.15s (22%)", "tax"],
        ["30.00ms (0.31%)", "30.00ms (0.31%)", "[cut]"],
        ["10.00ms (0.10%)", "10.00ms (0.10%)", "[lost: exited while read]"],
    ] {
        assert!(has_row(&report, &cells), "{cells:?} is missing: {report}");
    }
}
