//! A user took back what they had allowed: stored profile data is to be deleted or renewed.

use crate::services::messages::message::table::messages;

messages! {
    /// What the law on personal information asks to be acted upon.
    pub enum Privacy<'a> {
        /// The user's profile was changed.
        InfoModified = "user_info_modified" {
            /// Whose.
            openid: &'a str = "OpenID",
            /// In which app.
            app_id: &'a str = "AppID",
            /// What: see [`Privacy::Revoked`].
            what: &'a str = "RevokeInfo",
        },
        /// The user took back permissions.
        Revoked = "user_authorization_revoke" {
            /// Whose.
            openid: &'a str = "OpenID",
            /// In which app.
            app_id: &'a str = "AppID",
            /// What: 201 address, 202 invoice, 203 card, 204 microphone, 205 nickname and
            /// picture, 206 location, 207 chosen media; several with commas between.
            what: &'a str = "RevokeInfo",
        },
        /// The user closed their WeChat account.
        Cancelled = "user_authorization_cancellation" {
            /// Whose.
            openid: &'a str = "OpenID",
            /// In which app.
            app_id: &'a str = "AppID",
        },
    }
}
