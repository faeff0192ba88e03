//! Paths of references in words: by variables, attributes, keys and positions.

use rspy_cpython::text::string;
use rspy_cpython::values::{ValueReader, items};
use rspy_process::Address;

use crate::heap::Heap;
use crate::holders::{Holders, Root};
use crate::kind::Kind;
use crate::objects::Objects;
use crate::references::Edge;
use crate::running::Running;
use crate::types::Type;

/// Where `PyMemberDescrObject` has its name, behind the head; and a definition its offset.
const DESCRIPTOR_NAME: u64 = 8;
const DEFINITION_OFFSET: u64 = 16;

/// More classes than there are above any.
const MAX_DEPTH: usize = 64;
/// The longest text of a value, in bytes.
const MAX_TEXT: usize = 60;

/// A node on a path, and how it leads to the next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Where the object is; 0 for a frame.
    pub address: u64,
    /// What it is: `dict`, `module app`, `class app.Session`.
    pub what: String,
    /// How it refers to the next: `.cache`, `['sessions']`, `[120391]`; nothing for the last.
    pub by: String,
}

/// Puts paths into words.
pub struct Trails<'h> {
    heap: &'h Heap<'h>,
    objects: &'h Objects,
    holders: &'h Holders,
    /// Whether text of values may be told.
    with_values: bool,
}

