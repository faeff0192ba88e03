//! Who holds what: the references between all objects, and the roots that keep the first of them.
//!
//! A root is a module, a frame that runs, what an interpreter itself points to, or an object that is referred to more often than
//! objects do. What none of them leads to is garbage that the collector has not found yet.

use rayon::prelude::*;
use rspy_cpython::text::string;
use rspy_cpython::values::items;
use rustc_hash::FxHashMap;

use crate::graph::{Graph, GraphBuilder, Paths};
use crate::heap::Heap;
use crate::objects::Objects;
use crate::references::Edge;
use crate::running::{Running, frames, held_by_interpreters};

/// How many objects a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// What keeps objects from outside of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A module in `sys.modules`, by its name there.
    Module(String),
    /// A frame that runs.
    Frame(Frame),
    /// A member of an interpreter's state, by CPython's name.
    Interpreter(&'static str),
    /// Something that is no object, and not known: more references are counted than objects have.
    Native,
}

/// A frame that runs, and the objects in its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it is.
    pub running: Running,
    /// The number of the object that it is itself, up to 3.10.
    object: Option<u32>,
    /// Its variables: the number of the object that each is bound to.
    pub locals: Vec<(String, u32)>,
    /// Objects that it computes with.
    pub values: Vec<u32>,
}

impl Frame {
    fn new(running: Running, objects: &Objects) -> Frame {
        let local = |(name, at): &(String, u64)| Some((name.clone(), objects.number(*at)?));
        let locals = running.locals.iter().filter_map(local).collect();
        let values = running.values.iter().flatten().filter_map(|at| objects.number(*at)).collect();
        Frame { object: objects.number(running.at), locals, values, running }
    }
}

/// Objects, what they refer to, and the roots.
///
/// Nodes of the graph are objects by their numbers, and frames behind the last of them.
pub struct Holders {
    /// Who refers to whom.
    pub graph: Graph,
    /// Nodes that are roots, those with a name first.
    pub roots: Vec<(u32, Root)>,
    /// Which of them have no name: from here on.
    unnamed: usize,
    /// By their nodes, where they are among them.
    places: FxHashMap<u32, usize>,
}

impl Holders {
    /// Of all `objects` of `heap`.
    pub fn of(heap: &Heap<'_>, objects: &Objects) -> Holders {
        let mut roots = modules(heap, objects);
        roots.extend(interpreters(heap, objects));
        let frames: Vec<Frame> = frames(heap.attached, &heap.memory)
            .into_iter()
            .map(|running| Frame::new(running, objects))
            .collect();
        let namespaces = namespaces(heap, objects, &roots);
        let graph = references(heap, objects, &frames, &namespaces);
        let mut next = objects.len() as u32;
        for frame in frames {
            // Up to 3.10 a frame is an object.
            let node = frame.object.unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            roots.push((node, Root::Frame(frame)));
        }
        let unnamed = roots.len();
        let mut holders = Holders { graph, roots, unnamed, places: FxHashMap::default() };
        let others = holders.held_by_nobody(heap, objects);
        holders.roots.extend(others.into_iter().map(|number| (number, Root::Native)));
        // What is a root in several ways is called by the first.
        for (place, (node, _)) in holders.roots.iter().enumerate() {
            holders.places.entry(*node).or_insert(place);
        }
        holders
    }

    /// None, where only objects themselves are asked for.
    pub fn without_references() -> Holders {
        let graph = GraphBuilder::default().finish();
        Holders { graph, roots: Vec::new(), unnamed: 0, places: FxHashMap::default() }
    }

    /// Why a node is a root, if it is one.
    pub fn root(&self, node: u32) -> Option<&Root> {
        self.places.get(&node).and_then(|place| self.roots.get(*place)).map(|(_, root)| root)
    }

    /// The nodes that are roots.
    pub fn root_nodes(&self) -> Vec<u32> {
        self.roots.iter().map(|(node, _)| *node).collect()
    }

    /// The roots that have a name.
    pub fn named(&self) -> &[(u32, Root)] {
        self.roots.get(..self.unnamed).unwrap_or_default()
    }

