//! Where rspy runs, and how it gets there what it lacks.

use std::path::Path;

use super::Failure;
use super::proc_status::Status;

/// Where rspy runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no container that is known.
    Host,
    /// In a container of Docker.
    Docker,
    /// In a container of Podman.
    Podman,
    /// In a pod.
    Kubernetes,
}

impl Place {
    /// Found by the marks that the engines leave: environment variables, files below
    /// `root`, and names of control groups.
    pub fn read(root: &Path, environment: impl Fn(&str) -> Option<String>) -> Place {
        let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let has = |file: &str| root.join(file).exists();
        if environment("KUBERNETES_SERVICE_HOST").is_some()
            || has("var/run/secrets/kubernetes.io")
            || groups.contains("/kubepods")
        {
            Place::Kubernetes
        } else if has("run/.containerenv")
            || environment("container").as_deref() == Some("podman")
            || groups.contains("/libpod-")
        {
            Place::Podman
        } else if has(".dockerenv") || groups.contains("/docker/") || groups.contains("/docker-") {
            Place::Docker
        } else {
            Place::Host
        }
    }

    /// The failure `cause`, with how rspy gets `CAP_SYS_PTRACE` for `command`, its
    /// own command line.
    pub fn needs_capability(self, cause: String, preface: &str, own: &Status, command: &str) -> Failure {
        let advise = |advice: &str| Failure::new(cause, format!("{preface}{advice}"));
        match self {
            Place::Host if own.user() != Some(0) && own.root_can_trace() => {
                advise("Run rspy as root:").with_command(format!("sudo {command}"))
            }
            Place::Host => advise(
                "Run rspy as root outside of the service, container or sandbox that takes the capability \
                 CAP_SYS_PTRACE away.",
            ),
            Place::Docker => advise(
                "Start the container with docker run --cap-add SYS_PTRACE; in one that runs, start rspy \
                 with all rights:",
            )
            .with_command(format!("docker exec --user root --privileged CONTAINER {command}")),
            Place::Podman => advise(
                "Start the container with podman run --cap-add SYS_PTRACE; in one that runs, start rspy \
                 with all rights:",
            )
            .with_command(format!("podman exec --user root --privileged CONTAINER {command}")),
            Place::Kubernetes => advise(
                "Give the container securityContext: {capabilities: {add: [SYS_PTRACE]}}; beside one that \
                 runs, start a container that has rspy:",
            )
            .with_command(format!(
                "kubectl debug POD -it --image=IMAGE --target=CONTAINER --profile=general -- {command}"
            )),
        }
    }

    /// The failure `cause`, with how rspy gets rid of a seccomp filter.
    pub fn needs_no_filter(self, cause: String) -> Failure {
        let start = "Start the container without that filter:";
        match self {
            Place::Host => Failure::new(
                cause,
                "Run rspy outside of the service or sandbox that sets the filter (in systemd: \
                 SystemCallFilter=).",
            ),
            Place::Docker => {
                Failure::new(cause, start).with_command("docker run --security-opt seccomp=unconfined IMAGE")
            }
            Place::Podman => {
                Failure::new(cause, start).with_command("podman run --security-opt seccomp=unconfined IMAGE")
            }
            Place::Kubernetes => Failure::new(cause, "Give the container no filter:")
                .with_command("securityContext: {seccompProfile: {type: Unconfined}}"),
        }
    }
}

/// rspy's own command line, as it can be given to a shell by another user, whose
/// PATH may be another.
pub fn own_command() -> String {
    let own = std::env::current_exe().unwrap_or_else(|_| "rspy".into());
    let arguments = std::env::args_os().skip(1);
    let words: Vec<String> = std::iter::once(own.into_os_string())
        .chain(arguments)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // Only a NUL cannot be quoted, which no argument holds.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}
