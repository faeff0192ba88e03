//! What the user has chosen to see.

use ratatui::layout::Rect;
use regex::{Regex, RegexBuilder};

use super::state::{Choice, Sort};
use crate::look::Look;
use crate::source::Sources;

/// What can be seen.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Functions by time.
    #[default]
    Functions,
    /// Lines by time.
    Lines,
    /// The stacks as a picture.
    Flame,
    /// What each thread does.
    Threads,
    /// The tree of processes.
    Processes,
    /// The stack of one thread, now.
    Stack,
    /// What keys do.
    Help,
}

impl View {
    /// All, in the order of their tabs, with the key and the name of each.
    pub const ALL: [(View, char, &str); 7] = [
        (View::Functions, '5', "functions"),
        (View::Lines, '6', "lines"),
        (View::Flame, '7', "flame"),
        (View::Threads, '8', "threads"),
        (View::Processes, '9', "processes"),
        (View::Stack, '0', "stack"),
        (View::Help, '?', "help"),
    ];
}

/// A list with a row that is chosen.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The row that is chosen.
    pub at: usize,
    /// The first one that is seen.
    pub first: usize,
}

impl Cursor {
    /// Of `count` rows, of which `height` are seen: the chosen one among them.
    pub fn settle(&mut self, count: usize, height: usize) {
        self.at = self.at.min(count.saturating_sub(1));
        self.first = self.first.min(self.at).min(count.saturating_sub(height));
        self.first = self.first.max((self.at + 1).saturating_sub(height));
    }
}

/// Where the mouse finds what was drawn last.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The tabs.
    pub tabs: Vec<(Rect, View)>,
    /// The columns that can be sorted by.
    pub columns: Vec<(Rect, usize)>,
    /// The rows of the list.
    pub list: Rect,
    /// The frames of the flame graph, each by the way to it.
    pub frames: Vec<(Rect, Vec<usize>)>,
}

/// The filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As it was typed.
    pub text: String,
    /// It is being typed.
    pub is_open: bool,
    pattern: Option<Regex>,
    /// What is wrong with it.
    pub error: bool,
}

impl Filter {
    /// Changes it. One that is no regular expression yet filters as the last one that was.
    pub fn set(&mut self, text: String) {
        self.text = text;
        let built = RegexBuilder::new(&self.text).case_insensitive(true).size_limit(1 << 20).build();
        self.error = built.is_err();
        if let Ok(pattern) = built {
            self.pattern = Some(pattern).filter(|_| !self.text.is_empty());
        }
    }

    /// Whether `text` is to be shown.
    pub fn matches(&self, text: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }
}

/// What is seen, and how.
#[derive(Debug)]
pub struct Ui {
    /// What the terminal can show.
    pub look: Look,
    /// What is seen.
    pub view: View,
    /// What was seen before the help, or before one thread's stack.
    pub before: View,
    /// The function that is looked at closely, by its index.
    pub detail: Option<usize>,
    /// Which samples.
    pub choice: Choice,
    /// The window, while since the beginning is shown.
    pub other_window: u64,
    /// Whole paths.
    pub full_filenames: bool,
    /// What functions and lines are sorted by.
    pub sort: Sort,
    /// In the other order.
    pub is_reversed: bool,
    /// What threads and processes are sorted by, by the number of the column; none is the order of the view.
    pub columns: [Option<usize>; 2],
    /// The filter.
    pub filter: Filter,
    /// The row that is chosen, by view.
    pub cursors: [Cursor; View::ALL.len()],
    /// The function that each row shows, or thread, as they were drawn last.
    pub shown: Vec<usize>,
    /// The thread whose stack is seen.
    pub thread: Option<usize>,
    /// Where the flame graph begins, and what is chosen in it: functions from the outermost one on.
    pub zoom: Vec<usize>,
    /// The same of the frame that is chosen.
    pub frame: Vec<usize>,
    /// What is seen is held, while sampling goes on.
    pub is_held: bool,
    /// Source files of the target.
    pub sources: Option<Sources>,
    /// What is said at the bottom.
    pub message: Option<String>,
    /// Where the mouse finds what.
    pub targets: Targets,
}

impl Ui {
    /// At the beginning.
    pub fn new(look: Look, choice: Choice, sort: Sort, full_filenames: bool) -> Ui {
        Ui {
            look,
            view: if choice.by_line { View::Lines } else { View::Functions },
            before: View::Functions,
            detail: None,
            other_window: choice.window.unwrap_or(5),
            choice,
            full_filenames,
            sort,
            is_reversed: false,
            columns: [None; 2],
            filter: Filter::default(),
            cursors: Default::default(),
            shown: Vec::new(),
            thread: None,
            zoom: Vec::new(),
            frame: Vec::new(),
            is_held: false,
            sources: None,
            message: None,
            targets: Targets::default(),
        }
    }

    /// The row that is chosen in what is seen.
    pub fn cursor(&mut self) -> &mut Cursor {
        let index = View::ALL.iter().position(|(view, ..)| *view == self.view).unwrap_or(0);
        &mut self.cursors[index]
    }

    /// Shows a view.
    pub fn show(&mut self, view: View) {
        if self.view != view {
            self.before = self.view;
        }
        self.view = view;
        self.detail = None;
        match view {
            View::Functions => self.set_by_line(false),
            View::Lines => self.set_by_line(true),
            _ => {}
        }
    }

    /// Tells lines apart or not. Places in the flame graph mean something else then.
    pub fn set_by_line(&mut self, by_line: bool) {
        if self.choice.by_line != by_line {
            self.choice.by_line = by_line;
            self.zoom.clear();
            self.frame.clear();
        }
    }
}
