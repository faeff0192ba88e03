//! Prints the stacks of a process, read without stopping it.

use rspy_cpython::Attached;
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::FrameChain;
use rspy_cpython::stack::{Frame, resolve};
use rspy_process::Process;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid = std::env::args().nth(1).ok_or("which pid?")?.parse()?;
    let process = Process::open(pid)?;
    let attached = Attached::find(&process)?;
    let memory = process.memory();
    println!(
        "{}{} {} {:?}",
        attached.version(),
        attached.abi(),
        attached.binary.display(),
        attached.gil_state(memory)?
    );
    let threads = attached.threads(memory)?;
    let ids = attached.kernel_ids(&process, memory, &threads);
    let mut cache = CodeCache::default();
    let mut chain = FrameChain::default();
    for (thread, tid) in threads.iter().zip(ids) {
        let end = chain.read(memory, &attached.layout, thread);
        println!("thread {tid:?} {:x} {end:?}", thread.thread_id);
        for frame in resolve(memory, &attached.layout, &mut cache, &chain.frames) {
            match &frame {
                Frame::Python { code, .. } => {
                    println!("  {} ({}:{:?})", code.name, code.filename, frame.location().line)
                }
                Frame::Unknown(error) => println!("  unknown: {error}"),
            }
        }
    }
    Ok(())
}
