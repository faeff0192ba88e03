//! What a report is of: each choice, held against the samples that are in the file.

use std::collections::BTreeMap;
use std::path::Path;

use rspy_tests::Outcome;
use rspy_tests::family::Family;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::recording::{Frame, Recording, Sample, folded, record, report};
use rspy_tests::target::command;

/// `variety.py`, recorded with its child.
struct Scene {
    folder: tempfile::TempDir,
    family: Family,
    child: u32,
    read: Recording,
    samples: u64,
}

fn scene(interpreter: &Interpreter) -> Outcome<Scene> {
    let mut family = Family::start(command(interpreter, "variety.py", &[]))?;
    let child = family.said("child")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let (_, summary) = record(family.root, &file, &["-s", "-d", "2", "-r", "200"])?;
    let read = Recording::read(&file)?;
    Ok(Scene { folder, family, child, read, samples: summary.samples })
}

impl Scene {
    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("app.rspy")
    }

    fn pid_of(&self, sample: &Sample) -> u32 {
        self.read.processes[self.read.threads[sample.1].process].pid
    }

    fn name_of(&self, sample: &Sample) -> &str {
        self.read.threads[sample.1].name.as_deref().unwrap_or_default()
    }

    fn has(&self, sample: &Sample, is_it: impl Fn(&Frame) -> bool) -> bool {
        self.read.frames_of(sample.2).any(is_it)
    }

    /// What a report with `options` must show: samples that are `chosen`, each stack below its process.
    fn expected(
        &self,
        chosen: impl Fn(&Sample) -> bool,
        label: impl Fn(&Frame) -> Option<String> + Copy,
    ) -> BTreeMap<String, u64> {
        let mut all = self.lost(|_| true);
        for index in 0..self.read.processes.len() {
            let is_of = |sample: &Sample| self.read.threads[sample.1].process == index && chosen(sample);
            for (stack, count) in self.read.folded(is_of, label) {
                *all.entry(format!("{};{stack}", self.roots(index))).or_default() += count;
            }
        }
        all
    }

    /// The process with this index below those above it, as labels.
    fn roots(&self, index: usize) -> String {
        let above = |index: &usize| self.read.processes[*index].parent;
        let upwards = std::iter::successors(Some(index), above).map(|index| {
            let process = &self.read.processes[index];
            format!("process {}:\"{}\"", process.pid, process.command_line)
        });
        let mut roots: Vec<String> = upwards.collect();
        roots.reverse();
        roots.join(";")
    }

    /// What a report must say is lost of the processes with a `chosen` id.
    fn lost(&self, chosen: impl Fn(u32) -> bool) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (process, reason, count) in &self.read.lost_of {
            let root = process.map_or(String::new(), |process| format!("{};", self.roots(process)));
            if process.is_none_or(|process| chosen(self.read.processes[process].pid)) {
                *all.entry(format!("{root}[lost: {reason}]")).or_default() += count;
            }
        }
        all
    }

    /// What a report of the threads that wait for the GIL must show.
    fn waiting(&self) -> BTreeMap<String, u64> {
        let mut all = self.lost(|_| true);
        let frames = |stack: usize| {
            let mut labels: Vec<String> = self.read.frames_of(stack).filter_map(at_line).collect();
            labels.reverse();
            labels
        };
        for (index, holder) in self.read.holders() {
            let sample = &self.read.samples[index];
            let mut labels = vec![self.roots(self.read.threads[sample.1].process)];
            labels.extend(frames(sample.2));
            labels.push("<waits for the GIL>".to_owned());
            labels.extend(holder.map(frames).unwrap_or_default());
            *all.entry(labels.join(";")).or_default() += sample.7;
        }
        all
    }
}

fn at_line(frame: &Frame) -> Option<String> {
    Some(frame.at_line())
}

