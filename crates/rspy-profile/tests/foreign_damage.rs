//! Files of other profilers that are cut off or damaged: what is read is a part of what was there, and what is wrong is said.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use proptest::prelude::*;
use rspy_profile::foreign::{Collapsed, Mojo, Speedscope, Tachyon, recognize};
use rspy_profile::{FOREIGN, Foreign, Profile, Run};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}; run tools/foreign-samples"))
}

fn total(profile: &Profile) -> u64 {
    profile.samples().iter().map(Run::weight).sum::<u64>() + profile.lost.total()
}

#[test]
fn streams_that_are_cut_off_are_read_up_to_there() {
    for (foreign, name) in [
        (&Mojo as &dyn Foreign, "austin-3.4.1.mojo"),
        (&Mojo, "austin-4.0.0-full.mojo"),
        (&Mojo, "version-4-repeat.mojo"),
        (&Collapsed, "py-spy.txt"),
    ] {
        let whole = bytes(name);
        let mut last = 0;
        let mut noticed = 0;
        for length in (4..whole.len()).step_by(5) {
            let import = foreign.read(&whole[..length], &mut |_| ());
            // A text without a whole line is none.
            let Ok(import) = import else {
                assert!(
                    foreign.name() == "collapsed" && !whole[..length].contains(&b'\n'),
                    "{name}: {length}"
                );
                continue;
            };
            let read = total(&import.profile);
            if import.notices.is_empty() {
                assert!(read >= last, "{name}: {length} bytes have {read}, fewer have {last}");
                last = read;
            }
            noticed += usize::from(!import.notices.is_empty());
        }
        assert!(noticed * 10 > whole.len(), "{name}: most places are within an event or a line");
        assert!(last <= total(&foreign.read(&whole, &mut |_| ()).expect("whole").profile));
    }
}

#[test]
fn files_that_need_their_end_say_that_it_is_missing() {
    for (foreign, name) in [(&Tachyon as &dyn Foreign, "tachyon.bin"), (&Speedscope, "py-spy.json")] {
        let whole = bytes(name);
        for length in (4..whole.len()).step_by(7) {
            let error = foreign.read(&whole[..length], &mut |_| ()).expect_err("it is not whole");
            assert!(error.to_string().contains("cut off"), "{name}, {length} bytes: {error}");
        }
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let mut tachyon = bytes("tachyon-uncompressed.bin");
    tachyon[4] = 9;
    let newer = tachyon.clone();
    tachyon[4] = 1;
    // How the stack of the first sample is written.
    tachyon[64 + 12] = 77;
    let other_end = [&bytes("tachyon.bin")[..], b"more"].concat();
    let speedscope = |profile: &str| {
        let frames = r#"{"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":[{"name":"f"}]}"#;
        format!(r#"{frames},"profiles":[{{"name":"main","startValue":0,"endValue":1,{profile}}}]}}"#)
            .into_bytes()
    };
    let cases: Vec<(&dyn Foreign, Vec<u8>)> = vec![
        (&Collapsed, b"neither\nnor\n".to_vec()),
        (&Collapsed, b"a 9223372036854775807\nb 1\n".to_vec()),
        (&Mojo, b"MAJ\x01".to_vec()),
        (&Mojo, b"MOJ\x09".to_vec()),
        (&Mojo, b"MOJ\x01\x63".to_vec()),
        (&Mojo, b"MOJ\x01\x05\x07".to_vec()),
        (&Mojo, b"MOJ\x01\x09\x07".to_vec()),
        (&Mojo, b"MOJ\x01\x03\x02\x03\x04\x05".to_vec()),
        (&Mojo, [&b"MOJ\x01\x05"[..], &[0xff; 12]].concat()),
        (&Tachyon, b"TACHYON".to_vec()),
        (&Tachyon, newer),
        (&Tachyon, tachyon),
        (&Tachyon, other_end),
        (&Speedscope, b"{\"shared\": 3}".to_vec()),
        (&Speedscope, b"{\"shared\":".to_vec()),
        (&Speedscope, speedscope(r#""type":"sampled","unit":"none","samples":[[0]],"weights":[]"#)),
        (&Speedscope, speedscope(r#""type":"sampled","unit":"none","samples":[[1]],"weights":[1]"#)),
        (&Speedscope, speedscope(r#""type":"sampled","unit":"none","samples":[[0]],"weights":[-1]"#)),
        (
            &Speedscope,
            speedscope(
                r#""type":"evented","unit":"none","events":[{"type":"C","frame":0,"at":1},{"type":"O","frame":0,"at":2}]"#,
            ),
        ),
    ];
    let said: String = cases
        .iter()
        .map(|(foreign, bytes)| match foreign.read(bytes, &mut |_| ()) {
            Ok(_) => panic!("{bytes:?} is read"),
            Err(error) => format!("{error}\n"),
        })
        .collect();
    assert_snapshot!("foreign-errors", said);
}

/// Profiles of several units, and a weight that is no whole number.
const UNITS: &str = r#"{"shared":{"frames":[{"name":"f"}]},"profiles":[
    {"type":"sampled","name":"a","unit":"bytes","startValue":0,"endValue":1,"samples":[[0]],"weights":[2.6]},
    {"type":"sampled","name":"b","unit":"seconds","startValue":0,"endValue":1,"samples":[[0]],"weights":[1]}]}"#;

#[test]
fn notices_say_what_is_left_out() {
    let mut said = String::new();
    let cases: [(&dyn Foreign, &[u8]); 5] = [
        (&Collapsed, b"a;b 1.5\nnothing\na;\xff 3"),
        (&Collapsed, b"# mode: memory\nP1;T0:1;a.py:f:1 500\nP1;T0:1;a.py:f:1 -200\n"),
        (&Mojo, b"MOJ\x01\x02\x01\x37\0\x02\x01\x37\0\x09\x05\x02\x01"),
        (&Mojo, b"MOJ\x04\x02\x01\0\x37\0\x0f\x01\x02\x09\x05"),
        (&Speedscope, UNITS.as_bytes()),
    ];
    for (foreign, bytes) in cases {
        let import = foreign.read(bytes, &mut |_| ()).expect("it is read");
        let weight = total(&import.profile);
        said += &format!("{}: {weight}\n  {}\n", foreign.name(), import.notices.join("\n  "));
    }
    assert_snapshot!("foreign-notices", said);
}

/// A few bytes of a real file changed, cut out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .expect("the folder of samples")
        .map(|file| file.expect("an entry").path())
        .collect();
    files.sort();
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (prop::sample::select(files), prop::collection::vec(change, 1..8)).prop_map(|(file, changes)| {
        let mut bytes = fs::read(file).expect("a sample");
        for (index, value, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let index = index.index(bytes.len());
            match how {
                0 => bytes[index] = value,
                1 => bytes.insert(index, value),
                _ => bytes.truncate(index),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damaged_files_are_read_in_part_or_refused(bytes in damaged()) {
        recognize(&bytes);
        for foreign in FOREIGN {
            match foreign.read(&bytes, &mut |_| ()) {
                Ok(import) => {
                    let entries = import.profile.stacks.len() + import.profile.samples().len();
                    prop_assert!(entries <= 2 * bytes.len() + (1 << 16), "{entries} of {} bytes", bytes.len());
                }
                Err(error) => prop_assert!(error.to_string().contains(';'), "it says what to do: {error}"),
            }
        }
    }
}
