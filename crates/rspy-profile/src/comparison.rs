//! What changed between two profiles: of each function how much more of the time it takes, and how certain that is.
//!
//! Shares are of the time that was recorded, so that a program that waits more than before does not make all that it
//! runs look slower. What time is, is told by how often threads were looked at, where all of that was recorded;
//! else by the duration; without a rate, by the samples that are shown.
//!
//! # Confidence
//!
//! Two recordings of the same program never show the same shares. How far they are apart by chance is told by
//! the recordings themselves: each is cut into blocks of equal length, and the shares of a function in these differ by
//! chance as well (*batch means*). What has phases as long as a block shows more variation than sampling has,
//! which makes the judgement more careful, never less. Where neighbouring blocks resemble each other, they count for
//! fewer. A variation smaller than that of independent samples is not believed.
//!
//! The difference is judged by Welch's t-test; and since among a hundred functions one in a hundred would look changed by
//! chance, the values of all rows are corrected for their number (Holm). What remains is the probability that the row is
//! no chance: [`Change::confidence`].

use rustc_hash::FxHashMap;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::fold::fold;
use crate::frame::{FrameId, FrameKind};
use crate::label;
use crate::options::Options;
use crate::profile::Profile;
use crate::samples::Run;
use crate::stack::StackId;

/// Into how many blocks a recording is cut, at most and at least.
const BLOCKS: (u64, u64) = (40, 5);

/// How many ticks a block has at least.
const TICKS: f64 = 25.0;

/// From which confidence on a change is called one: once in a hundred comparisons of two equal programs one row of all
/// is wrong.
pub const SIGNIFICANT: f64 = 0.99;

/// What is too seldom to be compared: samples in both profiles.
const FEWEST: u64 = 8;

/// The rows that have changed or might have, those that gained most first.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Each function (or line, file) of either profile.
    pub changes: Vec<Change>,
    /// How many times as many ticks as the base the other has.
    pub scale: f64,
}

/// A function in both profiles. Shares are of the recorded time, of one thread: several threads may come to more
/// than 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The function, as the options label it.
    pub label: String,
    /// The share of the time in which it was executed itself, before and after.
    pub own: [f64; 2],
    /// The share of the time in which it was on the stack, before and after.
    pub total: [f64; 2],
    /// How certain it is that the share of its own has changed, 0 to 1; `None` where there is too little to tell,
    /// and of what is not known, such as `[cut]`.
    pub confidence: Option<f64>,
}

impl Change {
    /// Whether it is no chance that the share of its own differs.
    pub fn is_significant(&self) -> bool {
        self.confidence.is_some_and(|confidence| confidence >= SIGNIFICANT)
    }

    /// By how much the share of its own grew.
    pub fn gain(&self) -> f64 {
        self.own[1] - self.own[0]
    }
}

/// Compares `other` with `base`, as `options` show both. Both have a [time line](crate::Format::needs_timeline).
pub fn compare(base: &Profile, other: &Profile, options: &Options) -> Comparison {
    let sides = [Side::new(base, options), Side::new(other, options)];
    let mut labels: Vec<&String> = sides.iter().flat_map(|side| side.rows.keys()).collect();
    labels.sort_unstable();
    labels.dedup();
    let nothing = Row::default();
    let mut changes: Vec<(Change, Option<f64>)> = labels
        .into_iter()
        .map(|label| {
            let rows = sides.each_ref().map(|side| side.rows.get(label).unwrap_or(&nothing));
            let share =
                |weight: fn(&Row) -> u64| [0, 1].map(|at: usize| weight(rows[at]) as f64 / sides[at].ticks);
            // How much is not known is a matter of sampling, not of the program.
            let is_judged = sides.iter().all(|side| !side.unknown.contains(label));
            let chance = chance([(rows[0], &sides[0]), (rows[1], &sides[1])]).filter(|_| is_judged);
            let own = share(|row| row.own);
            (Change { label: label.clone(), own, total: share(|row| row.total), confidence: None }, chance)
        })
        .collect();
    correct(&mut changes);
    let mut changes: Vec<Change> = changes.into_iter().map(|(change, _)| change).collect();
    changes.sort_by(|one, next| {
        let by_gain = next.gain().total_cmp(&one.gain());
        by_gain.then_with(|| one.label.cmp(&next.label))
    });
    Comparison { changes, scale: sides[1].ticks / sides[0].ticks }
}

