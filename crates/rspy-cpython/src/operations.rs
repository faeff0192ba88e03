//! What an instruction can have called: evidence that frames read while their thread runs
//! belong together.
//!
//! A frame with another one above it stands at an instruction that can call. From 3.11 on
//! most calls between Python functions are *inlined*, which means that one evaluation loop
//! runs both frames, and few instructions can do that; all others reach Python code through C:
//! operators, attributes, a destructor, a signal handler.
//!
//! Where frames stand: up to 3.10 at the beginning of the instruction, prefixes included; from
//! 3.11 on behind the prefixes, in 3.11 and 3.12 at the last of its caches if the call is
//! inlined. All code units of an instruction are therefore taken for it, with its prefixes.
//!
//! A trace or profile function, or a callback of `sys.monitoring`, is called through C from
//! any instruction: while the thread's [`tracing`](crate::layout::Thread::tracing) is not 0,
//! what its frames stand at says nothing.

use std::fmt;

use rspy_process::{Address, Memory};

use crate::frames::{FrameKind, RawFrame};
use crate::layout::{Bytecode, Layout, Table};

/// What an instruction can call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing: it only moves values, jumps forward, or returns.
    Quiet,
    /// Python code through C: as an operator does, a destructor, a signal handler.
    Through,
    /// The same, or a function whose frame is pushed inline (3.11 and later).
    Call,
    /// The same, or a generator whose frame is pushed inline (3.12 and later).
    Iterate,
    /// Python code through C. A generator that waits for another one stands at its yield
    /// or (3.13 and later) right behind it, and `throw()` passes it by: see [`Callee::of`].
    Yield,
    /// It is not known what stands there.
    Unknown,
}

/// How a frame was called by the one below it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Callee {
    /// Inlined, a function.
    Function,
    /// Inlined, a generator, coroutine or asynchronous generator.
    Generator,
    /// By C code that the frame below had called.
    ThroughC,
}

impl Callee {
    /// How `above` was called, which stands right on `below` and at `operation`.
    ///
    /// `throw()` to a generator that waits for another one links the frames of both to the
    /// caller's, though C passes the exception on and no loop runs the outer one: nothing
    /// between them says that they were called through C, and each keeps its saved values.
    pub fn of(above: &RawFrame, operation: Operation, below: &RawFrame) -> Callee {
        let is_shim = above.kind == FrameKind::Shim || below.kind == FrameKind::Shim;
        match above.kind {
            _ if above.is_entry || is_shim => Callee::ThroughC,
            FrameKind::Generator if operation == Operation::Yield => Callee::ThroughC,
            FrameKind::Generator => Callee::Generator,
            _ => Callee::Function,
        }
    }
}

impl Operation {
    /// Whether a frame called so can stand above one that stands at this.
    pub fn fits(self, callee: Callee) -> bool {
        match self {
            Operation::Quiet => false,
            Operation::Through | Operation::Yield => callee == Callee::ThroughC,
            Operation::Call => callee != Callee::Generator,
            Operation::Iterate => callee != Callee::Function,
            Operation::Unknown => true,
        }
    }
}

/// Those that push a function's frame, as the interpreters name them: general ones and
/// specialised ones. `EXIT_INIT_CHECK` is where the frame stands that calls `__init__`.
const CALL: [&str; 8] = [
    "CALL",
    "CALL_KW",
    "CALL_FUNCTION_EX",
    "BINARY_SUBSCR_GETITEM",
    "BINARY_OP_SUBSCR_GETITEM",
    "LOAD_ATTR_PROPERTY",
    "LOAD_ATTR_GETATTRIBUTE_OVERRIDDEN",
    "EXIT_INIT_CHECK",
];

/// Those that push a generator's frame. The plain `FOR_ITER` and `SEND` of 3.11 do not.
const ITERATE: [&str; 2] = ["FOR_ITER_GEN", "SEND_GEN"];

/// Those that release no object, make none (which can start a collection) and look for no
/// signals.
const QUIET: [&str; 20] = [
    "COPY",
    "COPY_FREE_VARS",
    "DUP_TOP",
    "DUP_TOPX",
    "DUP_TOP_TWO",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "JUMP_FORWARD",
    "KW_NAMES",
    "LOAD_COMMON_CONSTANT",
    "LOAD_CONST",
    "LOAD_SMALL_INT",
    "NOP",
    "NOT_TAKEN",
    "PUSH_NULL",
    "RETURN_CONST",
    "ROT_FOUR",
    "ROT_N",
    "ROT_THREE",
    "ROT_TWO",
    "SWAP",
];

