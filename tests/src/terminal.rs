//! A terminal to run the binary in: tmux, which keeps the screen that a user would see.

use std::process::Command;

use tempfile::TempDir;

use crate::{Outcome, process};

/// A terminal with a shell; dropping it ends both.
pub struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// A terminal of this size, with a shell that knows `environment` only.
    pub fn start((width, height): (u16, u16), environment: &[(&str, &str)]) -> Outcome<Terminal> {
        let terminal = Terminal { folder: tempfile::tempdir()? };
        let (width, height) = (width.to_string(), height.to_string());
        let folder = terminal.folder.path().display().to_string();
        let mut shell =
            vec!["env".to_owned(), "-i".to_owned(), "TERM=screen".to_owned(), "PS1=$ ".to_owned()];
        shell.extend(environment.iter().map(|(name, value)| format!("{name}={value}")));
        shell.extend(["bash", "--norc", "--noprofile"].map(str::to_owned));
        let mut words = vec!["new-session", "-d", "-x", &width, "-y", &height, "-c", &folder];
        words.extend(shell.iter().map(String::as_str));
        terminal.tmux(&words)?;
        terminal.wait_for("$")?;
        Ok(terminal)
    }

    /// Types keys, each by tmux's name of it.
    pub fn press(&self, keys: &[&str]) -> Outcome {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Types a command line.
    pub fn run(&self, line: &str) -> Outcome {
        self.press(&[line, "Enter"])
    }

    /// Makes it larger or smaller.
    pub fn resize(&self, (width, height): (u16, u16)) -> Outcome {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]).map(drop)
    }

    /// What is seen.
    pub fn screen(&self) -> Outcome<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with the escape sequences of what is coloured.
    pub fn coloured(&self) -> Outcome<String> {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until `text` is seen; answers with the whole screen.
    pub fn wait_for(&self, text: &str) -> Outcome<String> {
        let mut seen = String::new();
        process::wait_until(&format!("{text:?} on the screen"), || {
            seen = self.screen().unwrap_or_default();
            seen.contains(text)
        })
        .map_err(|error| format!("{error}; it shows\n{seen}"))?;
        Ok(seen)
    }

    fn tmux(&self, words: &[&str]) -> Outcome<String> {
        let socket = self.folder.path().join("tmux");
        let output =
            Command::new("tmux").arg("-f/dev/null").arg("-u").arg("-S").arg(socket).args(words).output()?;
        if !output.status.success() {
            return Err(format!("tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
