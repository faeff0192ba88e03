//! Binary outputs read back, each reference to a table followed: what they add up to, and as text that can be read.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod gecko;
pub mod otlp;
pub mod pprof;
pub mod pstats;

use std::collections::BTreeMap;
use std::io::Read;

/// What was compressed.
pub fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).expect("a whole gzip file");
    text
}

/// The weight of each stack of a file, of all threads together: the names of its frames, outermost first. `None` for formats
/// that are read elsewhere.
pub fn weights(format: &str, bytes: &[u8]) -> Option<BTreeMap<Vec<String>, u128>> {
    match format {
        "gecko" => Some(gecko::weights(bytes)),
        "pprof" => Some(pprof::weights(bytes)),
        "otlp" => Some(otlp::weights(bytes)),
        _ => None,
    }
}

/// As text, for goldens; what is no binary format is given as it is.
pub fn legible(format: &str, bytes: &[u8]) -> String {
    match format {
        "gecko" => gecko::legible(bytes),
        "pprof" => pprof::legible(bytes),
        "otlp" => otlp::legible(bytes),
        "pstats" => pstats::legible(bytes),
        _ => String::from_utf8(bytes.to_vec()).expect("text"),
    }
}
