//! Colours that say whose code a frame is: the program's own in orange, installed packages in
//! teal, the standard library in a pale yellow, threads in slate, and grey for what is not known.
//!
//! The shade within a hue comes from a hash of the function's name and its file relative to its
//! package, so that a function has one colour on all its lines, in every picture, on every machine.

use std::ops::RangeInclusive;

use inferno::flamegraph::color::{Color, PaletteMap};

use crate::frame::{Frame, FrameKind};
use crate::profile::Profile;
use crate::tree::{Source, Tree};

/// The colour behind the frames.
pub(super) const BACKGROUND: Color = Color { r: 250, g: 250, b: 248 };

/// The colour of the frame above all others.
const ALL: Color = Color { r: 222, g: 219, b: 211 };

/// The colour of what is not known, or not drawn.
const UNKNOWN: Color = Color { r: 190, g: 190, b: 190 };

/// The colour of what all frames are in.
pub(super) fn of_all() -> PaletteMap {
    let mut palette = PaletteMap::default();
    palette.insert("", ALL);
    palette
}

/// Adds the colour of each label of `tree`. Where things of several colours share a label, it is the
/// same of them whatever their order.
pub(super) fn add(palette: &mut PaletteMap, profile: &Profile, tree: &Tree) {
    for (label, source) in tree.sources() {
        let color = match source {
            Source::Frame(frame) => frame_color(profile, &profile.frames[frame]),
            Source::Thread => THREAD.shade(hash(&[label])),
            Source::Note => UNKNOWN,
        };
        let other = palette.get(label).unwrap_or(color);
        palette.insert(label, color.min(other));
    }
}

/// The middle of a range of shades.
const MIDDLE: u64 = 0x80_8080;

/// Each colour that says something, and what it says.
pub(super) fn legend() -> [(Color, &'static str); 4] {
    [
        (PROGRAM.shade(MIDDLE), "program"),
        (PACKAGE.shade(MIDDLE), "installed packages"),
        (STANDARD_LIBRARY.shade(MIDDLE), "standard library"),
        (UNKNOWN, "not known"),
    ]
}

fn frame_color(profile: &Profile, frame: &Frame) -> Color {
    match frame.kind {
        FrameKind::Python => {
            let hues = match owner(&profile.strings[frame.file]) {
                Owner::Program => PROGRAM,
                Owner::Package => PACKAGE,
                Owner::StandardLibrary => STANDARD_LIBRARY,
            };
            hues.shade(hash(&[&profile.strings[frame.name], &profile.strings[frame.short_file]]))
        }
        FrameKind::Collecting | FrameKind::WaitsForGil => THREAD.shade(MIDDLE),
        FrameKind::Cut | FrameKind::Truncated | FrameKind::Lost(_) => UNKNOWN,
    }
}

/// Whose code a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Program,
    Package,
    StandardLibrary,
}

/// Whose code the file at `path` is, going by where Python's installers put things.
fn owner(path: &str) -> Owner {
    let mut owner = if path.starts_with("<frozen ") { Owner::StandardLibrary } else { Owner::Program };
    for directory in path.rsplit(['/', '\\']).skip(1) {
        if matches!(directory, "site-packages" | "dist-packages") {
            return Owner::Package;
        }
        if is_library_directory(directory) {
            owner = Owner::StandardLibrary;
        }
    }
    owner
}

/// Whether a directory is called like the one that holds a standard library: `python3.13`,
/// `python3.13t`, `python313.zip`, `pypy3.10`.
fn is_library_directory(name: &str) -> bool {
    let Some(version) = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy")) else {
        return false;
    };
    let version = version.strip_suffix(".zip").unwrap_or(version);
    let version = version.strip_suffix('t').unwrap_or(version);
    !version.is_empty() && version.chars().all(|character| character.is_ascii_digit() || character == '.')
}

/// A family of colours: black text is easy to read on each of them.
struct Shades {
    /// In degrees.
    hue: RangeInclusive<f64>,
    /// From 0 to 1.
    saturation: RangeInclusive<f64>,
    /// From 0 to 1.
    lightness: RangeInclusive<f64>,
}

const PROGRAM: Shades = Shades { hue: 14.0..=34.0, saturation: 0.82..=0.95, lightness: 0.60..=0.70 };
const PACKAGE: Shades = Shades { hue: 168.0..=192.0, saturation: 0.38..=0.50, lightness: 0.60..=0.72 };
const STANDARD_LIBRARY: Shades = Shades { hue: 46.0..=54.0, saturation: 0.62..=0.80, lightness: 0.70..=0.79 };
const THREAD: Shades = Shades { hue: 210.0..=226.0, saturation: 0.22..=0.32, lightness: 0.72..=0.80 };

impl Shades {
    /// The shade that `hash` picks.
    fn shade(&self, hash: u64) -> Color {
        let pick = |range: &RangeInclusive<f64>, byte: u8| {
            range.start() + (range.end() - range.start()) * f64::from(byte) / 255.0
        };
        let [first, second, third, ..] = hash.to_le_bytes();
        rgb(pick(&self.hue, first), pick(&self.saturation, second), pick(&self.lightness, third))
    }
}

/// From hue (degrees), saturation and lightness (0 to 1):
/// <https://www.w3.org/TR/css-color-3/#hsl-color>.
fn rgb(hue: f64, saturation: f64, lightness: f64) -> Color {
    let channel = |offset: f64| {
        let position = (offset + hue / 30.0) % 12.0;
        let value = lightness
            - saturation
                * lightness.min(1.0 - lightness)
                * (position - 3.0).min(9.0 - position).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Color { r: channel(0.0), g: channel(8.0), b: channel(4.0) }
}

/// A hash that is the same everywhere and always: FNV-1a, its bits then mixed so that short names
/// that differ little get colours that differ (the last steps of SplitMix64).
fn hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_file_follows_from_its_path() {
        for (path, expected) in [
            ("/srv/app/main.py", Owner::Program),
            ("<string>", Owner::Program),
            ("/home/me/python/main.py", Owner::Program),
            ("/usr/lib/python3.13/json/decoder.py", Owner::StandardLibrary),
            ("/usr/lib/python3.13t/json/decoder.py", Owner::StandardLibrary),
            ("/usr/lib/python313.zip/json/decoder.py", Owner::StandardLibrary),
            ("<frozen importlib._bootstrap>", Owner::StandardLibrary),
            ("/srv/venv/lib/python3.13/site-packages/requests/api.py", Owner::Package),
            ("/usr/lib/python3/dist-packages/yaml/__init__.py", Owner::Package),
        ] {
            assert_eq!(owner(path), expected, "{path}");
        }
    }

    #[test]
    fn primary_hues_convert_exactly() {
        assert_eq!(rgb(0.0, 1.0, 0.5), Color { r: 255, g: 0, b: 0 });
        assert_eq!(rgb(120.0, 1.0, 0.5), Color { r: 0, g: 255, b: 0 });
        assert_eq!(rgb(240.0, 1.0, 0.5), Color { r: 0, g: 0, b: 255 });
        assert_eq!(rgb(0.0, 0.0, 1.0), Color { r: 255, g: 255, b: 255 });
    }
}