/// Holm's correction: the least probable to be chance is judged as one of all, the next as one of the rest.
fn correct(changes: &mut [(Change, Option<f64>)]) {
    let mut order: Vec<usize> = (0..changes.len()).filter(|index| changes[*index].1.is_some()).collect();
    order.sort_by(|one, other| changes[*one].1.unwrap_or(1.0).total_cmp(&changes[*other].1.unwrap_or(1.0)));
    let mut worst = 0.0_f64;
    let all = order.len();
    for (rank, index) in order.into_iter().enumerate() {
        let chance = changes[index].1.unwrap_or(1.0);
        worst = worst.max((chance * (all - rank) as f64).min(1.0));
        changes[index].0.confidence = Some(1.0 - worst);
    }
}

/// What one label has in one profile.
#[derive(Clone, Debug, Default)]
struct Row {
    own: u64,
    total: u64,
    /// The weight of its own in each block.
    blocks: Vec<u64>,
}

/// One of the profiles.
struct Side {
    rows: FxHashMap<String, Row>,
    /// Labels of what is not known.
    unknown: Vec<String>,
    /// How many ticks of a thread the recording has.
    ticks: f64,
    /// How many of them each block has.
    of_blocks: Vec<f64>,
}

impl Side {
    fn new(profile: &Profile, options: &Options) -> Side {
        let time = Time::new(profile, options);
        let mut of_blocks = time.of_blocks(profile, options);
        let mut labels = Labels { profile, options, known: FxHashMap::default(), of_frames: Vec::new() };
        let mut rows: Vec<Row> = Vec::new();
        for folded in fold(profile, &Options { by_process: false, by_thread: false, ..options.clone() }) {
            for label in labels.of_stack(folded.stack) {
                if label >= rows.len() {
                    rows.resize(label + 1, Row { blocks: vec![0; of_blocks.len()], ..Row::default() });
                }
                rows[label].total += folded.weight;
            }
        }
        for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
            let row = &mut rows[labels.of_leaf(run.sample.stack)];
            row.own += run.weight();
            for block in time.blocks(run) {
                row.blocks[block] += run.sample.weight;
            }
        }
        let rows = labels.known.into_iter().map(|(label, index)| (label, std::mem::take(&mut rows[index])));
        let is_unknown = |kind| matches!(kind, FrameKind::Cut | FrameKind::Truncated | FrameKind::Lost(_));
        let frames = profile.frames.iter().filter(|(_, frame)| is_unknown(frame.kind));
        let unknown = frames.map(|(_, frame)| label::frame(profile, frame, options)).collect();
        let ticks = time.ticks.max(1.0);
        if of_blocks.iter().sum::<f64>() <= 0.0 {
            of_blocks.clear();
        }
        Side { rows: rows.collect(), unknown, ticks, of_blocks }
    }

    /// The variance of the share of `row` by chance, and the degrees of freedom it was estimated with.
    fn variance(&self, row: &Row, shared: f64) -> Option<(f64, f64)> {
        let blocks: Vec<f64> = (0..self.of_blocks.len())
            .filter(|index| self.of_blocks[*index] > 0.0)
            .map(|index| row.blocks.get(index).map_or(0.0, |weight| *weight as f64) / self.of_blocks[index])
            .collect();
        let number = blocks.len() as f64;
        if number < BLOCKS.1 as f64 {
            return None;
        }
        let mean = blocks.iter().sum::<f64>() / number;
        let squares: f64 = blocks.iter().map(|share| (share - mean).powi(2)).sum();
        let neighbours: f64 = blocks.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let likeness = if squares > 0.0 { (neighbours / squares).clamp(0.0, 0.9) } else { 0.0 };
        let inflation = (1.0 + likeness) / (1.0 - likeness);
        let seen = squares / (number - 1.0) / number * inflation;
        let freedom = ((number - 1.0) / inflation).max(1.0);
        // Of several threads at once the share may be above 1; it varies like that of one.
        let independent = shared.min(1.0) * (1.0 - shared.min(1.0)).max(0.0) / self.ticks;
        Some((seen.max(independent), freedom))
    }
}

/// What counts as the time of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// How often a thread was looked at, the one that was most often: every look at every thread was recorded.
    Looks,
    /// The duration, but for the ticks that were missed.
    Ticks,
    /// The samples that are shown: nothing else is known.
    Samples,
}

/// The time of a recording, and its blocks.
struct Time {
    measure: Measure,
    ticks: f64,
    /// In nanoseconds.
    duration: f64,
    blocks: usize,
}

impl Time {
    fn new(profile: &Profile, options: &Options) -> Time {
        let metadata = &profile.metadata;
        let measure = match metadata.mode.as_deref() {
            Some("wall") => Measure::Looks,
            _ if metadata.rate > 0.0 => Measure::Ticks,
            _ => Measure::Samples,
        };
        let latest = profile.samples().iter().map(|run| run.until).max().unwrap_or_default();
        let duration = (metadata.duration.as_nanos() as f64).max(latest as f64 + 1.0);
        let mut time = Time { measure, ticks: 0.0, duration, blocks: 1 };
        time.ticks = time.of_blocks(profile, options).iter().sum();
        time.blocks = match (time.ticks / TICKS) as u64 {
            too_few if too_few < BLOCKS.1 => 0,
            enough => enough.min(BLOCKS.0) as usize,
        };
        time
    }