/// Quiet where `TO_BOOL` (3.13 and later) does what can call before them.
const QUIET_AFTER_TO_BOOL: [&str; 3] = ["POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE", "UNARY_NOT"];

/// Those that stand in for an instruction which is kept elsewhere. `DO_TRACING` and `TRACE_RECORD`
/// are never in a code object; if one is, nothing is known.
const HIDING: [&str; 5] =
    ["INSTRUMENTED_LINE", "INSTRUMENTED_INSTRUCTION", "ENTER_EXECUTOR", "TRACE_RECORD", "DO_TRACING"];

/// Instructions from this one on have an argument of two bytes (`Include/opcode.h` of 2.7).
const HAVE_ARGUMENT: u8 = 90;

/// How much bytecode is looked at, in bytes: what is behind that is unknown.
const MAX_BYTECODE: u64 = 1 << 20;

/// What each opcode of a version is.
#[derive(Clone)]
pub struct Opcodes {
    operations: [Operation; 256],
    caches: [u8; 256],
    /// Prefix of an instruction with a large argument.
    extended_arg: Option<u8>,
    /// Up to 3.10 a generator that waits for another one stands right before this.
    yield_from: Option<u8>,
    /// Instructions have one byte or three (2.7), not two.
    is_variable: bool,
}

impl fmt::Debug for Opcodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.operations.iter().filter(|operation| **operation != Operation::Unknown).count();
        write!(formatter, "Opcodes({known} known)")
    }
}

impl Opcodes {
    /// Those that the sections `opcodes`, `specialized` and `caches` tell of.
    pub(crate) fn from_table(table: &Table) -> Opcodes {
        let number = |name: &str| table.number("opcodes", name).and_then(|number| u8::try_from(number).ok());
        let mut opcodes = Opcodes {
            operations: [Operation::Unknown; 256],
            caches: [0; 256],
            extended_arg: number("EXTENDED_ARG"),
            yield_from: number("YIELD_FROM"),
            is_variable: table.rule("instructions") == Some("variable"),
        };
        // What each stands for: a specialised one its base, an instrumented one the ordinary one.
        let base = |name: &str| {
            let specialized = table.number("specialized", name).and_then(|base| u8::try_from(base).ok());
            specialized.or_else(|| number(name.strip_prefix("INSTRUMENTED_").unwrap_or(name)))
        };
        let has_to_bool = number("TO_BOOL").is_some();
        // Up to 3.7 a return lets go of the iterators of the loops it is in.
        let unwinds = number("BREAK_LOOP").is_some();
        let mut of_base = [Operation::Through; 256];
        for (name, number) in table.section("opcodes") {
            let is_quiet = QUIET.contains(&name)
                || name.starts_with("LOAD_FAST")
                || (has_to_bool && QUIET_AFTER_TO_BOOL.contains(&name))
                || (!unwinds && name == "RETURN_VALUE");
            let operation = match name {
                _ if HIDING.contains(&name) => Operation::Unknown,
                _ if CALL.contains(&name) => Operation::Call,
                _ if ITERATE.contains(&name) => Operation::Iterate,
                "YIELD_VALUE" | "RESUME" => Operation::Yield,
                _ if is_quiet => Operation::Quiet,
                _ => continue,
            };
            let number = if operation == Operation::Unknown { u8::try_from(number).ok() } else { base(name) };
            if let Some(number) = number {
                of_base[usize::from(number)] = operation;
            }
        }
        let mut caches = [0; 256];
        for (name, count) in table.section("caches") {
            if let (Some(number), Ok(count)) = (number(name), u8::try_from(count)) {
                caches[usize::from(number)] = count;
            }
        }
        for (name, number) in table.section("opcodes") {
            let is_hiding = HIDING.contains(&name);
            if let (Ok(number), Some(base)) = (u8::try_from(number), base(name))
                && !is_hiding
            {
                opcodes.operations[usize::from(number)] = of_base[usize::from(base)];
                opcodes.caches[usize::from(number)] = caches[usize::from(base)];
            }
        }
        opcodes
    }

