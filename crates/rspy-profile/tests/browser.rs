//! The flame graph in a real browser: Chromium opens the file itself, and a script appended to it
//! clicks, searches and reports what it then finds in the document.
//!
//! Without Chromium this fails where `CI` is `true`, and elsewhere says that it was skipped.

mod chromium;
mod fixture;
mod packages;

use std::fs;

use fixture::{Recorder, shop, written};
use rspy_profile::format::Flamegraph;
use rspy_profile::{Options, StackId};
use serde_json::{Value, json};

/// Runs after the picture's own start-up, which also waits for a timer, and leaves its findings as
/// JSON in the document.
const PROBE: &str = r#"
<script><![CDATA[
var errors = [];
window.addEventListener("error", function (event) { errors.push(event.message); });
function group(name) {
    return Array.from(frames.children).find(function (e) { return g_to_text(e).startsWith(name); });
}
function click(element) {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
}
function state() {
    var shown = Array.from(frames.children).filter(function (e) {
        return getComputedStyle(e).display != "none";
    });
    return {
        shown: shown.length,
        full_width: shown.filter(function (e) {
            return find_child(e, "rect").getBoundingClientRect().width > frames.getBoundingClientRect().width - 1;
        }).map(g_to_text),
        highlighted: shown.filter(function (e) {
            return find_child(e, "rect").attributes.fill.value == searchcolor;
        }).map(g_to_text),
        matched: matchedtxt.classList.contains("hide") ? "" : matchedtxt.textContent.trim(),
        zoomed: !unzoombtn.classList.contains("hide"),
    };
}
window.addEventListener("load", function () { setTimeout(function () {
    var report = { start: state() };
    var target = group(PROBE_TARGET);
    report.text = find_child(target, "text").textContent;
    target.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
    report.details = document.getElementById("details").textContent;
    click(target);
    report.zoomed = state();
    click(unzoombtn);
    report.unzoomed = state();
    window.prompt = function () { return PROBE_SEARCH; };
    click(searchbtn);
    report.searched = state();
    click(searchbtn);
    report.reset = state();
    report.errors = errors;
    report.height = svg.getBoundingClientRect().height;
    var result = document.createElementNS("http://www.w3.org/2000/svg", "desc");
    result.id = "report";
    result.textContent = "REPORT" + JSON.stringify(report) + "END";
    svg.appendChild(result);
}, 50); });
]]></script></svg>"#;

/// What a browser finds after clicking the frame called `target` and searching for `search`, or
/// `None` if there is no browser and none is demanded.
fn probe(name: &str, svg: &str, target: &str, search: &str) -> Option<Value> {
    let directory = chromium::directory(name);
    let page = directory.join("flamegraph.svg");
    let literal = |text| json!(text).to_string().replace('>', r"\u003e");
    let script = PROBE.replace("PROBE_TARGET", &literal(target)).replace("PROBE_SEARCH", &literal(search));
    let body = svg.strip_suffix("</svg>").expect("an SVG document");
    fs::write(&page, format!("{body}{script}")).expect("a writable target directory");
    let report =
        chromium::report(name, &directory, &["--disable-gpu"], &format!("file://{}", page.display()));
    fs::remove_dir_all(&directory).expect("a directory of our own");
    report
}

#[test]
fn clicking_zooms_and_searching_highlights() {
    let svg = written(&Flamegraph, &shop(), &Options { by_thread: true, ..Options::default() });
    let Some(report) = probe("shop", &svg, "CartView.checkout", "^tax|JSONDecoder") else { return };
    assert_eq!(report["errors"], json!([]));

    assert_eq!(report["text"], "CartView.checkout (shop/views.py:120) ");
    assert_eq!(report["details"], "Function: CartView.checkout (shop/views.py:120) (377 samples, 38.67%)");

    let start = &report["start"];
    assert_eq!(start["zoomed"], false);
    assert_eq!(start["full_width"], json!(["all (975 samples, 100%)"]));

    let zoomed = &report["zoomed"];
    assert_eq!(zoomed["zoomed"], true);
    let full_width = zoomed["full_width"].as_array().expect("a list");
    let full_width =
        |start: &str| full_width.iter().any(|name| name.as_str().unwrap_or("").starts_with(start));
    assert!(
        full_width("CartView.checkout") && full_width("dispatch") && full_width("Cart.total ("),
        "{zoomed}"
    );
    assert!(zoomed["shown"].as_u64() < start["shown"].as_u64(), "{zoomed}");
    assert_eq!(&report["unzoomed"], start);

    let searched = &report["searched"];
    assert_eq!(
        searched["highlighted"],
        json!([
            "tax (shop/money.py:12) (143 samples, 14.67%)",
            "tax (shop/money.py:14) (72 samples, 7.38%)",
            "JSONDecoder.decode (json/decoder.py:345) (112 samples, 11.49%)",
            "JSONDecoder.raw_decode (json/decoder.py:361) (112 samples, 11.49%)",
        ])
    );
    assert_eq!(searched["matched"], "Matched: 33.5%");
    assert_eq!(report["reset"]["highlighted"], json!([]));
}

#[test]
fn hostile_names_are_text() {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    let stack = recorder.stack(
        StackId::EMPTY,
        &[("]]></svg><script>alert(1)</script>&amp;\u{1}\u{ffff}'\"", "größe/文件.py", 1, 1)],
    );
    recorder.active(thread, stack, 1);
    recorder.profile.metadata.program = "python </text> ]]> -- \u{1b}[31m".into();
    let svg = written(&Flamegraph, &recorder.profile, &Options::default());
    let Some(report) = probe("hostile", &svg, "]]>", "文件") else { return };
    assert_eq!(report["errors"], json!([]));
    let name =
        "]]></svg><script>alert(1)</script>&amp:\u{fffd}\u{fffd}'\" (größe/文件.py:1) (1 samples, 100.00%)";
    assert_eq!(report["details"], format!("Function: {name}"));
    assert_eq!(report["searched"]["highlighted"], json!([name]));
}
