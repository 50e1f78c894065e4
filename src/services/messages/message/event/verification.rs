//! The account's verification by WeChat (微信认证): what runs out takes permissions with it.

use crate::services::messages::message::table::messages;

messages! {
    /// How the verification stands. Times are Unix seconds.
    pub enum Verification<'a> {
        /// The qualification was accepted; from now on the account has the permissions.
        QualificationAccepted = "qualification_verify_success" {
            /// Until when.
            expires: Option<u64> = "ExpiredTime",
        },
        /// The qualification was refused.
        QualificationRefused = "qualification_verify_fail" {
            /// When.
            failed: Option<u64> = "FailTime",
            /// Why.
            reason: &'a str = "FailReason",
        },
        /// The name was accepted.
        NamingAccepted = "naming_verify_success" {
            /// Until when.
            expires: Option<u64> = "ExpiredTime",
        },
        /// The name was refused; the permissions stay.
        NamingRefused = "naming_verify_fail" {
            /// When.
            failed: Option<u64> = "FailTime",
            /// Why.
            reason: &'a str = "FailReason",
        },
        /// The verification must be renewed soon.
        AnnualRenewal = "annual_renew" {
            /// Until when.
            expires: Option<u64> = "ExpiredTime",
        },
        /// The verification has run out.
        Expired = "verify_expired" {
            /// Since when.
            expired: Option<u64> = "ExpiredTime",
        },
    }
}
