//! The tables that all threads share: stacks as (caller, frame) nodes, frames, functions, files, text.

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::frame::FrameKind;
use crate::options::Options;
use crate::place::{Place, PlaceId, Places};
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;

/// What a frame, with all that it calls, is counted as. The Profiler colours its graphs by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Category {
    /// None of the others. It must be there, and grey.
    Other,
    Python,
    Collecting,
    WaitsForGil,
    /// The innermost frame of a thread that does not run.
    Idle,
    /// Frames that could not be read.
    Unknown,
}

/// The categories in the order of their numbers, with names and colours.
pub(super) fn categories() -> Value {
    let category =
        |name: &str, color: &str| json!({ "name": name, "color": color, "subcategories": ["Other"] });
    json!([
        category("Other", "grey"),
        category("Python", "blue"),
        category("Garbage collection", "orange"),
        category("Waiting for the GIL", "red"),
        category("Idle", "transparent"),
        category("Unknown", "brown"),
    ])
}

impl Category {
    /// That of a frame that `caller` called.
    fn of(kind: Option<FrameKind>, caller: Category) -> Category {
        match kind {
            None => Category::Other,
            Some(FrameKind::Python) => match caller {
                Category::Collecting | Category::WaitsForGil => caller,
                _ => Category::Python,
            },
            Some(FrameKind::Collecting) => Category::Collecting,
            Some(FrameKind::WaitsForGil) => Category::WaitsForGil,
            Some(FrameKind::Cut | FrameKind::Truncated | FrameKind::Lost(_)) => Category::Unknown,
        }
    }
}

/// A place, counted as something.
type Frame = (PlaceId, Category);

/// The stacks of all threads as a tree, in the order of their first use.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    places: Places<'a>,
    frames: IndexSet<Frame, FxBuildHasher>,
    /// The nodes of stacks that were met: of which thread, where that is part of the stack, and whether it was idle.
    known: FxHashMap<(Option<ThreadId>, StackId, bool), usize>,
    has_threads: bool,
    /// Each node's caller, and its frame.
    nodes: IndexSet<(Option<usize>, usize), FxBuildHasher>,
    buffer: Vec<PlaceId>,
}

impl<'a> Nodes<'a> {
    /// None yet.
    pub(super) fn new(profile: &'a Profile, options: &'a Options) -> Self {
        Self {
            places: Places::new(profile, options),
            frames: IndexSet::default(),
            known: FxHashMap::default(),
            has_threads: options.by_thread || options.by_process,
            nodes: IndexSet::default(),
            buffer: Vec::new(),
        }
    }

    /// The node of a thread's stack; `idle` if the thread did not run.
    pub(super) fn stack(&mut self, thread: ThreadId, stack: StackId, idle: bool) -> Option<usize> {
        let key = (self.has_threads.then_some(thread), stack, idle);
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.places.stack(thread, stack, &mut buffer);
        let (mut node, mut category) = (None, Category::Other);
        for (index, place) in buffer.iter().enumerate() {
            category = Category::of(self.places[*place].kind, category);
            let is_innermost = index + 1 == buffer.len();
            let shown = match category {
                Category::Python if idle && is_innermost => Category::Idle,
                other => other,
            };
            node = Some(self.node(node, (*place, shown)));
        }
        self.buffer = buffer;
        self.known.extend(node.map(|node| (key, node)));
        node
    }

    /// The node of a stack of one frame that says that samples were lost.
    pub(super) fn lost(&mut self, name: String) -> usize {
        let place = self.places.note(name);
        self.node(None, (place, Category::Unknown))
    }

    fn node(&mut self, caller: Option<usize>, frame: Frame) -> usize {
        let frame = self.frames.insert_full(frame).0;
        self.nodes.insert_full((caller, frame)).0
    }
}

/// The tables as they are written: a list for each column.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shared<'a> {
    stack_table: StackTable,
    frame_table: FrameTable,
    func_table: FuncTable,
    sources: Sources,
    string_array: Vec<&'a str>,
    resource_table: Value,
    native_symbols: Value,
}