    /// What stands in the bytecode of the code object at `at`, whose beginning is `head`.
    pub(crate) fn read(memory: &impl Memory, layout: &Layout, at: Address, head: &[u8]) -> Operations {
        let (start, len) = match layout.code.bytecode {
            Bytecode::Bytes(field) => {
                let bytes = field.get(head).unwrap_or(Address::NULL);
                let len = layout.object.ob_size.read(memory, bytes).unwrap_or(0);
                (bytes.offset(layout.object.bytes_data.into()), len)
            }
            Bytecode::Inline { start, units } => {
                (at.offset(start.into()), units.get(head).unwrap_or(0).saturating_mul(2))
            }
        };
        let len = u64::try_from(len).unwrap_or(0).min(MAX_BYTECODE);
        let bytecode = memory.bytes(start, len as usize).unwrap_or_default();
        layout.opcodes.classify(&bytecode)
    }

    fn classify(&self, bytecode: &[u8]) -> Operations {
        let mut operations = Vec::with_capacity(bytecode.len());
        if self.is_variable {
            self.classify_variable(bytecode, &mut operations);
        } else {
            self.classify_units(bytecode, &mut operations);
        }
        Operations { operations: operations.into(), unit: if self.is_variable { 1 } else { 2 } }
    }

    /// One entry for each code unit; ends where it is not known how far an instruction reaches.
    fn classify_units(&self, bytecode: &[u8], operations: &mut Vec<Operation>) {
        let mut prefixes = 0;
        // Caches hold anything once the code has run.
        let mut caches = 0;
        for unit in bytecode.chunks_exact(2) {
            let opcode = unit[0];
            if caches > 0 {
                caches -= 1;
                operations.extend(operations.last().copied());
            } else if Some(opcode) == self.extended_arg {
                prefixes += 1;
            } else {
                let operation = self.operations[usize::from(opcode)];
                if operation == Operation::Unknown {
                    return;
                }
                if Some(opcode) == self.yield_from
                    && let Some(before) = operations.last_mut()
                {
                    *before = operation;
                }
                operations.resize(operations.len() + prefixes + 1, operation);
                prefixes = 0;
                caches = self.caches[usize::from(opcode)];
            }
        }
    }

    /// One entry for each byte.
    fn classify_variable(&self, bytecode: &[u8], operations: &mut Vec<Operation>) {
        let mut prefixes = 0;
        let mut rest = bytecode;
        while let [opcode, ..] = rest {
            let len = if *opcode < HAVE_ARGUMENT { 1 } else { 3 };
            rest = rest.get(len..).unwrap_or_default();
            if Some(*opcode) == self.extended_arg {
                prefixes += len;
                continue;
            }
            operations.resize(operations.len() + prefixes + len, self.operations[usize::from(*opcode)]);
            prefixes = 0;
        }
    }
}

/// What stands in a piece of bytecode.
#[derive(Debug)]
pub(crate) struct Operations {
    operations: Box<[Operation]>,
    /// Bytes to an entry.
    unit: u8,
}

impl Operations {
    /// Nothing is known of any instruction.
    #[cfg(test)]
    pub(crate) fn unknown() -> Operations {
        Operations { operations: Box::default(), unit: 1 }
    }

