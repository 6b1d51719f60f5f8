//! The scripts: each a file of its own, known to the server by its hash.

use std::sync::OnceLock;

use redis::Cmd;

use crate::key::Key;

pub(super) static ACQUIRE: Script = Script::new(include_str!("scripts/acquire.lua"));
pub(super) static COMMIT: Script = Script::new(include_str!("scripts/commit.lua"));
pub(super) static EXPIRE: Script = Script::new(include_str!("scripts/expire.lua"));
pub(super) static FILL: Script = Script::new(include_str!("scripts/fill.lua"));
pub(super) static GENERATION: Script = Script::new(include_str!("scripts/generation.lua"));
pub(super) static HOLD_OFF: Script = Script::new(include_str!("scripts/hold_off.lua"));
pub(super) static INTEND: Script = Script::new(include_str!("scripts/intend.lua"));
pub(super) static RELEASE: Script = Script::new(include_str!("scripts/release.lua"));
pub(super) static RENEW: Script = Script::new(include_str!("scripts/renew.lua"));

/// A script of one key.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    /// Runs the script if the server knows it.
    pub(super) fn by_hash(&self, key: &Key, arguments: &[&[u8]]) -> Cmd {
        let hash = || redis::Script::new(self.code).get_hash().to_owned();
        command("EVALSHA", self.hash.get_or_init(hash), key, arguments)
    }

    /// Runs the script; the server knows it from then on.
    pub(super) fn in_full(&self, key: &Key, arguments: &[&[u8]]) -> Cmd {
        command("EVAL", self.code, key, arguments)
    }
}

fn command(name: &str, script: &str, key: &Key, arguments: &[&[u8]]) -> Cmd {
    let size: usize = arguments.iter().map(|argument| argument.len()).sum();
    let count = 4 + arguments.len();
    let mut command = Cmd::with_capacity(count, script.len() + key.as_bytes().len() + size + 8);
    command.arg(name).arg(script).arg("1").arg(key.as_bytes());
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
