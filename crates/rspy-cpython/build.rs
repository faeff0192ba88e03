//! Collects `layouts/*.toml` into one table, so that a new CPython version is a
//! new data file and no line of code.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("layouts");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the layouts folder is part of the crate")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut source = String::from("&[\n");
    for path in files {
        let version = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        writeln!(source, "    ({version:?}, include_str!({:?})),", path.display().to_string())
            .expect("writing to a string");
    }
    source.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("layouts.rs");
    fs::write(out, source).expect("a writable build folder");
}
