//! What a pass shows: whom it is to look at, and the samples that come of what was read.

use std::time::Instant;

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::interpreter::GilState;
use rspy_cpython::sampling::{NodeId, Sampled, StackEnd};
use rspy_process::threads::RunState;

use super::{Ask, Holder, Known, Only, Sampler, Taken, Wanted, Which};
use crate::figures::Doing;
use crate::filter::StackFilter;
use crate::roster::Member;

/// What is to be done about a thread without reading it; `None` if it is to be read.
pub(super) fn plan(member: &Member, wanted: &Wanted, gil: &GilState) -> Option<Ask> {
    // One that a signal or a late stop of ours has stopped does not run either.
    let is_idle = member.run_state.is_some_and(|state| state != RunState::Running);
    if wanted.which == Which::Active && is_idle || member.sleeps() && member.is_passed_over {
        return Some(Ask::Leave);
    }
    let is_wanted = member.is_wanted.is_yes()
        && match wanted.only {
            // The others are told by what is read with the stack.
            Only::Any | Only::GilHolders | Only::Exceptions => true,
            Only::GilWaiters => member.doing.waits_for_gil == Some(true),
        };
    // Who waits is shown with whom it waits for.
    let is_shown = wanted.only == Only::GilWaiters && gil.holds(&member.watch.state);
    if !is_wanted && !is_shown {
        return Some(Ask::Leave);
    }
    match member.resting {
        Some((_, sampled)) if member.sleeps() => Some(Ask::Rest(sampled)),
        _ => None,
    }
}

/// What is known of a stack, in the words of a recording.
fn known(sampled: Sampled) -> Known {
    match sampled.end {
        StackEnd::Whole => Known::Whole,
        StackEnd::Cut => Known::Cut,
        StackEnd::Base(ChainEnd::TooLong) => Known::Truncated,
        StackEnd::Base(ChainEnd::Unreadable(_)) => Known::Unreadable,
        StackEnd::Base(ChainEnd::Broken | ChainEnd::Root) | StackEnd::Gone => Known::Lost,
    }
}

impl Sampler {
    /// Turns the results of a pass into samples.
    pub(super) fn collect(&mut self, now: Instant) {
        let at = now.saturating_duration_since(self.begun).as_nanos() as u64;
        let carried = std::mem::take(&mut self.carried);
        for index in 0..self.results.len() {
            let (Some(sampled), Some(member)) = (self.results[index], self.roster.members.get_mut(index))
            else {
                continue;
            };
            if sampled.end == StackEnd::Gone {
                self.is_stale = true;
                continue;
            }
            let known = known(sampled);
            if known == Known::Whole {
                member.rest(sampled);
            }
            // Threads without Python frames are left out; the stack of one kernel thread is told once.
            if member.has_above || (known == Known::Whole && sampled.stack == NodeId::ROOT) {
                continue;
            }
            let member = &self.roster.members[index];
            let owns_gil = match self.gil {
                GilState::Held { .. } if self.wanted.only == Only::GilHolders || self.wanted.states => {
                    Some(self.gil.holds(&member.watch.state))
                }
                _ => None,
            };
            let doing = if self.wanted.states { member.doing } else { Doing::default() };
            let is_kept = |stacks: &mut StackFilter| stacks.keeps(sampled.stack, &self.unwinder);
            if !member.is_wanted.is_yes() || !self.stacks.as_mut().is_none_or(is_kept) {
                continue;
            }
            let is_wanted = match self.wanted.only {
                Only::Any => true,
                Only::GilHolders => owns_gil == Some(true),
                Only::GilWaiters => member.doing.waits_for_gil == Some(true),
                Only::Exceptions => self.words.get(index).is_some_and(|asked| {
                    asked.exception(self.process.memory(), &self.attached, &self.batch) == Some(true)
                }),
            };
            if !is_wanted {
                continue;
            }
            let stood = matches!(self.asked.get(index), Some(Ask::Standing(_) | Ask::Rest(_)));
            let waits_for = (self.wanted.only == Only::GilWaiters).then(|| self.holder(index));
            let is_collecting = self.is_collecting(index);
            let taken = Taken {
                at,
                process: self.number,
                thread: member.number,
                stack: sampled.stack,
                known,
                stood,
                active: member.run_state.map(|state| state == RunState::Running),
                owns_gil,
                waits_for_gil: doing.waits_for_gil,
                in_kernel: self.in_kernel.get(index).copied().flatten(),
                collects: doing.collects,
                is_collecting,
                waits_for,
                // Where chance has chosen it, for itself and for so many others.
                weight: member.weight / self.passes * (self.passes + carried),
            };
            let is_rest = matches!(self.asked.get(index), Some(Ask::Rest(_)));
            match &mut self.naps {
                Some(naps) if is_rest => self.pending.extend(naps.add(taken)),
                naps => {
                    let ended = naps.as_mut().and_then(|naps| naps.end(taken.thread));
                    self.pending.extend(ended.into_iter().chain([taken]));
                }
            }
            self.roster.members[index].is_in_doubt |= !stood;
        }
        self.in_kernel.clear();
    }

    /// Who holds the GIL that member `index` waits for, and what that does.
    fn holder(&self, index: usize) -> Holder {
        let unknown = Holder { stack: None, is_collecting: false };
        let of = |member: &Member| member.watch.state.interpreter_index;
        let Some(waiter) = self.roster.members.get(index) else { return unknown };
        let holders = || {
            let members = self.roster.members.iter().enumerate();
            members.filter(|(_, member)| self.gil.holds(&member.watch.state))
        };
        // Interpreters may share a GIL, or have one each.
        let own = holders().find(|(_, member)| of(member) == of(waiter));
        let only = || holders().next().filter(|_| holders().count() == 1);
        let Some((at, _)) = own.or_else(only) else { return unknown };
        let stack = self.results.get(at).copied().flatten().filter(|sampled| sampled.end != StackEnd::Gone);
        Holder {
            stack: stack
                .map(|sampled| (sampled.stack, known(sampled)))
                .filter(|(_, known)| *known != Known::Lost),
            is_collecting: self.is_collecting(at),
        }
    }

    /// Whether member `index` collected garbage while it was read, where that is to be shown.
    fn is_collecting(&self, index: usize) -> bool {
        let (Some((first, last)), Some(member)) = (self.ends, self.roster.members.get(index)) else {
            return false;
        };
        let state = &member.watch.state;
        let is_so = |asked| {
            self.heads.collecting(&self.batch, asked, state.interpreter_index) == Some(true)
                && self.heads.collector(&self.attached, &self.batch, asked, state.interpreter_index)
                    == Some(state.address)
        };
        self.wanted.gc && is_so(first) && is_so(last)
    }
}
