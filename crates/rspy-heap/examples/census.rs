//! Counts the objects of a process: `cargo run --release -p rspy-heap --example census -- PID`.

use std::time::Instant;

use rspy_cpython::Attached;
use rspy_heap::census::Census;
use rspy_heap::heap::Heap;
use rspy_heap::image::Plan;
use rspy_process::{LiveMemory, Process, ReadError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: u32 = std::env::args().nth(1).ok_or("which process?")?.parse()?;
    let process = Process::open(pid)?;
    let attached = Attached::find(&process)?;
    let maps = process.maps()?;
    let start = Instant::now();
    let plan = Plan::new(pid, &maps, u64::MAX)?;
    println!("{:?} to plan {} bytes, {} swapped", start.elapsed(), plan.bytes, plan.swapped);
    let start = Instant::now();
    let image = plan.copy(|| LiveMemory::new(pid).map_err(|_| ReadError::Gone))?;
    println!("{:?} to copy, {} lost", start.elapsed(), image.lost);
    let start = Instant::now();
    let heap = Heap::new(&image, &attached, &maps, LiveMemory::new(pid)?)?;
    let mut census = Census::of(&heap);
    println!(
        "{:?} to count {} objects in {} blocks and {} outside, {} misfits",
        start.elapsed(),
        census.objects_in_blocks,
        census.blocks,
        census.objects_outside,
        census.misfits
    );
    census.types.sort_by_key(|one| std::cmp::Reverse(one.size.footprint));
    for one in census.types.iter().take(30) {
        println!("{:>10} {:>12} {:>12}  {}", one.count, one.size.reported, one.size.footprint, one.of.name);
    }
    Ok(())
}
