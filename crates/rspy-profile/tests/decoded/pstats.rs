//! `pstats` files read back, by what CPython's `Python/marshal.c` does with each type.

use std::collections::BTreeMap;
use std::fmt::Write;

/// File, first line, name.
pub type Function = (String, u64, String);

/// What is said of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub primitive_calls: u64,
    pub calls: u64,
    pub own: f64,
    pub total: f64,
    /// Of each caller: calls, primitive calls, own and total time.
    pub callers: BTreeMap<Function, (u64, u64, f64, f64)>,
}

/// The rows of a file. No two are of the same function.
pub fn rows(bytes: &[u8]) -> BTreeMap<Function, Row> {
    let mut rest = bytes;
    let stats = value(&mut rest).dict();
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    let mut rows = BTreeMap::new();
    for (key, value) in stats {
        let [primitive_calls, calls, own, total, callers] =
            <[Value; 5]>::try_from(value.tuple()).expect("five");
        let caller = |(key, value): (Value, Value)| {
            let [calls, primitive_calls, own, total] = <[Value; 4]>::try_from(value.tuple()).expect("four");
            (function(key), (calls.integer(), primitive_calls.integer(), own.float(), total.float()))
        };
        let callers = callers.dict();
        let row = Row {
            primitive_calls: primitive_calls.integer(),
            calls: calls.integer(),
            own: own.float(),
            total: total.float(),
            callers: callers.iter().cloned().map(caller).collect(),
        };
        assert_eq!(row.callers.len(), callers.len(), "a caller twice");
        let function = function(key);
        assert!(rows.insert(function.clone(), row).is_none(), "{function:?} twice");
    }
    rows
}

/// The rows as text, in the order of the file.
pub fn legible(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (function, Row { primitive_calls, calls, own, total, callers }) in rows(bytes) {
        writeln!(text, "{function:?}: {primitive_calls} {calls} {own} {total}").expect("a String");
        for (caller, numbers) in callers {
            writeln!(text, "    from {caller:?}: {numbers:?}").expect("a String");
        }
    }
    text
}

fn function(value: Value) -> Function {
    let [file, line, name] = <[Value; 3]>::try_from(value.tuple()).expect("three");
    (file.text(), line.integer(), name.text())
}

#[derive(Clone, Debug)]
enum Value {
    Integer(u64),
    Float(f64),
    Text(String),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Null,
}

impl Value {
    fn integer(self) -> u64 {
        let Value::Integer(number) = self else { panic!("{self:?} is no integer") };
        number
    }

    fn float(self) -> f64 {
        let Value::Float(number) = self else { panic!("{self:?} is no float") };
        number
    }

    fn text(self) -> String {
        let Value::Text(text) = self else { panic!("{self:?} is no text") };
        text
    }

    fn tuple(self) -> Vec<Value> {
        let Value::Tuple(items) = self else { panic!("{self:?} is no tuple") };
        items
    }

    fn dict(self) -> Vec<(Value, Value)> {
        let Value::Dict(items) = self else { panic!("{self:?} is no dict") };
        items
    }
}

fn take<'bytes>(rest: &mut &'bytes [u8], length: usize) -> &'bytes [u8] {
    let (taken, others) = rest.split_at(length);
    *rest = others;
    taken
}

fn number(rest: &mut &[u8]) -> i32 {
    i32::from_le_bytes(take(rest, 4).try_into().expect("four bytes"))
}

fn value(rest: &mut &[u8]) -> Value {
    match take(rest, 1)[0] {
        b'i' => Value::Integer(number(rest).try_into().expect("no negative numbers")),
        b'l' => {
            let digits = number(rest);
            assert!((3..=5).contains(&digits), "{digits} digits for what fits elsewhere");
            let digit = |at| {
                let digit = u16::from_le_bytes(take(rest, 2).try_into().expect("two bytes"));
                assert!(digit < 1 << 15);
                u64::from(digit) << (15 * at)
            };
            Value::Integer((0..digits).map(digit).sum())
        }
        b'g' => Value::Float(f64::from_le_bytes(take(rest, 8).try_into().expect("eight bytes"))),
        b't' => {
            let length = number(rest).try_into().expect("no negative lengths");
            Value::Text(String::from_utf8(take(rest, length).to_vec()).expect("UTF-8"))
        }
        b'(' => Value::Tuple((0..number(rest)).map(|_| value(rest)).collect()),
        b'{' => {
            let mut items = Vec::new();
            loop {
                match value(rest) {
                    Value::Null => return Value::Dict(items),
                    key => items.push((key, value(rest))),
                }
            }
        }
        b'0' => Value::Null,
        other => panic!("type {:?}", char::from(other)),
    }
}
