//! The tracing process is killed at any moment: the target does not notice.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rspy_process::stop::Tracer;

use targets::{PATIENCE, Target, state, tracer_of, until};

mod targets;

const PID: &str = "RSPY_TEST_STOP_PID";
const TIMES: u32 = 1000;

#[test]
fn a_thousand_kills_leave_the_target_unharmed() {
    let mut target = Target::start("work", -1);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..TIMES {
        // This test binary once more, so that what is killed is what is tested.
        let mut victim = Command::new(env::current_exe().expect("we have a path"))
            .args(["--exact", "victim", "--ignored", "--nocapture"])
            .env(PID, target.pid().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the victim starts");
        let output = victim.stdout.take().expect("its output is a pipe");
        let stopping =
            BufReader::new(output).lines().map_while(Result::ok).any(|line| line.ends_with("stopping"));
        assert!(stopping, "the victim does not get to work");

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (start, moment) = (Instant::now(), Duration::from_nanos(random % 1_000_000));
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        victim.kill().expect("it is our child");
        victim.wait().expect("it is our child");
    }
    for tid in target.tids() {
        assert_eq!(tracer_of(tid), Some(0));
        until("it is not stopped", || matches!(state(tid), Some('R' | 'S')));
    }
    target.tell('q');
    let tally = target.hear();
    let numbers: Vec<i64> = tally.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [lost, received, sent, sum, received_usr1, sent_usr1, errors, busy] = numbers[..] else {
        panic!("said {tally:?}");
    };
    assert_eq!((lost, sum, errors, busy), (0, 0, 0, 1), "{tally}");
    assert_eq!((received, received_usr1), (sent, sent_usr1), "{tally}");
    assert!(sent_usr1 > i64::from(TIMES), "too few signals to tell: {tally}");
}

/// Stops the threads of a target until killed. A test by its form only.
#[test]
#[ignore = "started by the test above"]
fn victim() {
    let Some(pid) = env::var(PID).ok().and_then(|text| text.parse().ok()) else { return };
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the target lives");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let tids: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    let mut tracer = Tracer::new(PATIENCE);
    drop(tracer.stop(pid, &tids));
    println!("stopping");
    loop {
        for tid in &tids {
            drop(tracer.stop(pid, &[*tid]));
        }
        drop(tracer.stop(pid, &tids));
    }
}
