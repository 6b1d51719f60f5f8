//! The Redis server that tests start for themselves.

use crate::shell::{Result, answers, run};
use std::process::Command;

const SERVER: &str = "redis-server";

/// Makes sure that `redis-server` can be started, by installing it if need be.
pub(crate) fn ensure() -> Result {
    if is_there() {
        return Ok(());
    }
    let Some(manager) = MANAGERS
        .iter()
        .find(|manager| answers(manager.program, "--version"))
    else {
        let known: Vec<_> = MANAGERS.iter().map(|manager| manager.program).collect();
        return Err(format!(
            "`{SERVER}` is not on the PATH, and none of the package managers known here is \
             ({}).\nInstall Redis 6 or later (https://redis.io/docs/latest/operate/oss_and_stack/install/) \
             and run this again.",
            known.join(", ")
        ));
    };
    eprintln!(
        "`{SERVER}` is not on the PATH: installing it with {}.",
        manager.program
    );
    manager.install()?;
    if is_there() {
        Ok(())
    } else {
        Err(format!(
            "{} installed Redis, but `{SERVER}` is still not on the PATH. \
             Find it, add its folder to PATH and run this again.",
            manager.program
        ))
    }
}

fn is_there() -> bool {
    answers(SERVER, "--version")
}

struct Manager {
    program: &'static str,
    install: &'static [&'static str],
    /// Brings the list of packages up to date, tried if installing failed.
    update: Option<&'static [&'static str]>,
    as_root: bool,
}

const MANAGERS: [Manager; 5] = [
    Manager {
        program: "apt-get",
        install: &[
            "install",
            "--yes",
            "--no-install-recommends",
            "redis-server",
        ],
        update: Some(&["update"]),
        as_root: true,
    },
    Manager {
        program: "dnf",
        install: &["install", "--assumeyes", "redis"],
        update: None,
        as_root: true,
    },
    Manager {
        program: "apk",
        install: &["add", "--no-cache", "redis"],
        update: None,
        as_root: true,
    },
    Manager {
        program: "pacman",
        install: &["-S", "--noconfirm", "redis"],
        update: Some(&["-Sy"]),
        as_root: true,
    },
    Manager {
        program: "brew",
        install: &["install", "redis"],
        update: None,
        as_root: false,
    },
];

impl Manager {
    fn install(&self) -> Result {
        let Some(update) = self.update else {
            return run(&mut self.command(self.install));
        };
        // A fresh container has no list of packages; elsewhere the update can be spared.
        run(&mut self.command(self.install)).or_else(|_| {
            eprintln!("Trying again with a fresh list of packages.");
            // One unreachable source must not matter if another one has the package.
            if let Err(message) = run(&mut self.command(update)) {
                eprintln!("{message}");
            }
            run(&mut self.command(self.install))
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if self.as_root && !is_root() && answers("sudo", "--version") {
            let mut sudo = Command::new("sudo");
            sudo.arg(self.program);
            sudo
        } else {
            Command::new(self.program)
        };
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
