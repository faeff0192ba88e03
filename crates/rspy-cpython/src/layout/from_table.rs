//! From a table to a typed [`Layout`]: every member that a walk needs is there, at
//! an offset that can be, and every rule is one that is known.

use rspy_process::{Address, Memory, ReadError};

use super::field::Field;
use super::{
    Activity, Bytecode, Code, CurrentFrame, Executing, FrameObject, Frames, GeneratorState, Gil,
    InstanceValues, Interpreter, InterpreterFrame, Layout, LayoutError, LineEncoding, Object, Roots, Runtime,
    Slots, StackChunk, Table, Text, Thread, Unicode,
};
use crate::operations::Opcodes;
use crate::version::{Abi, Version};

/// No member of interest lies beyond this, in any structure but the interpreter's and the
/// runtime's. As much is read of each of a stack's code objects: it must not be large.
const LONGEST: usize = 2048;

impl Layout {
    /// Checks a table and types it.
    pub fn from_table(table: Table, version: Version, abi: Abi) -> Result<Layout, LayoutError> {
        let t = &table;
        let roots = match t.rule("roots") {
            Some("statics") => Roots::Statics,
            Some("runtime") => Roots::Runtime,
            _ => return Err(LayoutError::Rule("roots")),
        };
        let runtime = match roots {
            Roots::Statics => None,
            Roots::Runtime => {
                Some(Runtime { interpreters_head: t.required("runtime", "interpreters.head")? })
            }
        };
        let object = Object {
            ob_type: t.required("object", "ob_type")?,
            ob_size: t.required("var_object", "ob_size")?,
            tp_name: t.required("type", "tp_name")?,
            bytes_data: t.size("bytes", "ob_sval")? as u32,
            bytes_hash: Field::new((t.size("bytes", "ob_sval")? as u32).saturating_sub(8)),
        };
        Ok(Layout {
            version,
            abi,
            roots,
            runtime,
            interpreter: Interpreter {
                next: t.required("interpreter", "next")?,
                id: t.optional("interpreter", "id"),
                threads_head: t.required("interpreter", "threads.head")?,
                modules: t.required("interpreter", "imports.modules")?,
            },
            thread: thread(t)?,
            gil: gil(t)?,
            activity: Activity::from_table(t, abi.free_threaded),
            frames: frames(t)?,
            code: code(t, &object)?,
            text: text(t)?,
            opcodes: Opcodes::from_table(t),
            lines: match t.rule("lines") {
                Some("lnotab-unsigned") => LineEncoding::LnotabUnsigned,
                Some("lnotab-signed") => LineEncoding::LnotabSigned,
                Some("linetable") => LineEncoding::Linetable,
                Some("locations") => LineEncoding::Locations,
                _ => return Err(LayoutError::Rule("lines")),
            },
            instance_values: match t.rule("instance_values") {
                None => InstanceValues::None,
                Some("pointer") => InstanceValues::Pointer,
                Some("tagged") => InstanceValues::Tagged,
                Some("inline") => InstanceValues::Inline,
                Some(_) => return Err(LayoutError::Rule("instance_values")),
            },
            object,
            table,
        })
    }
}

/// Lays the target's own description over `table`. It does not describe itself:
/// the positions of its members are in the table of the version.
pub(super) fn overlay(table: &mut Table, memory: &impl Memory, runtime: Address) -> Result<(), LayoutError> {
    let unreadable = |_: ReadError| LayoutError::DebugOffsets("they cannot be read");
    let positions: Vec<(String, u64)> =
        table.section("debug_offsets").map(|(name, at)| (name.to_owned(), at)).collect();
    if positions.is_empty() {
        return Err(LayoutError::DebugOffsets("the version's table does not say how they are laid out"));
    }
    for (name, position) in positions {
        let Some((section, field)) = name.split_once('.') else { continue };
        let value = memory.u64(runtime.offset(position)).map_err(unreadable)?;
        if value > 1 << 24 {
            return Err(LayoutError::DebugOffsets("one of them is absurd"));
        }
        table.set(section, field, value);
    }
    Ok(())
}