fn is_same(what: &str, seen: &BTreeMap<String, u64>, expected: &BTreeMap<String, u64>) -> Outcome {
    if seen == expected && !expected.is_empty() {
        return Ok(());
    }
    Err(format!("{what}:\nreported {seen:#?}\nin the file {expected:#?}").into())
}

fn is_import(frame: &Frame) -> bool {
    ["<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"].contains(&frame.file.as_str())
}

/// A choice of samples.
type Chosen<'a> = Box<dyn Fn(&Sample) -> bool + 'a>;

pub fn choices(interpreter: &Interpreter) -> Outcome {
    let scene = scene(interpreter)?;
    let file = scene.file();
    let (root, child) = (scene.family.root.to_string(), scene.child.to_string());
    let is_active = |sample: &Sample| sample.3 != Some(false);
    let spinner = scene.read.threads.iter().find(|thread| thread.name.as_deref() == Some("spin"));
    let tid = spinner.and_then(|thread| thread.os_id).ok_or("no thread is called spin")?.to_string();
    let half = scene.read.samples.iter().map(|sample| sample.0).max().unwrap_or_default() / 2;
    let half_text = format!("{:.9}s", half as f64 / 1e9);
    let named = |name: &'static str| move |frame: &Frame| frame.name.rsplit('.').next() == Some(name);
    let ends = |end: &'static str| move |frame: &Frame| frame.file.ends_with(end);

    let mut cases: Vec<(Vec<&str>, Chosen)> = vec![
        (vec![], Box::new(is_active)),
        (vec!["-i"], Box::new(|_| true)),
        (vec!["--mode", "wall"], Box::new(|_| true)),
        (vec!["--mode", "cpu"], Box::new(is_active)),
        (vec!["-i", "--thread", "spin"], Box::new(|sample| scene.name_of(sample) == "spin")),
        (vec!["-i", "--thread", &tid], Box::new(|sample| scene.name_of(sample) == "spin")),
        (vec!["-i", "--thread", "s*"], Box::new(|sample| ["spin", "sleep"].contains(&scene.name_of(sample)))),
        (vec!["-i", "--process", &child], Box::new(|sample| scene.pid_of(sample) == scene.child)),
        (vec!["-i", "--process", &root], Box::new(|sample| scene.pid_of(sample) == scene.family.root)),
        (vec!["-i", "--process", &root, "--process", &child], Box::new(|_| true)),
        (
            vec!["-i", "--main-thread"],
            Box::new(|sample| scene.read.threads[sample.1].os_id == Some(scene.pid_of(sample))),
        ),
        (vec!["-i", "--from", &half_text], Box::new(|sample| sample.0 >= half)),
        (vec!["-i", "--to", &half_text], Box::new(|sample| sample.0 < half)),
        (vec!["-i", "--from", &half_text, "--to", "1h"], Box::new(|sample| sample.0 >= half)),
        (vec!["-i", "--with", "sleep"], Box::new(|sample| scene.has(sample, named("sleep")))),
        (
            vec!["-i", "--with", "child_*", "--with", "spin"],
            Box::new(|sample| scene.has(sample, named("child_work")) || scene.has(sample, named("spin"))),
        ),
        (
            vec!["-i", "--include", "imported_again.py"],
            Box::new(|sample| scene.has(sample, ends("imported_again.py"))),
        ),
        (vec!["-i", "--exclude", "threading"], Box::new(|sample| !scene.has(sample, ends("threading.py")))),
        (
            vec!["-i", "--include", "variety", "--exclude", "imported_again"],
            Box::new(|sample| {
                scene.has(sample, ends("variety.py")) && !scene.has(sample, ends("imported_again.py"))
            }),
        ),
    ];
    if scene.read.samples.iter().any(|sample| sample.4 == Some(true)) {
        cases.push((vec!["-g"], Box::new(move |sample| is_active(sample) && sample.4 == Some(true))));
        cases.push((vec!["-gi"], Box::new(|sample| sample.4 == Some(true))));
        is_same("--gil-wait", &folded(&[&file], &["--gil-wait"])?, &scene.waiting())?;
    } else if !interpreter.is_free_threaded() {
        return Err("nobody held the GIL".into());
    }
    for (options, chosen) in &cases {
        let mut expected = scene.expected(chosen, at_line);
        if options.contains(&"--process") {
            expected.retain(|stack, _| !stack.contains("[lost: "));
            expected.extend(scene.lost(|pid| options.contains(&pid.to_string().as_str())));
        }
        is_same(&format!("{options:?}"), &folded(&[&file], options)?, &expected)?;
    }
    shapes(&scene, &file)?;
    let all: u64 = scene.expected(|_| true, at_line).values().sum();
    if all == scene.samples + scene.read.total() - scene.read.weight() {
        Ok(())
    } else {
        Err(format!("{all} of {} samples", scene.samples).into())
    }
}