#[derive(Serialize)]
struct StackTable {
    length: usize,
    prefix: Vec<Option<usize>>,
    frame: Vec<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FrameTable {
    length: usize,
    func: Vec<usize>,
    line: Vec<Option<u32>>,
    column: Vec<Option<u32>>,
    category: Vec<u8>,
    subcategory: Vec<u8>,
    /// Of machine code, of which there is none.
    address: Vec<i8>,
    inline_depth: Vec<u8>,
    native_symbol: Vec<Option<usize>>,
    #[serde(rename = "innerWindowID")]
    inner_window_id: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FuncTable {
    length: usize,
    name: Vec<usize>,
    source: Vec<Option<usize>>,
    line_number: Vec<Option<u32>>,
    column_number: Vec<Option<u32>>,
    #[serde(rename = "isJS")]
    is_js: Vec<bool>,
    #[serde(rename = "relevantForJS")]
    relevant_for_js: Vec<bool>,
    resource: Vec<i8>,
}

#[derive(Serialize)]
struct Sources {
    length: usize,
    id: Vec<Option<usize>>,
    filename: Vec<usize>,
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut strings: IndexSet<&str, FxBuildHasher> = IndexSet::default();
        let mut files: IndexSet<&str, FxBuildHasher> = IndexSet::default();
        let mut functions: IndexSet<(&str, Option<usize>, Option<u32>), FxBuildHasher> = IndexSet::default();
        let mut function = |place: PlaceId| {
            let Place { name, file, first_line, .. } = &self.places[place];
            let source = (!file.is_empty()).then(|| files.insert_full(file).0);
            functions.insert_full((name, source, *first_line)).0
        };
        let frames = self.frames.len();
        let frame_table = FrameTable {
            length: frames,
            func: self.frames.iter().map(|(place, _)| function(*place)).collect(),
            // Threads and processes have line 0 in py-spy's formats; here lines begin with 1.
            line: self
                .frames
                .iter()
                .map(|(place, _)| self.places[*place].line.filter(|line| *line > 0))
                .collect(),
            column: self.columns().collect(),
            category: self.frames.iter().map(|(_, category)| *category as u8).collect(),
            subcategory: vec![0; frames],
            address: vec![-1; frames],
            inline_depth: vec![0; frames],
            native_symbol: vec![None; frames],
            inner_window_id: vec![0; frames],
        };
        let count = functions.len();
        let func_table = FuncTable {
            length: count,
            name: functions.iter().map(|(name, ..)| strings.insert_full(name).0).collect(),
            source: functions.iter().map(|(_, source, _)| *source).collect(),
            line_number: functions.iter().map(|(.., line)| *line).collect(),
            column_number: vec![None; count],
            is_js: vec![false; count],
            relevant_for_js: vec![false; count],
            resource: vec![-1; count],
        };
        let filename = files.iter().map(|file| strings.insert_full(file).0).collect();
        let shared = Shared {
            stack_table: StackTable {
                length: self.nodes.len(),
                prefix: self.nodes.iter().map(|(caller, _)| *caller).collect(),
                frame: self.nodes.iter().map(|(_, frame)| *frame).collect(),
            },
            frame_table,
            func_table,
            sources: Sources { length: files.len(), id: vec![None; files.len()], filename },
            string_array: strings.into_iter().collect(),
            resource_table: json!({ "length": 0, "lib": [], "name": [], "host": [], "type": [] }),
            native_symbols: json!({ "length": 0, "libIndex": [], "address": [], "name": [], "functionSize": [] }),
        };
        shared.serialize(serializer)
    }
}

impl Nodes<'_> {
    fn columns(&self) -> impl Iterator<Item = Option<u32>> {
        self.frames.iter().map(|(place, _)| self.places[*place].columns.map(|columns| columns.first))
    }
}
