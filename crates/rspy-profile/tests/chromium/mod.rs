//! Chromium without a window: what a page has become after its scripts have run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::packages::has;

/// The names Chromium goes by.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// What the page at `url` reports: the JSON that its script leaves between `REPORT` and `END` in the document.
/// `None` if there is no browser and none is demanded.
pub fn report(test: &str, directory: &Path, arguments: &[&str], url: &str) -> Option<Value> {
    let installed = BROWSERS.iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let browser = installed.unwrap_or(&BROWSERS[0]);
    if !has(browser, test) {
        return None;
    }
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--no-first-run", "--window-size=1400,900"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // Virtual time runs ahead while the page waits for another thread, as for what is decompressed.
        .args(["--virtual-time-budget=1000000", "--dump-dom"])
        .args(arguments)
        .arg(format!("--user-data-dir={}", directory.join("user").display()))
        .arg(url)
        .output()
        .expect("a browser that starts");
    let document = String::from_utf8_lossy(&output.stdout);
    let report = document.split_once("REPORT{").and_then(|(_, rest)| rest.split_once("}END"));
    let Some((report, _)) = report else {
        panic!("the script did not finish:\n{document}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let report = format!("{{{report}}}").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&report).expect("JSON"))
}

/// A folder of this test's own, made anew.
pub fn directory(test: &str) -> std::path::PathBuf {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{test}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a writable target directory");
    directory
}
