//! The recording file: what is cut off, damaged, foreign or newer, and several in one.

mod fixture;

use std::io;
use std::ops::RangeInclusive;

use fixture::{Recorder, recording, shop, written};
use proptest::prelude::*;
use rspy_profile::format::Raw;
use rspy_profile::recording::{Ending, MAGIC, Reader, RecordingError, Writer, is_recording};
use rspy_profile::{
    Activity, LostReason, MemoryUse, Metadata, Options, Overhead, Process, Profile, Sample, StackId,
    ThreadState, Totals,
};

/// Everything is shown.
fn all() -> Options {
    Options { idle: true, by_thread: true, ..Options::default() }
}

/// Twelve samples of two threads, in four blocks.
fn small() -> (Recorder, Vec<u8>) {
    let mut recorder = Recorder::default();
    let threads = [recorder.thread(1, "MainThread"), recorder.thread(2, "worker")];
    for number in 0..12 {
        let name = ["one", "two", "three", "four"][number / 3];
        let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1), (name, "a.py", 2, 2)]);
        recorder.active(threads[number % 2], stack, 1);
    }
    recorder.profile.lost.add(LostReason::Exited, 5);
    recorder.profile.missed = 7;
    let bytes = recording::of(&recorder);
    (recorder, bytes)
}

/// The samples of what can be read, and how it ends.
fn samples_of(bytes: &[u8]) -> Result<(Vec<Sample>, Ending), RecordingError> {
    let mut reader = Reader::new(bytes)?;
    let mut samples = Vec::new();
    let mut profile = Profile::new(reader.metadata().clone());
    let ending = reader.read_into(&mut profile, 0..=u64::MAX, |_, sample| samples.push(sample), |_| {})?;
    Ok((samples, ending))
}

#[test]
fn what_is_recorded_is_read_in_every_part() {
    let mut recorder = Recorder { profile: Profile::new(fixture::metadata()), ..Recorder::default() };
    recorder.profile.metadata.rspy_command_line = Some("rspy record --pid 8306".to_owned());
    let thread = recorder.thread(8306, "MainThread");
    let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
    let known = [None, Some(false), Some(true)];
    for number in 0..81 {
        let state = ThreadState {
            activity: [Activity::Unknown, Activity::Idle, Activity::Active][number % 3],
            owns_gil: known[number / 3 % 3],
            waits_for_gil: known[number / 9 % 3],
            in_kernel: None,
            collects: known[number / 27],
        };
        recorder.taken.push(Sample { at: number as u64, thread, stack, weight: 3, state });
    }
    recorder.taken.push(Sample { at: u64::MAX, weight: u64::MAX, ..recorder.taken[0] });
    recorder.taken.push(Sample { at: 0, ..recorder.taken[0] });
    let mut writer = Writer::new(Vec::new(), &recorder.profile).expect("a Vec takes every byte");
    for sample in &recorder.taken {
        writer.add(*sample, &recorder.profile).expect("a Vec takes every byte");
    }
    let process = recorder.profile.threads[thread].process;
    let memory = [(5, 4096), (7, 1 << 40), (7, 0)];
    let memory = memory.map(|(at, resident)| MemoryUse { at, process, resident });
    for row in memory {
        writer.add_memory(row, &recorder.profile).expect("a Vec takes every byte");
    }
    // What becomes known later.
    let name = recorder.profile.strings.intern("renamed");
    recorder.profile.threads[thread].name = Some(name);
    recorder.profile.missed = 9;
    recorder.profile.metadata.overhead = Some(Overhead {
        cpu_seconds: 0.5,
        max_rss_bytes: Some(1 << 23),
        stops: 12,
        stopped_seconds: 0.001,
        longest_stop_seconds: 0.0002,
    });
    let bytes = writer.finish(&recorder.profile).expect("a Vec takes every byte");
    assert!(is_recording(&bytes));
    let (samples, ending) = samples_of(&bytes).expect("a recording");
    assert_eq!((samples, ending), (recorder.taken, Ending::Whole));
    let profile = recording::read(&bytes);
    assert_eq!(profile.metadata, recorder.profile.metadata);
    assert_eq!((profile.missed, &profile.memory[..]), (9, &memory[..]));
    let names: Vec<_> = profile.threads.iter().map(|(_, thread)| thread.name).collect();
    assert_eq!(names.iter().flatten().map(|name| &profile.strings[*name]).collect::<Vec<_>>(), ["renamed"]);
}