fn thread(t: &Table) -> Result<Thread, LayoutError> {
    let current_frame = match t.rule("current_frame") {
        Some("frame-object") => CurrentFrame::Thread(t.required("thread", "frame")?),
        Some("thread") => CurrentFrame::Thread(t.required("thread", "current_frame")?),
        Some("cframe") => CurrentFrame::Cframe {
            cframe: t.required("thread", "cframe")?,
            current_frame: t.required("cframe", "current_frame")?,
            previous: t.required("cframe", "previous")?,
        },
        _ => return Err(LayoutError::Rule("current_frame")),
    };
    let mut thread = Thread {
        next: t.required("thread", "next")?,
        interp: t.required("thread", "interp")?,
        thread_id: t.required("thread", "thread_id")?,
        native_thread_id: t.optional("thread", "native_thread_id"),
        id: t.optional("thread", "id"),
        state: t.optional("thread", "state"),
        current_frame,
        size: t.size("thread", "size")? as u64,
        datastack_chunk: t.optional("thread", "datastack_chunk"),
        datastack_top: t.optional("thread", "datastack_top"),
        base_frame: t.optional("thread", "base_frame"),
        tracing: t.optional("thread", "tracing"),
        len: 0,
    };
    let (CurrentFrame::Thread(frame) | CurrentFrame::Cframe { cframe: frame, .. }) = current_frame;
    let mut ends = vec![thread.next.end(), thread.interp.end(), thread.thread_id.end(), frame.end()];
    ends.extend(thread.native_thread_id.map(|field| field.end()));
    ends.extend(thread.id.map(|field| field.end()));
    ends.extend(thread.state.map(|field| field.end()));
    ends.extend(thread.datastack_chunk.map(|field| field.end()));
    ends.extend(thread.datastack_top.map(|field| field.end()));
    ends.extend(thread.base_frame.map(|field| field.end()));
    ends.extend(thread.tracing.map(|field| field.end()));
    thread.len = longest(&ends, "thread")?;
    Ok(thread)
}

fn gil(t: &Table) -> Result<Gil, LayoutError> {
    match t.rule("gil") {
        Some("statics") => Ok(Gil::Statics),
        Some("runtime") => {
            Ok(Gil::Runtime { tstate_current: t.required("runtime", "gilstate.tstate_current")? })
        }
        // From 3.14 a thread state says so itself, but whether the GIL is enabled
        // and who waits for whom is the GIL's to say: one way for all.
        Some("interpreter" | "thread") => Ok(Gil::Interpreter {
            gil: t.required("interpreter", "ceval.gil")?,
            locked: t.required("gil", "locked")?,
            last_holder: t.required("gil", "last_holder")?,
            enabled: t.optional("gil", "enabled"),
        }),
        _ => Err(LayoutError::Rule("gil")),
    }
}

fn frames(t: &Table) -> Result<Frames, LayoutError> {
    match t.rule("frames") {
        Some("object") => {
            let mut frame = FrameObject {
                f_back: t.required("frame_object", "f_back")?,
                f_code: t.required("frame_object", "f_code")?,
                f_lasti: t.required("frame_object", "f_lasti")?,
                lasti_unit: match t.rule("position") {
                    Some("lasti-bytes") => 1,
                    Some("lasti-units") => 2,
                    _ => return Err(LayoutError::Rule("position")),
                },
                ob_refcnt: t.required("object", "ob_refcnt")?,
                executing: match (
                    t.optional("frame_object", "f_executing"),
                    t.optional("frame_object", "f_state"),
                ) {
                    (Some(flag), _) => Executing::Flag(flag),
                    (None, Some(state)) => Executing::State(state),
                    (None, None) => Executing::Unknown,
                },
                f_locals: t.required("frame_object", "f_locals")?,
                f_globals: t.required("frame_object", "f_globals")?,
                localsplus: t.required("frame_object", "f_localsplus")?,
                len: 0,
            };
            let executing = match frame.executing {
                Executing::Unknown => 0,
                Executing::Flag(field) => field.end(),
                Executing::State(field) => field.end(),
            };
            let ends = [
                frame.f_back.end(),
                frame.f_code.end(),
                frame.f_lasti.end(),
                frame.ob_refcnt.end(),
                executing,
            ];
            frame.len = longest(&ends, "frame_object")?;
            Ok(Frames::Object(frame))
        }
        Some("interpreter") => {
            let owner = |name| t.rule_number(name).and_then(|owner| u8::try_from(owner).ok());
            let chunk = StackChunk {
                previous: t.required("stack_chunk", "previous")?,
                size: t.required("stack_chunk", "size")?,
                top: t.required("stack_chunk", "top")?,
                data: t.size("stack_chunk", "data")? as u32,
                len: t.size("stack_chunk", "data")?,
            };
            let mut frame = InterpreterFrame {
                previous: t.required("frame", "previous")?,
                executable: t.required("frame", "executable")?,
                executable_mask: t.rule_number("executable_mask").unwrap_or(0),
                instr: t.required("frame", "instr")?,
                owner: t.required("frame", "owner")?,
                owner_generator: owner("owner_generator").ok_or(LayoutError::Rule("owner_generator"))?,
                owner_shim: [owner("owner_cstack"), owner("owner_interpreter")].into_iter().flatten().min(),
                is_entry: t.optional("frame", "is_entry"),
                stacktop: t.optional("frame", "stacktop"),
                // 3.12 sets it for some calls only.
                return_offset: match t.rule("position") {
                    Some("instr-ptr") => t.optional("frame", "return_offset"),
                    _ => None,
                },
                generator: generator_state(t),
                tlbc_index: t.optional("frame", "tlbc_index"),
                f_locals: t.required("frame", "f_locals")?,
                f_globals: t.required("frame", "f_globals")?,
                localsplus: t.required("frame", "localsplus")?,
                chunk,
                len: 0,
            };
            let mut ends =
                vec![frame.previous.end(), frame.executable.end(), frame.instr.end(), frame.owner.end()];
            ends.extend(frame.is_entry.map(|field| field.end()));
            ends.extend(frame.stacktop.map(|field| field.end()));
            ends.extend(frame.return_offset.map(|field| field.end()));
            ends.extend(frame.tlbc_index.map(|field| field.end()));
            frame.len = longest(&ends, "frame")?;
            Ok(Frames::Interpreter(frame))
        }
        _ => Err(LayoutError::Rule("frames")),
    }
}