    /// What the instruction at byte `offset` can call. At a negative offset a frame has not
    /// begun: signal handlers can run there up to 3.10, and trace functions.
    pub(crate) fn at(&self, offset: i64) -> Operation {
        let Ok(offset) = usize::try_from(offset) else { return Operation::Through };
        let operation = self.operations.get(offset / usize::from(self.unit));
        operation.copied().unwrap_or(Operation::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Call, Iterate, Quiet, Through, Unknown, Yield};
    use super::*;
    use crate::version::{Abi, Version};

    fn table(version: &str) -> Table {
        Table::of(Version::from_text(&format!("{version}.0 ")).unwrap(), Abi::default()).unwrap()
    }

    /// Instructions by name; a number is a code unit of whatever is there.
    fn classified(version: &str, names: &[&str]) -> Vec<Operation> {
        let table = table(version);
        let number = |name: &&str| {
            name.parse().unwrap_or_else(|_| table.number("opcodes", name).expect("an instruction") as u8)
        };
        let units = names.iter().flat_map(|name| [number(name), 0]).collect::<Vec<u8>>();
        let operations = Opcodes::from_table(&table).classify(&units);
        (0..names.len()).map(|index| operations.at(2 * index as i64)).collect()
    }

    #[test]
    fn what_an_instruction_can_call_depends_on_the_version() {
        assert_eq!(
            classified("3.12", &["LOAD_FAST", "BINARY_OP", "0", "CALL"]),
            [Quiet, Through, Through, Call]
        );
        assert_eq!(classified("3.11", &["FOR_ITER", "CALL"]), [Through, Call]);
        assert_eq!(classified("3.13", &["FOR_ITER", "0", "POP_JUMP_IF_TRUE"]), [Iterate, Iterate, Quiet]);
        assert_eq!(classified("3.14", &["LOAD_FAST_BORROW", "BINARY_OP"]), [Quiet, Call]);
        assert_eq!(classified("3.7", &["RETURN_VALUE"]), [Through]);
        assert_eq!(classified("3.8", &["RETURN_VALUE", "CALL_FUNCTION"]), [Quiet, Through]);
    }

    #[test]
    fn caches_and_prefixes_belong_to_their_instruction() {
        let code = ["EXTENDED_ARG", "CALL_PY_EXACT_ARGS", "254", "1", "2", "LOAD_CONST"];
        assert_eq!(classified("3.13", &code), [Call, Call, Call, Call, Call, Quiet]);
        assert_eq!(classified("3.13", &["INSTRUMENTED_CALL", "254", "1", "2", "NOP"])[3..], [Call, Quiet]);
        assert_eq!(classified("3.10", &["LOAD_CONST", "YIELD_FROM"]), [Through, Through]);
    }

    #[test]
    fn behind_what_hides_an_instruction_nothing_is_known() {
        let hidden = ["NOP", "INSTRUMENTED_LINE", "LOAD_CONST"];
        assert_eq!(classified("3.13", &hidden), [Quiet, Unknown, Unknown]);
    }

    #[test]
    fn instructions_of_several_bytes_are_told_by_byte() {
        let table = table("2.7");
        let number = |name| table.number("opcodes", name).unwrap() as u8;
        let (load, pop, long) = (number("LOAD_FAST"), number("POP_TOP"), number("EXTENDED_ARG"));
        let operations = Opcodes::from_table(&table).classify(&[load, pop, pop, pop, long, 0, 0, load, 0, 0]);
        let met: Vec<Operation> = (0..11).map(|offset| operations.at(offset)).collect();
        assert_eq!(met[..5], [Quiet, Quiet, Quiet, Through, Quiet]);
        assert_eq!(met[9..], [Quiet, Unknown]);
        assert_eq!(operations.at(-1), Through);
        assert_eq!(operations.at(i64::MIN), Through);
        assert_eq!(operations.at(i64::MAX), Unknown);
    }

    #[test]
    fn any_bytes_have_as_many_entries_at_most() {
        for version in crate::layout::known_versions().split(", ") {
            let opcodes = Opcodes::from_table(&table(version));
            for seed in 0..=255u8 {
                let bytes: Vec<u8> = (0..99u8).map(|byte| byte.wrapping_mul(seed) ^ seed).collect();
                for len in 0..bytes.len() {
                    // An argument that the end cuts off counts.
                    assert!(opcodes.classify(&bytes[..len]).operations.len() <= len + 2, "{version}");
                }
            }
        }
    }

    #[test]
    fn a_version_without_numbers_knows_nothing() {
        let mut table = table("3.13");
        table.forget("opcodes");
        let operations = Opcodes::from_table(&table).classify(&[9, 0, 100, 0]);
        assert_eq!(operations.at(0), Unknown);
        assert!(operations.at(2).fits(Callee::Generator));
    }

    #[test]
    fn what_fits() {
        use Callee::{Function, Generator, ThroughC};
        for (operation, fitting) in [
            (Quiet, &[][..]),
            (Through, &[ThroughC]),
            (Yield, &[ThroughC]),
            (Call, &[Function, ThroughC]),
            (Iterate, &[Generator, ThroughC]),
            (Unknown, &[Function, Generator, ThroughC]),
        ] {
            for callee in [Function, Generator, ThroughC] {
                assert_eq!(operation.fits(callee), fitting.contains(&callee), "{operation:?} {callee:?}");
            }
        }
    }
}
