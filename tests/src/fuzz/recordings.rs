//! Recordings: any bytes, and blocks of any sections under checksums that are right.

use std::io::Write;

use arbitrary::{Arbitrary, Unstructured};
use rspy_profile::recording::Reader;
use rspy_profile::{FORMATS, Options, Profile};

/// What a file begins with, by docs/recording.md, and a block that says what it is of.
const HEADER: [u8; 12] = *b"\x89rspy\r\n\x1a\x01\0\0\0";
const METADATA: (u8, &[u8]) = (1, b"{}");

/// The most bytes that a format may write of an input: what is in a file as small as this fits many times over.
const MOST: usize = 64 << 20;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Whether the rest is taken for a file as it is.
    is_file: bool,
    blocks: Vec<Vec<(u8, &'a [u8])>>,
}

/// Reads a recording, and makes a report of it in every format.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    if input.is_file {
        read(data.get(1..).unwrap_or_default());
        return;
    }
    let mut file = HEADER.to_vec();
    file.extend(block(&[METADATA]));
    for sections in &input.blocks {
        file.extend(block(sections));
    }
    read(&file);
}

/// A block, its contents as they are in one raw block of a zstd frame (RFC 8878, 3.1.1).
fn block(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut contents = Vec::new();
    for (tag, body) in sections {
        contents.push(tag % 14);
        let length = body.len().min(0x3fff);
        contents.extend([length as u8 | 0x80, (length >> 7) as u8]);
        contents.extend(&body[..length]);
    }
    contents.truncate(1 << 16);
    let size = contents.len() as u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend(size.to_le_bytes());
    frame.extend(&(size << 3 | 1).to_le_bytes()[..3]);
    frame.extend(contents);
    let numbers = [(frame.len() as u32).to_le_bytes(), size.to_le_bytes()].concat();
    let checksum = crc32fast::hash(&[numbers.as_slice(), &frame].concat());
    [numbers.as_slice(), &checksum.to_le_bytes(), &frame].concat()
}

fn read(file: &[u8]) {
    let Ok(mut reader) = Reader::new(file) else { return };
    let mut profile = Profile::new(reader.metadata().clone());
    let mut count = 0_usize;
    let take = |profile: &mut Profile, sample: rspy_profile::Sample| {
        count += 1;
        // What comes back is in the tables.
        assert!(sample.thread.index() < profile.threads.len(), "{sample:?}");
        assert!(sample.stack.index() <= profile.stacks.len(), "{sample:?}");
        profile.add(sample);
    };
    // Each sample takes a byte at least; what was compressed can be more.
    let _ = reader.read_into(&mut profile, 0..=u64::MAX, take, |at| assert!(at <= file.len() as u64, "{at}"));
    let mut summed = Profile::new(profile.metadata.clone());
    if let Ok(mut reader) = Reader::new(file) {
        let _ = reader.sums_into(&mut summed, 0..=u64::MAX, Profile::add, |_| {});
    }
    let total = |profile: &Profile| profile.samples().iter().map(rspy_profile::Run::weight).sum::<u64>();
    // Where one fails it has not handed over what came before.
    assert!(total(&summed) <= total(&profile));
    let options = Options { idle: true, by_process: true, by_thread: true, ..Options::default() };
    for format in FORMATS.iter().filter(|format| ["raw", "table", "rspy"].contains(&format.about().name)) {
        // One that cannot be written says so.
        let _ = format.write(&profile, &options, &mut Bounded(0));
    }
}

/// Takes so many bytes, and panics at more.
struct Bounded(usize);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        assert!(self.0 <= MOST, "a report of {MOST} bytes");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
