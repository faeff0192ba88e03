use super::*;

/// A state of `app.py` with these functions and stacks, each of indices of functions from the outermost one on.
pub fn state_of(functions: &[&str], stacks: &[&[usize]]) -> State {
    let about = About { command: "python app.py".to_owned(), pid: 42, python: "3.13.0".to_owned() };
    let mut state = State::new(about);
    for (index, name) in functions.iter().enumerate() {
        let first_line = Some(10 * index as u32 + 1);
        let (file, short_file) = ("/srv/app.py".to_owned(), "app.py".to_owned());
        state.functions.insert(Function { name: (*name).to_owned(), file, short_file, first_line });
        state.lines.insert(Line { function: index, line: Some(10 * index as u32 + 2) });
    }
    let process =
        Process { pid: 42, command: state.about.command.clone(), is_alive: true, ..Process::default() };
    state.processes.push(process);
    let name = Some("MainThread".to_owned());
    state.threads.push(Thread { os_id: Some(43), name, is_alive: true, ..Thread::default() });
    for stack in stacks {
        let mut caller = 0;
        for line in *stack {
            state.stacks.push((caller, *line));
            caller = state.stacks.len() - 1;
        }
        state.sums.runs.push(run(caller));
    }
    state
}

fn run(stack: usize) -> Run {
    Run {
        thread: 0,
        stack,
        is_idle: false,
        owns_gil: true,
        waits_for_gil: false,
        collects: false,
        told: 0,
        weight: 0,
        seconds: 0.0,
    }
}

/// A second of a hundred looks has passed; `told` is what each run comes to.
pub fn second(state: &mut State, told: &[u64]) {
    state.sums.add(Duration::from_secs(1), 100, told.iter().copied());
}

fn last(seconds: u64) -> Choice {
    Choice { window: Some(seconds), ..Choice::default() }
}

fn named(state: &State, rows: &[Row]) -> Vec<(String, f64, f64)> {
    rows.iter().map(|row| (state.functions[row.index].name.clone(), row.own, row.total)).collect()
}

#[test]
fn own_and_total_are_shares_of_the_time() {
    let mut state = state_of(&["main", "parse", "leaf"], &[&[0], &[0, 1], &[0, 1, 2]]);
    second(&mut state, &[10, 30, 50]);
    let rows = rows(&state, &last(1), Sort::Own, false);
    let expected = [("leaf", 50.0, 50.0), ("parse", 30.0, 80.0), ("main", 10.0, 90.0)];
    assert_eq!(named(&state, &rows), expected.map(|(name, own, total)| (name.to_owned(), own, total)));
    assert!((rows[0].own_seconds - 0.5).abs() < 1e-9 && (rows[2].total_seconds - 0.9).abs() < 1e-9);
}

#[test]
fn a_recursion_counts_once() {
    let mut state = state_of(&["fib"], &[&[0, 0, 0]]);
    second(&mut state, &[40]);
    let rows = rows(&state, &last(1), Sort::Total, false);
    assert_eq!(named(&state, &rows), [("fib".to_owned(), 40.0, 40.0)]);
}

#[test]
fn the_window_is_the_last_seconds_and_seconds_are_since_the_beginning() {
    let mut state = state_of(&["early", "late"], &[&[0], &[1]]);
    second(&mut state, &[100, 0]);
    second(&mut state, &[100, 100]);
    let now = rows(&state, &last(1), Sort::Own, false);
    assert_eq!(named(&state, &now), [("late".to_owned(), 100.0, 100.0), ("early".to_owned(), 0.0, 0.0)]);
    assert!((now[1].own_seconds - 1.0).abs() < 1e-9);
    let all = rows(&state, &Choice::default(), Sort::Name, false);
    assert_eq!(named(&state, &all), [("early".to_owned(), 50.0, 50.0), ("late".to_owned(), 50.0, 50.0)]);
}

#[test]
fn after_a_reset_only_what_follows_counts() {
    let mut state = state_of(&["early", "late"], &[&[0], &[1]]);
    second(&mut state, &[100, 0]);
    state.sums.reset();
    assert_eq!(rows(&state, &Choice::default(), Sort::Own, false), []);
    second(&mut state, &[100, 70]);
    let rows = rows(&state, &Choice::default(), Sort::Own, false);
    assert_eq!(named(&state, &rows), [("late".to_owned(), 70.0, 70.0)]);
}

#[test]
fn what_is_kept_of_seconds_is_bounded() {
    let mut state = state_of(&["main"], &[&[0]]);
    for told in 1..2_000 {
        second(&mut state, &[told]);
    }
    let window = state.sums.window(Some(10_000));
    assert_eq!((window.passes, window.weights[0]), (60_000, 600));
}

#[test]
fn idle_threads_and_those_without_the_gil_are_left_out_as_chosen() {
    let mut state = state_of(&["runs", "sleeps"], &[&[0], &[1]]);
    state.sums.runs[1].is_idle = true;
    state.sums.runs[1].owns_gil = false;
    second(&mut state, &[10, 90]);
    let count = |choice: Choice| rows(&state, &choice, Sort::Own, false).len();
    assert_eq!(count(last(1)), 1);
    assert_eq!(count(Choice { idle: true, ..last(1) }), 2);
    assert_eq!(count(Choice { idle: true, gil: true, ..last(1) }), 1);
    assert_eq!(count(Choice { threads: vec![7], ..last(1) }), 0);
}

#[test]
fn a_function_has_callers_callees_and_lines() {
    let mut state = state_of(&["main", "other", "f", "leaf"], &[&[0, 2, 3], &[1, 2], &[0, 2, 2, 3]]);
    second(&mut state, &[10, 20, 30]);
    let around = around(&state, &last(1), 2);
    assert_eq!(around.total, 60);
    assert_eq!(around.callers, [(Some(0), 40), (Some(1), 20)]);
    assert_eq!(around.callees, [(Some(3), 40), (None, 20)]);
    assert_eq!(around.lines, [(Some(22), 60, 20)]);
}

#[test]
fn the_flame_graph_adds_up() {
    let mut state = state_of(&["main", "a", "b"], &[&[0, 1], &[0, 2], &[0, 1, 2]]);
    second(&mut state, &[10, 50, 20]);
    let flame = Flame::new(&state, &last(1));
    let main = flame.find(&[0]);
    assert_eq!(flame.nodes[main].total, 80);
    let children: Vec<(usize, u64)> = flame.nodes[main]
        .children
        .iter()
        .map(|child| (flame.nodes[*child].index, flame.nodes[*child].total))
        .collect();
    assert_eq!(children, [(2, 50), (1, 30)]);
    let deepest = flame.find(&[0, 1, 2]);
    assert_eq!(flame.path(deepest), [0, 1, 2]);
    assert_eq!(flame.find(&[9]), ROOT);
}

#[test]
fn processes_are_below_those_that_started_them() {
    let mut state = state_of(&[], &[]);
    let process = |pid, parent| Process { pid, parent, is_alive: true, ..Process::default() };
    state.processes.extend([process(50, Some(0)), process(51, Some(1)), process(52, Some(0))]);
    let rows = |state: &State| -> Vec<(u32, usize)> {
        process_rows(state, &thread_rows(state)).iter().map(|row| (row.pid, row.depth)).collect()
    };
    assert_eq!(rows(&state), [(42, 0), (50, 1), (51, 2), (52, 1)]);
    state.processes[1].is_alive = false;
    assert_eq!(rows(&state), [(42, 0), (51, 1), (52, 1)]);
}
