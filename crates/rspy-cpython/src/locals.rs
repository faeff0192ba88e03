//! Local variables of frames: arguments, locals, cells and free variables.
//!
//! They lie behind the frame, in an array that the code object has the names for; in a
//! class body they are in a dict. What is not bound is left out; a cell is followed to
//! what it holds. A module's locals are its globals, and are not read.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rspy_process::{Address, Memory, word};

use crate::frames::RawFrame;
use crate::layout::{Code, Field, Frames, Layout, Slots};
use crate::stack::Frame;
use crate::text::{ValueError, string};
use crate::values::{Value, ValueReader, items};

/// More variables than any function has.
const MAX_VARIABLES: usize = 1 << 14;
/// `CO_OPTIMIZED`: the variables are in the frame's array.
const OPTIMIZED: i32 = 1;
/// `CO_FAST_CELL | CO_FAST_FREE` (`pycore_code.h`, 3.11 and later).
const CELL_OR_FREE: u8 = 0x40 | 0x80;

/// A variable that is bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Where the object lies that it is bound to; null for an integer that the
    /// interpreter keeps in the frame itself.
    pub address: Address,
    /// Whether it is a positional argument.
    pub is_argument: bool,
    /// The object.
    pub value: Value,
}

/// Reads the variables of frames for as long as the target stands still.
pub struct LocalsReader<'t, M> {
    values: ValueReader<'t, M>,
    codes: HashMap<Address, Option<Rc<Variables>>>,
}

/// The variables of a code object.
struct Variables {
    names: Vec<Variable>,
    /// How many pointers the frame's array begins with.
    slots: usize,
    is_optimized: bool,
}

struct Variable {
    name: String,
    slot: usize,
    is_argument: bool,
    is_cell: bool,
}

impl<'t, M: Memory> LocalsReader<'t, M> {
    /// A reader; the text of each value has about `limit` bytes.
    pub fn new(memory: &'t M, layout: &'t Layout, limit: usize) -> Self {
        LocalsReader { values: ValueReader::new(memory, layout, limit), codes: HashMap::new() }
    }

    /// Gives `frames` their variables. What cannot be read of a frame is one variable
    /// called `?`.
    pub fn read(&mut self, frames: &mut [Frame]) {
        for frame in frames {
            let Frame::Python { raw, locals, .. } = frame else { continue };
            let mut found = Vec::new();
            if self.of_frame(raw, &mut found).is_err() {
                let (address, value) = (raw.address, Value::Unreadable(raw.address));
                found.push(Local { name: "?".to_owned(), address, is_argument: false, value });
            }
            *locals = Some(found.into());
        }
    }

    fn of_frame(&mut self, frame: &RawFrame, locals: &mut Vec<Local>) -> Result<(), ValueError> {
        let (memory, layout) = (self.values.memory, self.values.layout);
        let variables = match self.codes.get(&frame.code) {
            Some(known) => known.clone(),
            None => {
                let read = variables(&mut self.values, frame.code).ok().map(Rc::new);
                self.codes.insert(frame.code, read.clone());
                read
            }
        };
        let variables =
            variables.ok_or(ValueError::Unexpected { at: frame.code, expected: "code object" })?;
        let (start, mask) = match &layout.frames {
            Frames::Object(object) => (object.localsplus.of(frame.address), 0),
            Frames::Interpreter(object) => (object.localsplus.of(frame.address), object.executable_mask),
        };
        let slots = memory.bytes(start, variables.slots * 8)?;
        for variable in &variables.names {
            let slot = word(&slots, variable.slot * 8, 8).unwrap_or(0);
            let Variable { name, is_argument, .. } = variable;
            if let Some((address, value)) = self.bound(slot, mask, variable.is_cell) {
                locals.push(Local { name: name.clone(), address, is_argument: *is_argument, value });
            }
        }
        if !variables.is_optimized {
            self.add_namespace(frame, locals)?;
        }
        Ok(())
    }

    /// What a slot of the array is bound to. From 3.14 on it is a `_PyStackRef`, with the
    /// bits of `mask` as its tag; both set is an integer in its upper bits.
    fn bound(&mut self, slot: u64, mask: u64, is_cell: bool) -> Option<(Address, Value)> {
        if mask != 0 && slot & 3 == 3 {
            return Some((Address::NULL, Value::Int((slot as i64 >> 2).to_string())));
        }
        let mut address = Address(slot & !mask);
        if address.is_null() {
            return None;
        }
        if is_cell {
            match self.values.content(address) {
                Ok(content) => address = content,
                Err(_) => return Some((address, Value::Unreadable(address))),
            }
        }
        (!address.is_null()).then(|| (address, self.values.value(address)))
    }

