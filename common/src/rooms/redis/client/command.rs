//! Commands as they are sent, and Lua scripts.

use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};

use super::slots::slot_of;

/// A command and the slot of its key.
#[derive(Clone, Debug)]
pub(in super::super) struct Command {
    arguments: BytesMut,
    count: usize,
    slot: u16,
}

impl Command {
    /// A command whose first argument is `key`. All its keys must be in the slot of that one.
    pub(in super::super) fn new(name: &str, key: &str) -> Self {
        Self::without_key(name).in_slot_of(key).arg(key)
    }

    /// A command for whichever server it is sent to.
    pub(in super::super) fn without_key(name: &str) -> Self {
        Self { arguments: BytesMut::new(), count: 0, slot: 0 }.arg(name)
    }

    /// A script: `sha1` names it, or its whole text with `EVAL`.
    fn script(name: &str, script: &str, keys: &[String], arguments: &[String]) -> Self {
        let command = Self::without_key(name).in_slot_of(keys.first().map_or("", String::as_str));
        let command = command.arg(script).arg(keys.len().to_string());
        keys.iter().chain(arguments).fold(command, |command, argument| command.arg(argument))
    }

    fn in_slot_of(mut self, key: &str) -> Self {
        self.slot = slot_of(key);
        self
    }

    /// Adds an argument.
    pub(in super::super) fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        let argument = argument.as_ref();
        self.arguments.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        self.arguments.extend_from_slice(argument);
        self.arguments.extend_from_slice(b"\r\n");
        self.count += 1;
        self
    }

    pub(super) const fn slot(&self) -> u16 {
        self.slot
    }

    /// What is sent.
    pub(in super::super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.arguments.len() + 8);
        bytes.extend_from_slice(format!("*{}\r\n", self.count).as_bytes());
        bytes.extend_from_slice(&self.arguments);
        bytes.freeze()
    }
}

/// A Lua script that Redis runs atomically.
pub(in super::super) struct Script {
    text: &'static str,
    sha1: String,
}

impl Script {
    pub(in super::super) fn new(text: &'static str) -> Self {
        let digest = Sha1::digest(text.as_bytes());
        Self { text, sha1: digest.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// Runs it, if the server knows it.
    pub(super) fn by_name(&self, keys: &[String], arguments: &[String]) -> Command {
        Command::script("EVALSHA", &self.sha1, keys, arguments)
    }

    /// Runs it, and has the server remember it.
    pub(super) fn by_text(&self, keys: &[String], arguments: &[String]) -> Command {
        Command::script("EVAL", self.text, keys, arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let command = Command::new("HGET", "mz:{a}:meta").arg("머리");
        assert_eq!(command.encode(), "*3\r\n$4\r\nHGET\r\n$11\r\nmz:{a}:meta\r\n$6\r\n머리\r\n");
        assert_eq!(command.slot(), slot_of("a"));
    }

    #[test]
    fn a_script_is_named_by_the_digest_of_its_text() {
        let script = Script::new("return 1");
        let keys = ["{k}".to_owned()];
        let expected = "*5\r\n$7\r\nEVALSHA\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n$1\r\n1\r\n$3\r\n{k}\r\n$1\r\nx\r\n";
        assert_eq!(script.by_name(&keys, &["x".to_owned()]).encode(), expected);
        assert_eq!(script.by_text(&keys, &[]).slot(), slot_of("k"));
    }
}
