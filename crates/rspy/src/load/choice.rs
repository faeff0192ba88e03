//! Which samples of a recording are shown.

use rspy_profile::{FrameId, Profile, StackId};

use crate::cli::{Filters, Mode};
use crate::failure::Failure;
use crate::filter::{Candidate, StackPattern, is_importlib};

/// Leaves out what is not asked for.
pub fn choose(filters: &Filters, mode: Mode, profile: &mut Profile) -> Result<(), Failure> {
    if mode == Mode::Exception {
        return Err(Failure::new(
            "A recording does not say which threads handled an exception.",
            "Record those alone: rspy record --mode exception -o FILE.",
        ));
    }
    if filters.stack_choice.hide_importlib {
        hide_importlib(profile);
    }
    let is_chosen = |pid: u32| filters.process.is_empty() || filters.process.contains(&pid);
    let (processes, lost) = (&profile.processes, &mut profile.lost);
    lost.retain(|process| is_chosen(processes[process].pid));
    profile.memory.retain(|row| is_chosen(processes[row.process].pid));
    profile.accounts.retain(|row| is_chosen(processes[row.process].pid));
    let threads = chosen_threads(filters, profile);
    let stacks = chosen_stacks(filters, profile);
    profile.retain(|_, run| {
        threads[run.sample.thread.index()]
            && stacks.as_ref().is_none_or(|stacks| stacks[run.sample.stack.index()])
            && (mode != Mode::GilWait || run.sample.state.waits_for_gil == Some(true))
    });
    Ok(())
}

/// By index of the thread.
fn chosen_threads(filters: &Filters, profile: &Profile) -> Vec<bool> {
    let filter = filters.thread_choice.filter();
    let is_chosen = |thread: &rspy_profile::Thread| {
        let pid = profile.processes[thread.process].pid;
        let is_of_process = filters.process.is_empty() || filters.process.contains(&pid);
        let matches = filter.as_ref().is_none_or(|filter| {
            let candidate = Candidate {
                os_id: thread.os_id,
                python_id: thread.python_id.unwrap_or_default(),
                is_main: thread.os_id == Some(pid),
                name: thread.name.map(|name| &profile.strings[name]),
            };
            filter.matches(&candidate).is_yes()
        });
        is_of_process && matches
    };
    profile.threads.iter().map(|(_, thread)| is_chosen(thread)).collect()
}

/// By index of the stack; none if all are.
fn chosen_stacks(filters: &Filters, profile: &Profile) -> Option<Vec<bool>> {
    let (include, exclude) = (&filters.stack_choice.include, &filters.stack_choice.exclude);
    if include.is_empty() && exclude.is_empty() && filters.with.is_empty() {
        return None;
    }
    // What each frame has of what is asked for: the bits add up along a stack.
    const INCLUDED: u8 = 1;
    const NAMED: u8 = 2;
    const EXCLUDED: u8 = 4;
    let wanted =
        if include.is_empty() { 0 } else { INCLUDED } | if filters.with.is_empty() { 0 } else { NAMED };
    let frames: Vec<u8> = profile
        .frames
        .iter()
        .map(|(_, frame)| {
            let (name, file) = (&profile.strings[frame.name], &profile.strings[frame.file]);
            let has = |patterns: &[StackPattern]| patterns.iter().any(|pattern| pattern.matches(file));
            let bit = |is_so: bool, bit: u8| if is_so { bit } else { 0 };
            let is_named = filters.with.iter().any(|pattern| pattern.matches(name));
            bit(has(include), INCLUDED) | bit(is_named, NAMED) | bit(has(exclude), EXCLUDED)
        })
        .collect();
    let mut bits = vec![0; profile.stacks.len() + 1];
    for (stack, caller, frame) in profile.stacks.iter() {
        bits[stack.index()] = bits[caller.index()] | frames[frame.index()];
    }
    Some(bits.into_iter().map(|bits| bits & (wanted | EXCLUDED) == wanted).collect())
}

/// Takes the frames of the import system out of every stack.
fn hide_importlib(profile: &mut Profile) {
    let hidden: Vec<bool> =
        profile.frames.iter().map(|(_, frame)| is_importlib(&profile.strings[frame.file])).collect();
    if !hidden.contains(&true) {
        return;
    }
    let nodes: Vec<(StackId, FrameId)> =
        profile.stacks.iter().map(|(_, caller, frame)| (caller, frame)).collect();
    let mut shown = vec![StackId::EMPTY; nodes.len() + 1];
    for (index, (caller, frame)) in nodes.into_iter().enumerate() {
        let caller = shown[caller.index()];
        let is_hidden = hidden[frame.index()];
        shown[index + 1] = if is_hidden { caller } else { profile.stacks.intern(caller, frame) };
    }
    profile.change_stacks(|stack| shown[stack.index()]);
}
