//! Chat of one user: stamps on what it sends, and the account of what it receives.

use std::time::Instant;

use serde_json::Value;

use super::{http::millis, user::User};
use crate::metrics::deliveries::{Delivery, Member};

/// A user in its room.
pub struct Chat {
    member: Member,
    joined: Option<Value>,
}

impl Chat {
    /// The user's place in the room that the script names, if the script asks for it.
    pub fn enter(user: &mut User) -> Option<Self> {
        let shared = user.shared.clone();
        let (settings, ledger) = (shared.plan.chat.as_ref()?, shared.ledger.as_ref()?);
        let room = settings.room.text(user);
        let mut member = ledger.member(&room, user.id);
        if settings.joined.is_none() {
            member.join();
        }
        Some(Self { member, joined: settings.joined.clone() })
    }

    /// Sets `$stamp` for a message that was due at `due`.
    pub fn stamp(&mut self, user: &mut User, due: Instant) {
        let (due, now) = (user.shared.micros(due), user.shared.micros(Instant::now()));
        let stamp = self.member.stamp(due, now);
        user.set("$stamp", stamp.into());
        user.record(|window| window.count("chat.sent", 1));
    }

    /// Accounts for a message that has come.
    pub fn receive(&mut self, user: &User, text: &str) {
        let now = user.shared.micros(Instant::now());
        if !self.member.has_joined()
            && let Some(joined) = &self.joined
            && serde_json::from_str(text).is_ok_and(|message: Value| contains(&message, joined))
        {
            self.member.join();
            return;
        }
        let deliveries = self.member.receive(text, now);
        if deliveries.is_empty() {
            return;
        }
        user.record(|window| {
            for delivery in deliveries {
                match delivery {
                    Delivery::InOrder(waited) | Delivery::Reordered(waited) => {
                        window.count("chat.received", 1);
                        window.count("chat.reordered", u64::from(matches!(delivery, Delivery::Reordered(_))));
                        window.record("chat.delivery", waited);
                    }
                    Delivery::Duplicate => window.count("chat.duplicates", 1),
                    Delivery::Unentitled => window.count("chat.unentitled", 1),
                    Delivery::History => window.count("chat.history", 1),
                }
            }
        });
    }

    /// Closes the account.
    pub fn leave(mut self, user: &User) {
        let account = self.member.leave(user.shared.micros(Instant::now()));
        user.record(|window| {
            window.count("chat.expected", account.expected);
            window.count("chat.lost", account.lost);
        });
    }
}

/// Time that a socket took to open, and its name in reports.
pub fn record_connect(user: &User, began: Instant) {
    user.record(|window| window.record("chat.connect", millis(began.elapsed())));
}

/// Whether a value has all members of `part`, with these values.
fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(name, part)| value.get(name).is_some_and(|value| contains(value, part)))
        }
        (value, part) => value == part,
    }
}
