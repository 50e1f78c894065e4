//! Mini programs: what they have in common with accounts, the push.

use crate::services::messages::message::table::{items, messages};

messages! {
    /// What happened to a mini program or in it. Times are Unix seconds.
    pub enum MiniProgram<'a> {
        /// A picture or a sound was checked.
        MediaChecked = "wxa_media_check" {
            /// The mini program.
            app_id: &'a str = "appid",
            /// Of the check.
            trace_id: &'a str = "trace_id",
            /// 2; the first version has none.
            version: Option<u64> = "version",
            /// `pass`, `review` or `risky`.
            suggestion: Option<&'a str> = "result/suggest",
            /// What is in it: 100 nothing, 20002 pornography and others.
            label: Option<u64> = "result/label",
            /// What each strategy found.
            details: Vec<MediaCheck<'a>> = "detail",
            /// 0 if it could be checked.
            error_code: Option<i64> = "errcode",
            /// Why not.
            error: Option<&'a str> = "errmsg",
            /// First version: whether it is risky.
            risky: Option<bool> = "isrisky",
            /// First version: 0, or 4294966288 if it could not be fetched.
            status_code: Option<u64> = "status_code",
        },
        /// A release was allowed.
        AuditPassed = "weapp_audit_success" {
            /// When.
            succeeded: Option<u64> = "SuccTime",
        },
        /// A release was not allowed.
        AuditFailed = "weapp_audit_fail" {
            /// When.
            failed: Option<u64> = "FailTime",
            /// Why, with HTML in it.
            reason: &'a str = "Reason",
            /// Media ids of pictures, with `|` between.
            screenshots: &'a str = "ScreenShot",
        },
        /// A release must wait.
        AuditDelayed = "weapp_audit_delay" {
            /// When.
            delayed: Option<u64> = "DelayTime",
            /// Why.
            reason: &'a str = "Reason",
        },
        /// A user opened the customer service.
        EnteredSession = "user_enter_tempsession" {
            /// From where, as the mini program says.
            from: &'a str = "SessionFrom",
        },
    }
}

items! {
    /// What a strategy found.
    pub struct MediaCheck<'a> {
        /// `content_model`
        strategy: &'a str = "strategy",
        /// 0 if it could be applied.
        error_code: Option<i64> = "errcode",
        /// `pass`, `review` or `risky`.
        suggestion: &'a str = "suggest",
        /// What is in it: 100 nothing, 20002 pornography and others.
        label: Option<u64> = "label",
        /// How sure it is, in percent.
        probability: Option<u64> = "prob",
    }
}