/// What changes stacks instead of choosing them.
fn shapes(scene: &Scene, file: &Path) -> Outcome {
    let all = |_: &Sample| true;
    let function = |frame: &Frame| Some(frame.label(frame.first_line));
    let line_less = |frame: &Frame| Some(frame.label(None));
    for (options, label) in [
        (&["-i", "--by", "line"][..], at_line as fn(&Frame) -> Option<String>),
        (&["-i", "--by", "process"], at_line),
        (&["-i", "-F"], function),
        (&["-i", "--by", "function"], function),
        (&["-i", "--nolineno"], line_less),
        (&["-i", "--hide-importlib"], |frame| (!is_import(frame)).then(|| frame.at_line())),
    ] {
        is_same(&format!("{options:?}"), &folded(&[file], options)?, &scene.expected(all, label))?;
    }
    let hidden = folded(&[file], &["-i"])?;
    let imports = scene.read.frames.iter().any(is_import);
    if hidden.keys().any(|stack| stack.contains("importlib._bootstrap")) != imports {
        return Err("importlib's frames are hidden without being told to".into());
    }

    let lines = scene.expected(all, at_line);
    let total: u64 = lines.values().sum();
    let inverted = folded(&[file], &["-i", "--invert"])?;
    let turned = |stack: &String| {
        let mut frames: Vec<&str> = stack.split(';').collect();
        let processes = frames.iter().take_while(|frame| frame.starts_with("process ")).count();
        frames[processes..].reverse();
        frames.join(";")
    };
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, count) in &lines {
        *expected.entry(turned(stack)).or_default() += count;
    }
    is_same("--invert", &inverted, &expected)?;

    // What is gathered is still counted; what is shown on its own is as large as was asked for.
    let large = folded(&[file], &["-i", "--min", "20"])?;
    let small = large.iter().filter(|(stack, count)| **count * 5 < total && !stack.contains("[under 20 %]"));
    let small: Vec<_> = small
        .filter(|(stack, _)| !large.keys().any(|other| other.starts_with(&format!("{stack};"))))
        .collect();
    if large.values().sum::<u64>() != total || !small.is_empty() || large.len() >= lines.len() {
        return Err(format!("--min 20 of {total}: {large:#?}, {small:?}").into());
    }

    // Threads: each below its process.
    for options in [["-i", "-t"], ["-i", "--by=thread"]] {
        let threads = folded(&[file], &options)?;
        for thread in &scene.read.threads {
            let name = thread.name.clone().map_or(String::new(), |name| format!(": {name}"));
            let label = format!("thread ({}){name};", thread.os_id.ok_or("no kernel id")?);
            let seen: u64 =
                threads.iter().filter(|(stack, _)| stack.contains(&label)).map(|(_, count)| count).sum();
            let is_it = |sample: &&Sample| std::ptr::eq(&raw const scene.read.threads[sample.1], thread);
            let weight: u64 = scene.read.samples.iter().filter(is_it).map(|sample| sample.7).sum();
            if seen != weight {
                return Err(format!("{label} has {seen} samples of {weight}: {threads:#?}").into());
            }
        }
    }

    // By file: the file of each frame, once where it calls its own.
    let modules = folded(&[file], &["-i", "--by", "module"])?;
    let labels = |stack: &str| -> Vec<String> {
        let files = stack.split(';').map(|frame| match frame.rsplit_once(" (") {
            Some((_, place)) if !frame.starts_with("process ") => {
                let place = place.strip_suffix(')').unwrap_or(place);
                place.rsplit_once(':').map_or(place, |(file, _)| file).to_owned()
            }
            _ => frame.to_owned(),
        });
        files.collect()
    };
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, count) in &lines {
        let mut files = labels(stack);
        files.dedup();
        *expected.entry(files.join(";")).or_default() += count;
    }
    is_same("--by module", &modules, &expected)?;

    // Collections are marked where they were seen.
    let marked = folded(&[file], &["-i", "--gc"])?;
    let marked: u64 =
        marked.iter().filter(|(stack, _)| stack.ends_with(";<gc>")).map(|(_, count)| count).sum();
    let collected: u64 =
        scene.read.samples.iter().filter(|sample| sample.6 == Some(true)).map(|sample| sample.7).sum();
    if marked != collected {
        return Err(format!("{marked} of {collected} samples are marked with <gc>").into());
    }
    let refused = report(&[file], &["--mode", "exception"])?;
    if refused.status.code() == Some(1) { Ok(()) } else { Err(format!("{refused:?}").into()) }
}