    /// Objects that no root with a name leads to, and that are referred to more often than by objects.
    fn held_by_nobody(&self, heap: &Heap<'_>, objects: &Objects) -> Vec<u32> {
        let (reader, nodes) = (heap.reader(), self.root_nodes());
        let paths = Paths::from(&self.graph, &nodes);
        let mut references = vec![0u32; objects.len()];
        for node in 0..self.graph.len() as u32 {
            for target in self.graph.successors(node) {
                if let Some(count) = references.get_mut(*target as usize) {
                    *count += 1;
                }
            }
        }
        let is_held = |number: &u32| {
            // What is immortal is held by the interpreter.
            let counted = objects.address(*number).map_or(0, |at| reader.count(at).unwrap_or(u64::MAX));
            let known = references.get(*number as usize).copied().unwrap_or(0);
            !paths.reaches(*number) && counted > u64::from(known)
        };
        objects.numbers().into_par_iter().filter(is_held).collect()
    }
}

/// The dicts of modules, and whose each is.
fn namespaces(heap: &Heap<'_>, objects: &Objects, roots: &[(u32, Root)]) -> FxHashMap<u32, u32> {
    let reader = heap.reader();
    let mut namespaces = FxHashMap::default();
    for (module, _) in roots.iter().filter(|(_, root)| matches!(root, Root::Module(_))) {
        let Some(object) = objects.get(*module) else { continue };
        reader.references(&object, &mut |at, edge| {
            if edge == Edge::Member("md_dict")
                && let Some(namespace) = objects.number(at)
            {
                namespaces.insert(namespace, *module);
            }
        });
    }
    namespaces
}

/// Who refers to whom, frames included. Functions refer to the `namespaces` of modules as well, but what is in them is the
/// modules'.
fn references(
    heap: &Heap<'_>,
    objects: &Objects,
    frames: &[Frame],
    namespaces: &FxHashMap<u32, u32>,
) -> Graph {
    let reader = heap.reader();
    let numbers: Vec<u32> = objects.numbers().collect();
    let rows: Vec<(Vec<u32>, Vec<u32>)> = numbers
        .par_chunks(CHUNK)
        .map(|chunk| {
            let (mut ends, mut targets) = (Vec::with_capacity(chunk.len()), Vec::new());
            for number in chunk {
                if let Some(object) = objects.get(*number) {
                    let is_its = |target: &u32| namespaces.get(target).is_none_or(|module| module == number);
                    reader
                        .references(&object, &mut |at, _| targets.extend(objects.number(at).filter(is_its)));
                }
                ends.push(targets.len() as u32);
            }
            (ends, targets)
        })
        .collect();
    let count = rows.iter().map(|(_, targets)| targets.len()).sum();
    let mut graph = GraphBuilder::with_capacity(objects.len() + frames.len(), count);
    for (ends, targets) in rows {
        let mut start = 0;
        for end in ends {
            graph.begin();
            graph.extend(targets.get(start as usize..end as usize).unwrap_or_default().iter().copied());
            start = end;
        }
    }
    for frame in frames.iter().filter(|frame| frame.object.is_none()) {
        graph.begin();
        graph.extend(frame.locals.iter().map(|(_, number)| number).chain(&frame.values).copied());
    }
    graph.finish()
}

/// The modules that were imported.
fn modules(heap: &Heap<'_>, objects: &Objects) -> Vec<(u32, Root)> {
    let layout = &heap.attached.layout;
    let mut roots = Vec::new();
    for interpreter in heap.attached.interpreters(&heap.memory).unwrap_or_default() {
        let Ok(modules) = layout.interpreter.modules.read(&heap.memory, interpreter) else { continue };
        for item in items(&heap.memory, layout, modules).unwrap_or_default() {
            let name = string(&heap.memory, layout, item.key).ok();
            roots.extend(name.and_then(|name| Some((objects.number(item.value.0)?, Root::Module(name)))));
        }
    }
    roots
}

/// What the state of the interpreters points to by itself.
fn interpreters(heap: &Heap<'_>, objects: &Objects) -> Vec<(u32, Root)> {
    let known = held_by_interpreters(heap.attached, &heap.memory);
    known.into_iter().filter_map(|(name, at)| Some((objects.number(at)?, Root::Interpreter(name)))).collect()
}