#[test]
fn a_recording_cut_anywhere_is_one_up_to_there() {
    let (recorder, bytes) = small();
    let mut seen = Vec::new();
    for length in 0..bytes.len() {
        match samples_of(&bytes[..length]) {
            Ok((samples, ending)) => {
                assert!(recorder.taken.starts_with(&samples), "{length}");
                assert_ne!(ending, Ending::Whole, "{length}");
                assert!(samples.len() >= seen.last().copied().unwrap_or(0));
                seen.push(samples.len());
            }
            Err(RecordingError::Foreign) => assert_eq!(length, 0),
            Err(RecordingError::Empty) => assert!(seen.is_empty(), "{length}"),
            Err(error) => panic!("{length}: {error}"),
        }
    }
    seen.dedup();
    assert_eq!(seen, [0, 3, 6, 9, 12], "whole blocks, all of them");
}

#[test]
fn a_damaged_byte_ends_the_recording_before_its_block() {
    let (recorder, bytes) = small();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        match samples_of(&damaged) {
            Ok((samples, Ending::Broken(from))) => {
                assert!(from <= at as u64, "{at}");
                assert!(recorder.taken.starts_with(&samples), "{at}");
            }
            Err(RecordingError::Foreign) => assert!(at < MAGIC.len()),
            Err(RecordingError::Version { .. } | RecordingError::Empty) => assert!(at >= MAGIC.len()),
            // The second part of the version: one that adds sections.
            Ok((samples, Ending::Whole)) => {
                assert_eq!((MAGIC.len() + 2..MAGIC.len() + 4).contains(&at), samples == recorder.taken);
            }
            other => panic!("{at}: {other:?}"),
        }
    }
}

/// A block made by hand, as the documentation describes it.
fn block(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (tag, body) in sections {
        payload.extend([*tag, u8::try_from(body.len()).expect("a short body").min(0x7f)]);
        assert!(body.len() < 0x80);
        payload.extend(*body);
    }
    let compressed = zstd::bulk::compress(&payload, 1).expect("memory");
    let mut block = (compressed.len() as u32).to_le_bytes().to_vec();
    block.extend((payload.len() as u32).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block);
    hasher.update(&compressed);
    block.extend(hasher.finalize().to_le_bytes());
    block.extend(compressed);
    block
}

fn by_hand(version: u16, blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(3_u16.to_le_bytes());
    bytes.extend(blocks.concat());
    bytes
}