fn generator_state(t: &Table) -> Option<GeneratorState> {
    let frame = t.number("generator", "gi_iframe")?;
    let before = frame.checked_sub(t.number("generator", "gi_frame_state")?)?;
    let executing = t.rule_number("frame_state_executing")? as i8;
    // What lies farther away is not read with the frame.
    (before <= GeneratorState::REACH as u64)
        .then_some(GeneratorState { before: before as u32, executing: executing as u8 })
}

fn code(t: &Table, object: &Object) -> Result<Code, LayoutError> {
    let mut code = Code {
        name: t.required("code", "co_name")?,
        qualname: t.optional("code", "co_qualname"),
        filename: t.required("code", "co_filename")?,
        first_line: t.required("code", "co_firstlineno")?,
        line_table: t.required("code", "co_linetable")?,
        bytecode: match t.number("code", "co_code_adaptive") {
            Some(start) => Bytecode::Inline { start: start as u32, units: object.ob_size },
            None => Bytecode::Bytes(t.required("code", "co_code")?),
        },
        first_traceable: t.optional("code", "_co_firsttraceable"),
        tlbc: t.optional("code", "co_tlbc"),
        version: t.optional("code", "co_version"),
        flags: t.required("code", "co_flags")?,
        argcount: t.required("code", "co_argcount")?,
        slots: match t.optional("code", "co_localsplusnames") {
            Some(names) => Slots::Together { names, kinds: t.required("code", "co_localspluskinds")? },
            None => Slots::Apart {
                varnames: t.required("code", "co_varnames")?,
                cellvars: t.required("code", "co_cellvars")?,
                freevars: t.required("code", "co_freevars")?,
            },
        },
        len: 0,
    };
    let mut ends = vec![
        object.ob_size.end(),
        code.name.end(),
        code.filename.end(),
        code.first_line.end(),
        code.flags.end(),
        code.line_table.end(),
    ];
    ends.extend(code.qualname.map(|field| field.end()));
    ends.extend(code.first_traceable.map(|field| field.end()));
    ends.extend(code.tlbc.map(|field| field.end()));
    ends.extend(code.version.map(|field| field.end()));
    if let Bytecode::Bytes(field) = code.bytecode {
        ends.push(field.end());
    }
    code.len = longest(&ends, "code")?;
    Ok(code)
}

fn text(t: &Table) -> Result<Text, LayoutError> {
    match t.rule("text") {
        Some("bytes") => Ok(Text::Bytes),
        Some("unicode") => {
            let shift = |name| match t.number("unicode", name) {
                Some(shift) if shift < 30 => Ok(shift as u32),
                _ => Err(LayoutError::Missing { section: "unicode", name }),
            };
            Ok(Text::Unicode(Unicode {
                length: t.required("unicode", "length")?,
                hash: t.required("unicode", "hash")?,
                state: t.required("unicode", "state")?,
                kind_shift: shift("state.kind.shift")?,
                compact_shift: shift("state.compact.shift")?,
                ascii_shift: shift("state.ascii.shift")?,
                ascii_size: t.size("unicode", "ascii_size")? as u32,
                compact_size: t.size("unicode", "compact_size")? as u32,
                data: t.optional("unicode", "data"),
            }))
        }
        _ => Err(LayoutError::Rule("text")),
    }
}

/// How much of a structure has to be read for all its members.
fn longest(ends: &[usize], section: &'static str) -> Result<usize, LayoutError> {
    match ends.iter().max() {
        Some(len) if *len <= LONGEST => Ok(*len),
        _ => Err(LayoutError::Missing { section, name: "a believable offset" }),
    }
}
