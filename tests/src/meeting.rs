//! Meetings with a program in the middle of its work (`tests/programs/meeting.py`): a thread of it connects, says what
//! it stands in, and stands there until it is let go.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde::Deserialize;

use crate::Outcome;
use crate::process::{self, DEADLINE};
use crate::rspy;
use crate::stacks::{self, DumpThread};
use crate::target::{Testimony, Thread};

/// Where programs come to.
pub struct MeetingPoint {
    listener: TcpListener,
}

/// A thread that stands still; dropping this lets it go.
pub struct Meeting {
    /// The process of the thread.
    pub pid: u32,
    testimony: Testimony,
    connection: Option<BufReader<TcpStream>>,
}

#[derive(Deserialize)]
struct Greeting {
    pid: u32,
    #[serde(flatten)]
    testimony: Testimony,
}

impl MeetingPoint {
    /// A new one, on a port that is free.
    pub fn open() -> Outcome<MeetingPoint> {
        Ok(MeetingPoint { listener: TcpListener::bind(("127.0.0.1", 0))? })
    }

    /// The port where programs have to connect.
    pub fn port(&self) -> Outcome<String> {
        Ok(self.listener.local_addr()?.port().to_string())
    }

    /// Waits for the next one who comes, and until it stands still.
    pub fn next(&self) -> Outcome<Meeting> {
        process::wait_readable(&self.listener, Instant::now() + DEADLINE)
            .map_err(|error| format!("the program did not come to meet: {error}"))?;
        let (connection, _) = self.listener.accept()?;
        connection.set_read_timeout(Some(DEADLINE))?;
        let mut connection = BufReader::new(connection);
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let greeting: Greeting = serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))?;
        let meeting =
            Meeting { pid: greeting.pid, testimony: greeting.testimony, connection: Some(connection) };
        let thread = meeting.thread()?.native_id;
        process::wait_until("the thread that came to meet sleeps in recvfrom", || {
            process::state(meeting.pid, thread) == Some('S')
                && process::system_call(meeting.pid, thread).is_some_and(|(number, _)| number == RECVFROM)
        })?;
        Ok(meeting)
    }
}

/// The system call that the Python function `meet` waits in.
const RECVFROM: u32 = 45;

impl Meeting {
    /// Lets the thread go; what it said of itself stays.
    pub fn part(mut self) -> Meeting {
        self.connection = None;
        self
    }

    /// Lets a thread work that does so until this is dropped.
    pub fn let_work(&mut self) -> Outcome {
        let connection = self.connection.as_mut().ok_or("the test has parted")?;
        Ok(connection.get_mut().write_all(b"x")?)
    }

    /// The thread, as it describes itself.
    pub fn thread(&self) -> Outcome<&Thread> {
        Ok(self.testimony.threads.first().ok_or("nobody came to the meeting")?)
    }

    /// Dumps the process and compares the thread with what it said of itself: name, ids, state and every frame.
    /// Gives that thread, and then all others.
    pub fn dump(&self) -> Outcome<Vec<DumpThread>> {
        let mut dump = rspy::dump(self.pid)?;
        let thread = self.thread()?;
        let is_it = |seen: &DumpThread| seen.os_thread_id == Some(thread.native_id);
        let index = dump.iter().position(is_it).ok_or("the thread is not in the dump")?;
        dump.swap(0, index);
        stacks::compare_thread(thread, &dump[0])?;
        Ok(dump)
    }
}