    /// How many ticks each block has.
    fn of_blocks(&self, profile: &Profile, options: &Options) -> Vec<f64> {
        let mut of_threads: Vec<Vec<u64>> = match self.measure {
            Measure::Looks => vec![vec![0; self.blocks]; profile.threads.len()],
            Measure::Samples => vec![vec![0; self.blocks]],
            Measure::Ticks => {
                let ticks = self.duration * 1e-9 * profile.metadata.rate - profile.missed as f64;
                return vec![ticks.max(0.0) / self.blocks.max(1) as f64; self.blocks];
            }
        };
        for run in profile.samples() {
            let thread = match self.measure {
                Measure::Looks => run.sample.thread.index(),
                _ if options.include(&run.sample) => 0,
                _ => continue,
            };
            for block in self.blocks(run) {
                of_threads[thread][block] += run.sample.weight;
            }
        }
        let most = |block: usize| of_threads.iter().map(|thread| thread[block]).max().unwrap_or_default();
        (0..self.blocks).map(|block| most(block) as f64).collect()
    }

    /// The block of each sample of a run.
    fn blocks(&self, run: &Run) -> impl Iterator<Item = usize> {
        let (duration, blocks) = (self.duration, self.blocks);
        let block = move |at: u64| ((at as f64 / duration * blocks as f64) as usize).min(blocks - 1);
        times(run).take_while(move |_| blocks > 0).map(block)
    }
}

/// When each sample of a run was taken, evenly spread over its time.
fn times(run: &Run) -> impl Iterator<Item = u64> {
    let length = u128::from(run.until.saturating_sub(run.sample.at));
    let gaps = u128::from(run.count.saturating_sub(1).max(1));
    (0..run.count).map(move |number| run.sample.at + (length * u128::from(number) / gaps) as u64)
}

/// The labels of a profile, by number.
struct Labels<'a> {
    profile: &'a Profile,
    options: &'a Options,
    known: FxHashMap<String, usize>,
    of_frames: Vec<Option<usize>>,
}

impl Labels<'_> {
    /// Those on a stack, each once.
    fn of_stack(&mut self, stack: StackId) -> Vec<usize> {
        let frames: Vec<FrameId> = self.profile.stacks.leaf_first(stack).collect();
        let mut labels: Vec<usize> = frames.into_iter().map(|frame| self.of_frame(frame)).collect();
        if labels.is_empty() {
            labels.push(self.number(label::NO_FRAMES.to_owned()));
        }
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// That of what was executed.
    fn of_leaf(&mut self, stack: StackId) -> usize {
        match self.profile.stacks.split(stack) {
            Some((_, frame)) => self.of_frame(frame),
            None => self.number(label::NO_FRAMES.to_owned()),
        }
    }

    fn of_frame(&mut self, frame: FrameId) -> usize {
        self.of_frames.resize(self.profile.frames.len(), None);
        if let Some(label) = self.of_frames[frame.index()] {
            return label;
        }
        let label = self.number(label::frame(self.profile, &self.profile.frames[frame], self.options));
        self.of_frames[frame.index()] = Some(label);
        label
    }

    fn number(&mut self, label: String) -> usize {
        let next = self.known.len();
        *self.known.entry(label).or_insert(next)
    }
}

/// The probability that the shares differ as much by chance; `None` where there is too little to tell.
fn chance([(base_row, base), (other_row, other)]: [(&Row, &Side); 2]) -> Option<f64> {
    if base_row.own + other_row.own < FEWEST {
        return None;
    }
    let shares = [base_row.own as f64 / base.ticks, other_row.own as f64 / other.ticks];
    let shared = (base_row.own + other_row.own) as f64 / (base.ticks + other.ticks);
    let (one, first) = base.variance(base_row, shared)?;
    let (two, second) = other.variance(other_row, shared)?;
    let variance = one + two;
    if variance <= 0.0 {
        return None;
    }
    let freedom = variance.powi(2) / (one.powi(2) / first + two.powi(2) / second);
    let t = (shares[1] - shares[0]).abs() / variance.sqrt();
    let distribution = StudentsT::new(0.0, 1.0, freedom.max(1.0)).ok()?;
    Some((2.0 * (1.0 - distribution.cdf(t))).clamp(0.0, 1.0))
}