#[test]
fn the_format_is_the_documented_one() {
    let metadata = block(&[(1, br#"{"pid": 7, "start_ns": 1000000000, "rate": 50.0}"#)]);
    let tables = block(&[
        (2, b"\x04main\x04a.py\x06python"),
        // A Python frame: its name, file twice, line 3, first line unknown, no columns; and a cut one.
        (3, b"\x00\x01\x02\x02\x04\x00\x00\x01"),
        (4, b"\x01\x00\x01\x01"),
        (5, b"\x07\x00\x03"),
        (6, b"\x00\x08\x00\x00\x00"),
        // A section of the future.
        (99, b"whatever"),
        (12, b"\x02\x01"),
        (9, b"\x02\x03\x80\x01\x02\x02\x00\x00\x02\x02\x01\x02\x02\x0a\x02\x02\x01\x02"),
        // Of process 0, and of one that is not known.
        (10, b"\x01\x02\x03\x00\x02\x02"),
        (11, b"\x90\x4e\x06"),
    ]);
    let bytes = by_hand(1, &[metadata, tables]);
    let mut reader = Reader::new(&bytes[..]).expect("a recording");
    let mut profile = Profile::new(reader.metadata().clone());
    let ending = reader.read_into(&mut profile, 0..=u64::MAX, Profile::add, |_| {}).expect("whole blocks");
    assert_eq!(ending, Ending::Unfinished);
    assert_eq!((reader.metadata().pid, reader.metadata().rate), (7, 50.0));
    assert_eq!(reader.metadata().duration.as_nanos(), 10_000);
    assert_eq!(profile.missed, 6);
    let of_process = profile.processes.iter().map(|(id, _)| id).next();
    let lost: Vec<_> = profile.lost.by_process().collect();
    assert_eq!(lost, [(None, LostReason::Exited, 2), (of_process, LostReason::Exited, 3)]);
    let text = written(&Raw, &profile, &all());
    assert_eq!(
        text,
        "[lost: exited while read] 5\nthread (7);main (a.py:3) 2\nthread (7);main (a.py:3);[cut] 1\n"
    );
}

#[test]
fn a_block_that_refers_to_what_is_not_there_is_refused() {
    let metadata = || block(&[(1, b"{}")]);
    for (tag, body) in [
        (3_u8, &b"\x00\x01\x00\x00\x00\x00\x00"[..]),
        (3, b"\x00\x00"),
        (3, b"\x77"),
        (4, b"\x01\x00"),
        (4, b"\x00\x00"),
        (5, b"\x07\x05\x00"),
        (6, b"\x00\x08\x00\x00\x00"),
        (7, b"\x00\x01\x00\x00"),
        (8, b"\x03\x00\x00\x00\x00\x00"),
        (9, b"\x01\x01\x00\x01\x00\x01\x01\x01\x00\x01\x01"),
        (9, b"\x7f\x00"),
        (12, b"\x01"),
        (10, b"\x00\x09\x01"),
        (10, b"\x01\x02\x01"),
        (11, b"\x80"),
        (2, b"\x02\xff\xff"),
    ] {
        let bytes = by_hand(1, &[metadata(), block(&[(tag, body)])]);
        let error = samples_of(&bytes).expect_err("nothing can be made of it");
        assert!(matches!(error, RecordingError::Malformed { .. }), "{tag} {body:?}: {error}");
    }
    let newer = samples_of(&by_hand(2, &[metadata()])).expect_err("another version").to_string();
    assert!(newer.contains("format 2.3"), "{newer}");
    let no_metadata = by_hand(1, &[block(&[(11, b"\x00\x00")])]);
    assert!(samples_of(&no_metadata).is_err());
    assert!(matches!(samples_of(b"<svg"), Err(RecordingError::Foreign)));
    assert!(matches!(samples_of(b""), Err(RecordingError::Foreign)));
    assert!(matches!(samples_of(&MAGIC[..3]), Err(RecordingError::Empty)));
}

/// Two recordings of one machine: what both are of is the same, and the later one is later.
#[test]
fn recordings_add_up() {
    let metadata = |seconds: u64| Metadata {
        start: std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds),
        ..fixture::metadata()
    };
    let recorded = |seconds: u64, weight: u64| {
        let mut recorder = Recorder { profile: Profile::new(metadata(seconds)), ..Recorder::default() };
        let thread = recorder.thread(8306, "MainThread");
        let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
        recorder.active(thread, stack, weight);
        recording::of(&recorder)
    };
    let mut profile = Profile::new(metadata(100));
    for bytes in [recorded(100, 2), recorded(107, 3)] {
        let mut reader = Reader::new(&bytes[..]).expect("a recording");
        reader.read_into(&mut profile, 0..=u64::MAX, Profile::add, |_| {}).expect("whole blocks");
    }
    assert_eq!((profile.processes.len(), profile.threads.len(), profile.stacks.len()), (1, 1, 1));
    assert_eq!(Totals::new(&profile, &all()).samples, 5);
    let times: Vec<u64> = profile.samples().iter().map(|run| run.sample.at).collect();
    assert_eq!(times, [20_000_000, 7_030_000_000]);
}

/// Two recordings of two machines: a process of the same id and command line is another one.
#[test]
fn processes_of_several_hosts_are_told_apart() {
    let on = |host: &str| {
        let metadata = Metadata { host: Some(host.to_owned()), ..fixture::metadata() };
        let mut recorder = Recorder { profile: Profile::new(metadata), ..Recorder::default() };
        let thread = recorder.thread(8306, "MainThread");
        let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
        recorder.active(thread, stack, 1);
        recording::of(&recorder)
    };
    let files = [on("web-1"), on("web-2"), on("web-1")];
    let mut profile = Profile::default();
    for bytes in &files {
        let mut reader = Reader::new(&bytes[..]).expect("a recording");
        if profile.metadata.host.is_none() {
            profile.metadata = reader.metadata().clone();
        }
        reader.read_into(&mut profile, 0..=u64::MAX, Profile::add, |_| {}).expect("whole blocks");
    }
    let options = Options { by_process: true, ..Options::default() };
    assert_eq!(
        written(&Raw, &profile, &options),
        "process 8306:\"python app.py\";main (a.py:1) 2\nprocess 8306:\"web-2: python app.py\";main (a.py:1) 1\n"
    );
}

/// A parent may be met after its child, before anything of either is written.
#[test]
fn a_parent_may_come_after_its_child() {
    let mut recorder = Recorder::default();
    let command_line = recorder.profile.strings.intern("python pool.py");
    let [child, parent] =
        [11, 10].map(|pid| recorder.profile.processes.add(Process { pid, parent: None, command_line }));
    recorder.profile.processes.put_below(child, parent);
    let thread = recorder.thread(11, "MainThread");
    let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
    recorder.active(thread, stack, 1);
    let bytes = recording::of(&recorder);
    let mut profile = Profile::default();
    let mut reader = Reader::new(&bytes[..]).expect("a recording");
    reader.read_into(&mut profile, 0..=u64::MAX, Profile::add, |_| {}).expect("whole blocks");
    let all = |profile: &Profile| profile.processes.iter().map(|(_, process)| *process).collect::<Vec<_>>();
    assert_eq!(all(&profile), all(&recorder.profile));
}

/// What goes on in another file: both are whole, say how long they are, and count what was lost and missed once.
#[test]
fn two_files_of_one_recording_add_up() {
    let mut recorder = Recorder { profile: Profile::new(fixture::metadata()), ..Recorder::default() };
    recorder.profile.metadata.duration = std::time::Duration::ZERO;
    let thread = recorder.thread(8306, "MainThread");
    let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
    let mut writer = Writer::new(Vec::new(), &recorder.profile).expect("a Vec takes every byte");
    let mut files = Vec::new();
    for lost in [5, 2] {
        recorder.active(thread, stack, 3);
        recorder.profile.lost.add(LostReason::Exited, lost);
        recorder.profile.missed += lost;
        let sample = *recorder.taken.last().expect("a sample");
        writer.add(sample, &recorder.profile).expect("a Vec takes every byte");
        files.push(writer.go_on_in(Vec::new(), &recorder.profile).expect("a Vec takes every byte"));
    }
    let mut profile = Profile::new(recorder.profile.metadata.clone());
    for bytes in &files {
        let mut reader = Reader::new(&bytes[..]).expect("a recording");
        let ending =
            reader.read_into(&mut profile, 0..=u64::MAX, Profile::add, |_| {}).expect("whole blocks");
        assert_eq!(ending, Ending::Whole);
        let last = profile.samples().last().expect("a sample").until;
        assert!(reader.metadata().duration.as_nanos() >= u128::from(last), "{:?}", reader.metadata());
    }
    assert_eq!(Totals::new(&profile, &all()).samples, 6);
    assert_eq!((profile.lost.total(), profile.missed), (7, 7));
}

#[test]
fn a_file_that_takes_no_more_is_an_error_and_what_it_took_can_be_read() {
    struct Full(Vec<u8>, usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend(&bytes[..room.min(bytes.len())]);
            Ok(room.min(bytes.len()))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (recorder, whole) = small();
    for room in 300..whole.len() {
        let Ok(mut writer) = Writer::new(Full(Vec::new(), room), &recorder.profile) else { continue };
        let mut outcome = Ok(());
        for sample in &recorder.taken {
            outcome =
                writer.add(*sample, &recorder.profile).and_then(|()| writer.flush(&recorder.profile, 0));
            if outcome.is_err() {
                break;
            }
        }
        let (file, bytes) = (writer.file().0.clone(), writer.bytes());
        if outcome.is_err() {
            assert_eq!(file.len(), room);
            let (samples, _) = samples_of(&file[..bytes as usize]).expect("whole blocks");
            assert_eq!(samples_of(&file).expect("whole blocks").0, samples);
        }
    }
}

proptest! {
    /// Damage that a checksum does not find: in the contents of blocks.
    #[test]
    fn malformed_contents_do_no_harm(tag in 0_u8..14, body in prop::collection::vec(any::<u8>(), 0..100)) {
        let tables = block(&[
            (2, b"\x04main"),
            (3, b"\x00\x01\x01\x01\x04\x00\x00"),
            (4, b"\x01\x00"),
            (5, b"\x07\x00\x01"),
            (6, b"\x00\x08\x00\x00\x00"),
        ]);
        let bytes = by_hand(1, &[block(&[(1, b"{}")]), tables, block(&[(tag, &body)])]);
        let _ = samples_of(&bytes);
    }
}

#[test]
fn the_shop_is_what_it_was() {
    let profile = shop();
    let samples: Vec<Sample> = profile.samples().iter().map(|run| run.sample).collect();
    let read = recording::read(&recording::of_samples(&profile, &samples));
    assert_eq!(written(&Raw, &read, &all()), written(&Raw, &profile, &all()));
}

/// What can be read, each thread's samples of one stack and state added up.
fn summed(bytes: &[u8], times: RangeInclusive<u64>) -> Profile {
    let mut reader = Reader::new(bytes).expect("a recording");
    let mut profile = Profile::for_format(reader.metadata().clone(), &Raw);
    reader.sums_into(&mut profile, times, Profile::add, |_| {}).expect("whole blocks");
    profile
}

#[test]
fn sums_are_those_of_the_samples() {
    let (mut recorder, bytes) = small();
    let sums = summed(&bytes, 0..=u64::MAX);
    assert_eq!(written(&Raw, &sums, &all()), written(&Raw, &recording::read(&bytes), &all()));
    assert_eq!(sums.samples().len(), 8, "four stacks of two threads");

    let (from, to) = (recorder.taken[3].at, recorder.taken[7].at);
    let some = summed(&bytes, from..=to);
    assert_eq!(Totals::new(&some, &all()).samples, 5);

    // What is more than a sum can hold.
    let last = *recorder.taken.last().expect("a sample");
    recorder.taken.extend([Sample { weight: u64::MAX - 1, ..last }; 2]);
    let bytes = recording::of(&recorder);
    let (sums, each) = (summed(&bytes, 0..=u64::MAX), recording::read(&bytes));
    assert_eq!(Totals::new(&sums, &all()), Totals::new(&each, &all()));
}
