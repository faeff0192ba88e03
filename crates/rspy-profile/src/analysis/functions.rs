//! Functions, what they cost and who called them: what `pstats` shows of `cProfile`.

use serde::Serialize;

use super::{Basis, time};
use crate::callgraph::{CallGraph, Cost};
use crate::options::Options;
use crate::profile::Profile;

/// The functions of a profile, ordered by file, line and name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Functions {
    /// What this is based on.
    #[serde(flatten)]
    pub basis: Basis,
    /// All of them.
    pub functions: Vec<Function>,
}

/// A function, or what stands for one: a thread, a process, frames that are not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Function {
    /// Which one it is.
    #[serde(flatten)]
    pub name: FunctionName,
    /// What it costs.
    #[serde(flatten)]
    pub cost: FunctionCost,
    /// Who called it.
    #[serde(skip)]
    pub callers: Vec<Call>,
    /// What it called.
    #[serde(skip)]
    pub callees: Vec<Call>,
}

/// What a function is called, and where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionName {
    /// Its qualified name.
    pub name: String,
    /// The file as its code object says; `~` for what is in none.
    pub file: String,
    /// The same relative to its top-level package.
    pub short_file: String,
    /// The line it starts on; 0 if unknown.
    pub line: u32,
}

/// What a function costs, or its calls by another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FunctionCost {
    /// The calls that were seen to begin: a lower bound, and 0 where none are known.
    pub calls: u64,
    /// Those while no other call of it was open.
    pub primitive_calls: u64,
    /// The time in which it was executed itself.
    pub own: f64,
    /// The time in which it was on the stack.
    pub total: f64,
}

/// The calls of one function by another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The other function: its index.
    pub function: usize,
    /// What they cost.
    pub cost: FunctionCost,
}

impl Functions {
    /// Those of the samples of `profile` that `options` include. Calls are known of a profile with a time line.
    pub fn new(profile: &Profile, options: &Options) -> Functions {
        let graph = CallGraph::new(profile, options);
        let cost = |cost: Cost| FunctionCost {
            calls: cost.calls,
            primitive_calls: cost.primitive_calls,
            own: time(profile, cost.own),
            total: time(profile, cost.total),
        };
        let mut functions: Vec<Function> = graph
            .functions
            .into_iter()
            .map(|(function, known)| Function {
                name: FunctionName {
                    name: function.name,
                    file: function.file,
                    short_file: known.short_file,
                    line: function.first_line,
                },
                cost: cost(known.cost),
                callers: Vec::new(),
                callees: Vec::new(),
            })
            .collect();
        for ((caller, callee), call) in graph.calls {
            let cost = cost(call.cost);
            functions[callee].callers.push(Call { function: caller, cost });
            functions[caller].callees.push(Call { function: callee, cost });
        }
        Functions { basis: Basis::new(profile, options), functions }
    }
}
