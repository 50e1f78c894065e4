//! What a forger, a broken network or an impatient WeChat does to a push, and what a callback owes.

use super::identity::Mode;

/// How a push is spoilt. A spoilt push is sent once, not three times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `msg_signature` is of another Token (in plain mode: `signature`).
    BadMsgSignature,
    /// `signature` is of another Token.
    BadSignature,
    /// An hour old, and signed so.
    StaleTimestamp,
    /// Encrypted for another appid.
    WrongReceiveId,
    /// Encrypted with another key, and signed so.
    WrongKey,
    /// One character of the body was changed after it was signed.
    TamperedBody,
    /// Only the first half of the body, with its own length.
    TruncatedBody,
    /// A good push, then the same again byte for byte.
    Replay,
    /// No query at all.
    MissingParameters,
    /// Two at once of the same message, each with its own nonce.
    Duplicate,
    /// Half of the body, and then nothing more.
    SlowBody,
    /// Five million bytes.
    Oversize,
    /// A DOCTYPE with nested entities; in JSON, nesting without end.
    DoctypeBomb,
    /// Plain and without `encrypt_type`, to a callback in safe mode.
    PlainToSafe,
}

/// What a callback owes to a spoilt push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owes {
    /// A 4xx.
    Refusal,
    /// A 4xx, or a connection that ends unanswered.
    NoAnswer,
    /// The answer of the first one again, or none.
    OneAnswer,
    /// Whatever it owes to a good one: here this fault cannot be seen, or need not be looked at.
    AsUsual,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::BadMsgSignature,
        Self::BadSignature,
        Self::StaleTimestamp,
        Self::WrongReceiveId,
        Self::WrongKey,
        Self::TamperedBody,
        Self::TruncatedBody,
        Self::Replay,
        Self::MissingParameters,
        Self::Duplicate,
        Self::SlowBody,
        Self::Oversize,
        Self::DoctypeBomb,
        Self::PlainToSafe,
    ];

    /// As it is ordered.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadMsgSignature => "bad_msg_signature",
            Self::BadSignature => "bad_signature",
            Self::StaleTimestamp => "stale_timestamp",
            Self::WrongReceiveId => "wrong_receive_id",
            Self::WrongKey => "wrong_key",
            Self::TamperedBody => "tampered_body",
            Self::TruncatedBody => "truncated_body",
            Self::Replay => "replay",
            Self::MissingParameters => "missing_parameters",
            Self::Duplicate => "duplicate",
            Self::SlowBody => "slow_body",
            Self::Oversize => "oversize",
            Self::DoctypeBomb => "doctype_bomb",
            Self::PlainToSafe => "plain_to_safe",
        }
    }

    /// The fault of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// In one line, what is sent and what is right.
    pub fn says(self) -> &'static str {
        match self {
            Self::BadMsgSignature => "the body's signature is of another Token; to be refused",
            Self::BadSignature => "the query's signature is of another Token; to be refused in plain mode",
            Self::StaleTimestamp => "signed an hour ago; to be refused",
            Self::WrongReceiveId => "encrypted for another appid; to be refused",
            Self::WrongKey => "encrypted with another key; to be refused",
            Self::TamperedBody => "changed after it was signed; to be refused where it is encrypted",
            Self::TruncatedBody => "half of the body; to be refused",
            Self::Replay => "the same request twice; to be answered alike, and handled once",
            Self::MissingParameters => "no signature, no timestamp, no nonce; to be refused",
            Self::Duplicate => "the same message twice at once; to be answered alike, and handled once",
            Self::SlowBody => "the body stops half way; to be given up",
            Self::Oversize => "five million bytes; to be refused",
            Self::DoctypeBomb => "entities that grow without end; to be refused",
            Self::PlainToSafe => "not encrypted; to be refused in safe mode",
        }
    }

    /// What a callback in this mode owes to it.
    pub fn owes(self, mode: Mode) -> Owes {
        match (self, mode) {
            (Self::Replay | Self::Duplicate, _) => Owes::OneAnswer,
            (Self::SlowBody | Self::Oversize, _) => Owes::NoAnswer,
            // WeChat says not to look at this one where there is the other.
            (Self::BadSignature, Mode::Compatible | Mode::Safe)
            // Nothing guards a plain body.
            | (Self::WrongReceiveId | Self::WrongKey | Self::TamperedBody, Mode::Plain)
            | (Self::PlainToSafe, Mode::Plain | Mode::Compatible) => Owes::AsUsual,
            (
                Self::BadMsgSignature
                | Self::BadSignature
                | Self::StaleTimestamp
                | Self::WrongReceiveId
                | Self::WrongKey
                | Self::TamperedBody
                | Self::TruncatedBody
                | Self::MissingParameters
                | Self::DoctypeBomb
                | Self::PlainToSafe,
                _,
            ) => Owes::Refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_by_their_names() {
        for fault in Fault::ALL {
            assert_eq!(Fault::of(fault.name()), Some(fault));
        }
        assert_eq!(Fault::of("none"), None);
    }
}
