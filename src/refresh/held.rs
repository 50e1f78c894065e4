//! The value that a key's task holds: what is known of its life, and against it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootTime, Clock, Stamp};
use crate::ledger::StoredValue;

use super::view::Value;

/// The latest value, good or not: dead ones are kept so that they are recognised.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) value: Arc<Value>,
    /// When the call was sent that fixed the expiry.
    pub(super) asked: BootTime,
    pub(super) expires: BootTime,
    /// What WeChat said of the whole life, for the proportions of the schedule.
    pub(super) life: Duration,
    pub(super) verify_at: Option<BootTime>,
    pub(super) age_known: bool,
    pub(super) not_rotated: bool,
    pub(super) standing: Standing,
}

/// What is known against a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Good,
    /// WeChat said that it is dead, and the repair is under way: served, with a warning.
    ReportedDead,
    /// It is dead: never served again.
    Withdrawn,
}

impl Held {
    /// The value as the ledger stores it.
    pub(super) fn stored(&self, clock: &Clock) -> StoredValue {
        let stamp = |at: BootTime| -> Stamp { clock.stamp_of(at) };
        StoredValue {
            value: self.value.secret.clone(),
            fingerprint: self.value.fingerprint,
            generation: self.value.generation,
            mode: self.value.mode,
            issued: stamp(self.value.issued),
            confirmed: stamp(self.asked),
            life: self.expires.since(self.asked),
            verify_at: self.verify_at.map(stamp),
            age_known: self.age_known,
            dead: self.standing == Standing::Withdrawn,
        }
    }
}
