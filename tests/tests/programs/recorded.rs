//! What every recording of a real program has to fulfil.

use rspy_tests::Outcome;
use rspy_tests::program::Place;
use rspy_tests::rspy::{Output, Recording};
use rspy_tests::stacks::{CUT, LOST, Profile, TRUNCATED};

/// The fewest samples that say something about shares. A loaded machine takes some of the 200 away.
const FEWEST: u64 = 20;

/// Records the process `pid` for two seconds; nothing may be lost.
pub fn record(pid: u32, arguments: &[&str]) -> Outcome<Profile> {
    record_losing(pid, arguments, 0.0)
}

/// The same where this share of the samples may be lost (0 to 1): without a GIL, threads that wake while others
/// stand are read as they run, and what one of them stood on may be gone a millisecond later.
pub fn record_losing(pid: u32, arguments: &[&str], share: f64) -> Outcome<Profile> {
    // Where every test has a processor of its own, the default stops as often; here it may have to rest.
    let common = ["--duration", "2", "--rate", "100", "--blocking"];
    let (profile, output) = Recording::of(pid, &[&common, arguments].concat())?.finish()?;
    is_sound(&profile, &output, share)?;
    Ok(profile)
}

/// Fails if more than this share of samples is lost, if too many are half-known, or if they are too few.
pub fn is_sound(profile: &Profile, output: &Output, share: f64) -> Outcome {
    let summary = output.summary()?;
    let is_marked = |name: &str| name.starts_with(LOST) || name == TRUNCATED;
    let marked = profile.stacks.iter().filter(|(stack, _)| stack.iter().any(|frame| is_marked(&frame.name)));
    let marked: u64 = marked.map(|(_, count)| count).sum();
    let cut = profile.stacks.iter().filter(|(stack, _)| stack.iter().any(|frame| frame.name == CUT));
    let cut: u64 = cut.map(|(_, count)| count).sum();
    // Only where a thread got no processor for so long that its stop was given up, it may have run meanwhile.
    let most = summary.late + (share * summary.samples as f64) as u64;
    let is_known = summary.lost <= most && marked <= most;
    let is_right = summary.samples >= FEWEST && is_known && cut * 20 <= summary.samples;
    if is_right {
        return Ok(());
    }
    Err(format!("{summary:?}, {marked} with unknown frames, {cut} cut\n{}", output.stderr).into())
}

/// Fails unless at least the share `least` (0 to 1) of all samples goes through `place`.
pub fn is_mostly(profile: &Profile, place: &Place, least: f64) -> Outcome {
    let share = place.share(profile);
    if share >= least {
        return Ok(());
    }
    let mut stacks: Vec<_> = profile.stacks.iter().collect();
    stacks.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most: Vec<String> = stacks
        .iter()
        .take(5)
        .map(|(stack, count)| {
            let frames: Vec<String> = stack.iter().take(6).map(ToString::to_string).collect();
            format!("{count} times {}", frames.join(" < "))
        })
        .collect();
    Err(format!("{:.0} % of the samples go through {place:?}:\n{}", share * 100.0, most.join("\n")).into())
}
