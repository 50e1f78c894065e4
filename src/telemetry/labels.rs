//! The values of the metrics' labels, as enums.
//!
//! A typing error is a compile error, and the number of series is known: `ALL` has each value, so
//! that every series can begin at zero.

/// Declares an enum whose variants are the values of one label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value of the label.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

label! {
    /// How an attempt ended.
    AttemptResult {
        /// It brought a value.
        Issued = "issued",
        /// WeChat repeated the value that was there.
        Same = "same",
        /// WeChat answered with an errcode.
        Refused = "refused",
        /// It did not reach WeChat.
        NeverSent = "never_sent",
        /// Nobody knows whether WeChat issued.
        Unknown = "unknown",
    }
}

label! {
    /// How a complaint ended.
    ComplaintOutcome {
        /// A new value was fetched.
        Refreshed = "refreshed",
        /// The value had been replaced before.
        AlreadyReplaced = "already_replaced",
        /// WeChat said that the value works.
        StillValid = "still_valid",
        /// A ticket was asked for again and is the same.
        Unchanged = "unchanged",
        /// WeChat gave no verdict.
        Unverified = "unverified",
        /// It was answered with an error.
        Failed = "failed",
    }
}

label! {
    /// What a probe said.
    Verdict {
        /// The value works.
        Alive = "alive",
        /// It does not.
        Dead = "dead",
        /// No answer, or one that says neither.
        None = "none",
    }
}

label! {
    /// Whose share of the day's calls was spent.
    Share {
        /// The schedule's.
        Deadlines = "deadlines",
        /// The complainers'.
        Complaints = "complaints",
        /// The operators'.
        Operators = "operators",
    }
}

label! {
    /// Which step at the ledger failed, or took time.
    LedgerStep {
        /// Reading at start.
        Load = "load",
        /// The intent before a call.
        Begin = "begin",
        /// The value after it.
        Commit = "commit",
        /// Everything else.
        Other = "other",
    }
}

label! {
    /// How something ended.
    Done {
        /// Well.
        Ok = "ok",
        /// Badly.
        Failed = "failed",
    }
}

label! {
    /// How a read was answered.
    ReadResult {
        /// With a value.
        Served = "served",
        /// There is none now.
        Unavailable = "unavailable",
        /// The caller may not, or the key does not exist.
        Refused = "refused",
    }
}

label! {
    /// Why a call was not let in.
    Refusal {
        /// No credential, or an unknown one.
        Unauthenticated = "unauthenticated",
        /// A known caller past its `not_after`.
        Expired = "expired",
        /// Outside the caller's grants.
        Denied = "denied",
    }
}

label! {
    /// Why an entry of the audit is missing.
    AuditLoss {
        /// The ledger did not take it.
        Ledger = "ledger",
        /// It is counted, but no longer by caller and key: there were too many at once.
        Overflow = "overflow",
    }
}

label! {
    /// Of which family a message of a user is.
    MessageFamily {
        /// A text.
        Text = "text",
        /// A picture, a voice message, a video.
        Media = "media",
        /// An event.
        Event = "event",
        /// Everything else.
        Other = "other",
    }
}

label! {
    /// What a request with a message was answered, or what came of it later.
    MessageOutcome {
        /// With the handler's answer.
        Answered = "answered",
        /// `success`: nobody answers such a message, or the answer was not ready in time.
        Acknowledged = "acknowledged",
        /// A retry, with what the first one was answered.
        Repeated = "repeated",
        /// 503: too many are waiting.
        RefusedBusy = "refused_busy",
        /// The answer was sent as a customer-service message.
        Late = "late",
        /// It could not be sent so.
        LateFailed = "late_failed",
        /// No answer, because a handler failed or took too long.
        Failed = "failed",
    }
}