/// A recording and the next one of the same process: as one, added up; and as a recording again.
pub fn several(interpreter: &Interpreter) -> Outcome {
    let mut family = Family::start(command(interpreter, "variety.py", &[]))?;
    family.said("child")?;
    let folder = tempfile::tempdir()?;
    let files = [folder.path().join("one.rspy"), folder.path().join("two.rspy")];
    let mut samples = 0;
    for file in &files {
        let summary = record(family.root, file, &["-d", "0.5", "-r", "200"])?.1;
        samples += summary.samples + Recording::read(file)?.total() - Recording::read(file)?.weight();
    }
    let both = folded(&files, &["-i"])?;
    let mut sum = folded(&files[..1], &["-i"])?;
    for (stack, count) in folded(&files[1..], &["-i"])? {
        *sum.entry(stack).or_default() += count;
    }
    is_same("two recordings", &both, &sum)?;
    if both.values().sum::<u64>() != samples {
        return Err(format!("{both:?} are not {samples} samples").into());
    }

    let merged = folder.path().join("merged.rspy");
    let output = Recording::read_all(&files)?;
    let said = report(&files, &["-i", "-f", "rspy", "-o", merged.to_str().ok_or("no name")?])?.success()?;
    let lost = |recording: &Recording| recording.total() - recording.weight();
    let known = samples - output.iter().map(lost).sum::<u64>();
    if !said.stdout.contains("Wrote recording to ") {
        return Err(format!("{said:?} of {samples} samples").into());
    }
    is_same("merged", &folded(&[&merged], &["-i"])?, &sum)?;
    let read = Recording::read(&merged)?;
    let is_right = read.ending == "whole"
        && read.weight() == known
        && read.processes.len() == 1
        && lost(&read) == output.iter().map(lost).sum::<u64>();
    // The second one is where it was in time, and threads are the same in both.
    let later = output[1].metadata.start_ns - output[0].metadata.start_ns;
    let gap = output[0].until..later;
    let is_apart = read.samples.iter().all(|sample| sample.0 <= gap.start + 1_000_000 || sample.0 >= gap.end);
    let is_both = read.threads.len() <= output[0].threads.len().max(output[1].threads.len());
    if is_right && is_apart && is_both {
        return Ok(());
    }
    Err(format!("{gap:?} {} threads, lost {:?}, {}", read.threads.len(), read.lost, read.ending).into())
}