impl<'h> Trails<'h> {
    /// Of these. Keys that are not in the program's own text are told only `with_values`.
    pub fn new(
        heap: &'h Heap<'h>,
        objects: &'h Objects,
        holders: &'h Holders,
        with_values: bool,
    ) -> Trails<'h> {
        Trails { heap, objects, holders, with_values }
    }

    /// A path, from a root on.
    pub fn steps(&self, path: &[u32]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        // Whether the step before is a namespace that only stands for what has it.
        let mut is_namespace = false;
        for (index, node) in path.iter().enumerate() {
            let edge = path.get(index + 1).map(|next| self.edge(*node, *next));
            match (&edge, steps.last_mut()) {
                (Some(Reference::Edge(Edge::Value(key))), Some(last)) if is_namespace => {
                    last.by = format!(".{}", self.text(*key).unwrap_or_else(|| "?".to_owned()));
                    is_namespace = false;
                    continue;
                }
                _ => {}
            }
            is_namespace = matches!(
                edge,
                Some(Reference::Edge(Edge::Dict | Edge::Member("md_dict" | "tp_dict" | "func_globals")))
            );
            steps.push(Step {
                address: self.objects.address(*node).unwrap_or(0),
                what: self.what(*node, index == 0),
                by: edge.map(|edge| self.by(*node, &edge)).unwrap_or_default(),
            });
        }
        steps
    }

    /// Whether a node is a root.
    pub fn is_root(&self, node: u32) -> bool {
        self.holders.root(node).is_some()
    }

    /// What a node is: as the first of a path with the kind of root it is.
    pub fn what(&self, node: u32, is_root: bool) -> String {
        let root = self.holders.root(node);
        match root {
            Some(Root::Module(name)) => return format!("module {name}"),
            Some(Root::Frame(frame)) => {
                let Running { function, file, thread, line, .. } = &frame.running;
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                return format!("frame {function} ({file}{line}, thread {thread})");
            }
            _ => {}
        }
        let Some(object) = self.objects.get(node) else { return "?".to_owned() };
        let what = match object.of.kind {
            Kind::Type => match self.type_at(object.at) {
                Some(of) => format!("class {}", of.name),
                None => object.of.name.clone(),
            },
            Kind::Function => {
                match self.heap.reader().function_name(object.at).and_then(|at| self.text(at)) {
                    Some(name) => format!("function {name}"),
                    None => object.of.name.clone(),
                }
            }
            _ => object.of.name.clone(),
        };
        match root.filter(|_| is_root) {
            Some(Root::Interpreter(name)) => format!("interpreter.{name} {what}"),
            Some(Root::Native) if self.heap.is_static(object.at) => format!("(static) {what}"),
            Some(Root::Native) => format!("(native code, or a value in use) {what}"),
            _ => what,
        }
    }

    /// The type that lies at `at`.
    fn type_at(&self, at: u64) -> Option<&Type> {
        self.objects.all_types().iter().find(|of| of.at == at).map(AsRef::as_ref)
    }

    /// How a node refers to another.
    fn edge(&self, node: u32, next: u32) -> Reference {
        let frame = match self.holders.root(node) {
            Some(Root::Frame(frame)) => Some(frame),
            _ => None,
        };
        if let Some(frame) = frame {
            if let Some((name, _)) = frame.locals.iter().find(|(_, number)| *number == next) {
                return Reference::Variable(name.clone());
            }
            if frame.values.contains(&next) {
                return Reference::Computed;
            }
        }
        let Some(object) = self.objects.get(node) else { return Reference::Unknown };
        let Some(target) = self.objects.address(next) else { return Reference::Unknown };
        let mut found = None;
        self.heap.reader().references(&object, &mut |at, edge| {
            if at == target && found.is_none() {
                found = Some(edge);
            }
        });
        match found {
            // Up to 3.10 a frame is an object, and does not say which of its last words count.
            Some(Edge::At(offset)) if frame.is_some() && self.is_behind_variables(offset) => {
                Reference::Scanned
            }
            Some(edge) => Reference::Edge(edge),
            None => Reference::Unknown,
        }
    }

    /// Whether `offset` in a frame that is an object is one of its variables, or of what is behind them.
    fn is_behind_variables(&self, offset: u32) -> bool {
        let table = &self.heap.attached.layout.table;
        table.number("frame_object", "f_localsplus").is_some_and(|first| u64::from(offset) >= first)
    }

    /// How a node leads to another, if it refers to it itself or by its namespace.
    pub fn link(&self, node: u32, next: u32) -> Option<String> {
        match self.edge(node, next) {
            Reference::Unknown => {
                let namespace = self.namespace(node)?;
                match self.edge(namespace, next) {
                    Reference::Edge(Edge::Value(key)) => Some(format!(".{}", self.text(key)?)),
                    _ => None,
                }
            }
            reference => Some(self.by(node, &reference)),
        }
    }

    /// The dict that is only a part of a module, a class or an instance.
    pub fn namespace(&self, node: u32) -> Option<u32> {
        let object = self.objects.get(node)?;
        let mut found = None;
        self.heap.reader().references(&object, &mut |at, edge| {
            if matches!(edge, Edge::Dict | Edge::Member("md_dict" | "tp_dict")) {
                found = found.or_else(|| self.objects.number(at));
            }
        });
        found
    }

    /// An object in short: its value where that may be told, else how much is in it.
    pub fn summary(&self, node: u32) -> String {
        let Some(object) = self.objects.get(node) else { return String::new() };
        if self.with_values {
            return self.value(object.at);
        }
        match (object.of.kind, self.heap.reader().len(&object)) {
            (Kind::Unicode, Some(count)) => format!("{count} characters"),
            (Kind::Bytes | Kind::ByteArray, Some(count)) => format!("{count} bytes"),
            (_, Some(count)) => format!("{count} items"),
            _ => String::new(),
        }
    }

    /// The attributes of an instance, in its class's order, and the objects they are bound to.
    pub fn attributes(&self, node: u32) -> Vec<(String, u32)> {
        let mut attributes = Vec::new();
        let reader = self.heap.reader();
        for (holder, is_namespace) in
            std::iter::once((node, false)).chain(self.namespace(node).map(|dict| (dict, true)))
        {
            let Some(object) = self.objects.get(holder) else { continue };
            reader.references(&object, &mut |at, edge| {
                let name = match edge {
                    Edge::Value(key) if is_namespace => self.text(key),
                    Edge::Attribute(number) if !is_namespace => {
                        reader.attribute_name(object.of.at, number).and_then(|at| self.text(at))
                    }
                    Edge::At(offset) if !is_namespace => self.slot(object.of, offset),
                    _ => None,
                };
                attributes.extend(name.and_then(|name| Some((name, self.objects.number(at)?))));
            });
        }
        attributes
    }

    /// A value as text.
    fn value(&self, at: u64) -> String {
        let mut reader = ValueReader::new(&self.heap.memory, &self.heap.attached.layout, MAX_TEXT);
        reader.value(Address(at)).to_string()
    }

    /// A reference in words.
    fn by(&self, node: u32, reference: &Reference) -> String {
        let edge = match reference {
            Reference::Variable(name) => return format!(".{name}"),
            Reference::Computed => return ", a value that is being computed".to_owned(),
            Reference::Scanned => return ", a value in use or left over".to_owned(),
            Reference::Unknown => return String::new(),
            Reference::Edge(edge) => *edge,
        };
        let name_of = |at: Option<u64>| at.and_then(|at| self.text(at));
        match edge {
            Edge::Type => ".__class__".to_owned(),
            Edge::Dict => ".__dict__".to_owned(),
            Edge::Index(index) => format!("[{index}]"),
            Edge::Key => " (a key)".to_owned(),
            Edge::Value(key) => format!("[{}]", self.key(key)),
            Edge::Member(name) => format!(".{name}"),
            Edge::Attribute(number) => {
                let class = self.objects.get(node).map(|object| object.of.at);
                let name = class.and_then(|class| self.heap.reader().attribute_name(class, number));
                format!(".{}", name_of(name).unwrap_or_else(|| "?".to_owned()))
            }
            Edge::At(offset) => match self.objects.of_type(node).and_then(|of| self.slot(of, offset)) {
                Some(name) => format!(".{name}"),
                None => format!(" (+{offset})"),
            },
        }
    }

    /// The name of a slot, by the descriptors that a class and those above it have.
    fn slot(&self, of: &Type, offset: u32) -> Option<String> {
        let (image, layout, reader) = (self.heap.image, &self.heap.attached.layout, self.heap.reader());
        let mut class = of.at;
        for _ in 0..MAX_DEPTH {
            let namespace = reader.namespace(class)?;
            for item in items(&self.heap.memory, layout, Address(namespace)).unwrap_or_default() {
                let descriptor = item.value.0;
                let of = self.objects.number(descriptor).and_then(|number| self.objects.of_type(number));
                if of.is_none_or(|of| of.name != "member_descriptor") {
                    continue;
                }
                let body = descriptor.checked_add(reader.head())?;
                let definition = image.word(body.checked_add(reader.offsets.descriptor_definition)?)?;
                if image.word(definition.checked_add(DEFINITION_OFFSET)?) == Some(u64::from(offset)) {
                    return self.text(image.word(body + DESCRIPTOR_NAME)?);
                }
            }
            class = self.type_at(class)?.base;
        }
        None
    }

    /// A key, as far as it may be told: text that is part of the program (it is interned), and numbers.
    pub fn key(&self, at: u64) -> String {
        let Some(object) = self.objects.number(at).and_then(|number| self.objects.get(number)) else {
            return "?".to_owned();
        };
        let is_shown = match object.of.kind {
            Kind::Int | Kind::Number => true,
            _ => object.of.name == "NoneType" || self.heap.reader().is_interned(&object),
        };
        if !is_shown && !self.with_values {
            return object.of.name.clone();
        }
        self.value(at)
    }

    fn text(&self, at: u64) -> Option<String> {
        string(&self.heap.memory, &self.heap.attached.layout, Address(at)).ok()
    }
}

/// How something refers to something.
enum Reference {
    /// A variable of a frame.
    Variable(String),
    /// A frame does that computes with it.
    Computed,
    /// A frame does, but nothing says whether that word still counts.
    Scanned,
    /// An object does.
    Edge(Edge),
    /// What was found does not lead there any more.
    Unknown,
}
