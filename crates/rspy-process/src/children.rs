//! Children of a process, and theirs.

use std::collections::HashMap;
use std::fs;

/// More than any launcher starts before the program itself.
const MOST: usize = 4096;

/// A process below another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Descendant {
    /// Its process id.
    pub pid: u32,
    /// The process that it is a child of.
    pub parent: u32,
}

/// The processes that `root` has started, and those that they have started, the
/// nearest first, as of now: processes may have gone meanwhile, and one whose
/// parent has ended belongs to nobody any more. Empty without permission, and on
/// kernels without `CONFIG_PROC_CHILDREN`.
pub fn descendants(root: u32) -> Vec<Descendant> {
    let mut found: Vec<Descendant> = Vec::new();
    let mut next = 0;
    let mut parent = root;
    loop {
        for pid in children(parent) {
            // A pid that was given away while this went on could close a circle.
            if found.len() < MOST && pid != root && !found.iter().any(|known| known.pid == pid) {
                found.push(Descendant { pid, parent });
            }
        }
        let Some(descendant) = found.get(next) else { return found };
        parent = descendant.pid;
        next += 1;
    }
}

/// The way from the child of `root` down to `pid`, both included; empty if `pid`
/// is not below `root`.
pub fn path_to(root: u32, pid: u32) -> Vec<u32> {
    let parents: HashMap<u32, u32> =
        descendants(root).into_iter().map(|descendant| (descendant.pid, descendant.parent)).collect();
    let mut path = Vec::new();
    let mut at = pid;
    while at != root {
        let Some(parent) = parents.get(&at) else { return Vec::new() };
        path.push(at);
        at = *parent;
    }
    path.reverse();
    path
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let threads = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    threads.flat_map(|thread| children_of_thread(pid, thread)).collect()
}

/// The processes that one thread has started.
pub(crate) fn children_of_thread(pid: u32, thread: u32) -> Vec<u32> {
    let text = fs::read(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
    parse_pids(&text).collect()
}

/// The ids in a `children` file.
pub(crate) fn parse_pids(text: &[u8]) -> impl Iterator<Item = u32> {
    let words = text.split(|byte| byte.is_ascii_whitespace());
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn grandchildren_are_found_below_their_parent() {
        // The inner shell says when it runs, and waits for its input to end.
        let script = "sh -c 'echo $$; read line; true'; true";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let inner: u32 = line.trim().parse().unwrap();

        let below_shell = descendants(shell.id());
        let below_test = path_to(std::process::id(), inner);
        drop(shell.stdin.take());
        shell.wait().unwrap();

        assert_eq!(below_shell, [Descendant { pid: inner, parent: shell.id() }]);
        assert_eq!(below_test, [shell.id(), inner]);
        assert_eq!(path_to(inner, 1), []);
        assert_eq!(descendants(u32::MAX), []);
    }
}