    /// The names of a class body, or of code that was given locals of its own.
    fn add_namespace(&mut self, frame: &RawFrame, locals: &mut Vec<Local>) -> Result<(), ValueError> {
        let (memory, layout) = (self.values.memory, self.values.layout);
        let (f_locals, f_globals) = match &layout.frames {
            Frames::Object(object) => (object.f_locals, object.f_globals),
            Frames::Interpreter(object) => (object.f_locals, object.f_globals),
        };
        let namespace = f_locals.read(memory, frame.address)?;
        let globals = f_globals.read(memory, frame.address)?;
        if namespace.is_null() || namespace == globals || !self.values.is_dict(namespace)? {
            return Ok(());
        }
        for item in items(memory, layout, namespace)?.into_iter().take(MAX_VARIABLES) {
            let name = string(memory, layout, item.key).unwrap_or("?".to_owned());
            let value = self.values.value(item.value);
            locals.push(Local { name, address: item.value, is_argument: false, value });
        }
        Ok(())
    }
}

fn variables<M: Memory>(values: &mut ValueReader<'_, M>, at: Address) -> Result<Variables, ValueError> {
    let (memory, layout) = (values.memory, values.layout);
    let Code { slots, flags, argcount, .. } = &layout.code;
    let arguments = usize::try_from(argcount.read(memory, at)?).unwrap_or(0);
    let is_optimized = flags.read(memory, at)? & OPTIMIZED != 0;
    let (names, slots) = match slots {
        Slots::Together { names, kinds } => together(values, *names, *kinds, at, arguments)?,
        Slots::Apart { varnames, cellvars, freevars } => {
            let mut read = |field: &Field<Address>| {
                let tuple = field.read(memory, at)?;
                strings(values, tuple)
            };
            apart(&read(varnames)?, &read(cellvars)?, &read(freevars)?, arguments)
        }
    };
    Ok(Variables { names, slots, is_optimized })
}

/// The strings of a tuple. A name that cannot be read is a question mark, since those
/// after it have to keep their places.
fn strings<M: Memory>(values: &mut ValueReader<'_, M>, tuple: Address) -> Result<Vec<String>, ValueError> {
    let (memory, layout) = (values.memory, values.layout);
    let names = values.tuple(tuple, MAX_VARIABLES)?;
    Ok(names.into_iter().map(|name| string(memory, layout, name).unwrap_or("?".to_owned())).collect())
}

/// 3.11 and later: one tuple of names, and a byte string that says what each is.
fn together<M: Memory>(
    values: &mut ValueReader<'_, M>,
    names: Field<Address>,
    kinds: Field<Address>,
    at: Address,
    arguments: usize,
) -> Result<(Vec<Variable>, usize), ValueError> {
    let (memory, layout) = (values.memory, values.layout);
    let names = strings(values, names.read(memory, at)?)?;
    let kinds = kinds.read(memory, at)?.offset(layout.object.bytes_data.into());
    let kinds = memory.bytes(kinds, names.len())?;
    let slots = names.len();
    let variables = names.into_iter().zip(kinds).enumerate().map(|(slot, (name, kind))| Variable {
        name,
        slot,
        is_argument: slot < arguments,
        is_cell: kind & CELL_OR_FREE != 0,
    });
    Ok((variables.collect(), slots))
}

/// Up to 3.10: locals, cells, free variables, in three tuples and in that order in the
/// frame. An argument that functions within use is in a cell besides; it is shown at its
/// place among the arguments, with what the cell holds.
fn apart(locals: &[String], cells: &[String], free: &[String], arguments: usize) -> (Vec<Variable>, usize) {
    let mut variables = Vec::new();
    // There can be thousands of each: they are not compared one by one.
    let cell_of: HashMap<&String, usize> =
        cells.iter().enumerate().map(|(cell, name)| (name, cell)).collect();
    let known: HashSet<&String> = locals.iter().collect();
    for (index, name) in locals.iter().enumerate() {
        let cell = cell_of.get(name).copied();
        variables.push(Variable {
            name: name.clone(),
            slot: cell.map_or(index, |cell| locals.len() + cell),
            is_argument: index < arguments,
            is_cell: cell.is_some(),
        });
    }
    for (index, name) in cells.iter().chain(free).enumerate() {
        if !known.contains(name) {
            let slot = locals.len() + index;
            variables.push(Variable { name: name.clone(), slot, is_argument: false, is_cell: true });
        }
    }
    (variables, locals.len() + cells.len() + free.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_in_a_cell_keeps_its_place() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (variables, slots) = apart(&names("self x total"), &names("x late"), &names("outer"), 2);
        let shown: Vec<_> = variables.iter().map(|v| (&*v.name, v.slot, v.is_argument, v.is_cell)).collect();
        let expected = [
            ("self", 0, true, false),
            ("x", 3, true, true),
            ("total", 2, false, false),
            ("late", 4, false, true),
            ("outer", 5, false, true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(slots, 6);
    }
}
