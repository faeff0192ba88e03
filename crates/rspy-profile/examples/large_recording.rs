//! Writes a recording as large as is asked for, to measure readers with:
//!
//! ```sh
//! cargo run --release -p rspy-profile --example large_recording -- FILE 10000000 100000
//! ```
//!
//! so many samples of so many distinct stacks of 30 frames, of four threads.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use rspy_profile::recording::Writer;
use rspy_profile::{
    Activity, Frame, FrameKind, Metadata, Process, Profile, Sample, StackId, Thread, ThreadState,
};

const DEPTH: u64 = 30;
const THREADS: u64 = 4;
/// Nanoseconds between two samples of a thread.
const PERIOD: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("give a file, a number of samples and a number of stacks")?;
    let samples: u64 = arguments.next().ok_or("give a number of samples")?.parse()?;
    let stacks: u64 = arguments.next().ok_or("give a number of stacks")?.parse()?;

    let metadata =
        Metadata { program: "python app.py".to_owned(), pid: 1, rate: 1000.0, ..Metadata::default() };
    let mut profile = Profile::new(metadata);
    let command_line = profile.strings.intern("python app.py");
    let process = profile.processes.add(Process { pid: 1, parent: None, command_line });
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            profile.threads.add(Thread {
                process,
                os_id: Some(number as u32 + 1),
                python_id: None,
                name: None,
            })
        })
        .collect();
    let frames: Vec<_> = (0..4000)
        .map(|number| {
            let name = profile.strings.intern(&format!("Package.function_{number}"));
            let file = profile.strings.intern(&format!("package/module_{}.py", number % 100));
            let line = Some(number % 500);
            let frame = Frame { name, file, short_file: file, line, ..Frame::unknown(FrameKind::Python) };
            profile.frames.intern(frame)
        })
        .collect();
    let all: Vec<StackId> = (0..stacks)
        .map(|number| {
            // The outer frames are shared by many, the inner ones tell stacks apart.
            let mut seed = number.reverse_bits();
            (0..DEPTH).fold(StackId::EMPTY, |stack, level| {
                let frame = frames[((seed >> 60) * 240 + level * 7) as usize];
                seed = seed.rotate_left(1);
                profile.stacks.intern(stack, frame)
            })
        })
        .collect();

    let state = ThreadState { activity: Activity::Active, ..ThreadState::default() };
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), &profile)?;
    let mut random = 1_u64;
    for number in 0..samples {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Half of them are of one in a hundred stacks, and many are what the last one was.
        let most = if random & 1 == 0 { stacks.div_ceil(100) } else { stacks };
        let stack = all[(random >> 8) as usize % most as usize];
        let at = number / THREADS * PERIOD + random % PERIOD;
        let thread = threads[(number % THREADS) as usize];
        writer.add(Sample { at, thread, stack, weight: 1, state }, &profile)?;
    }
    writer.finish(&profile)?;
    Ok(())
}
