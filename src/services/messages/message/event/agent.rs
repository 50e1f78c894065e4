//! Human agents (客服) and their sessions.

use crate::services::messages::message::table::messages;

messages! {
    /// Which agent the user talks to. Agents are named `name@account`.
    pub enum Agent<'a> {
        /// A session begins.
        Created = "kf_create_session" {
            /// The agent.
            account: &'a str = "KfAccount",
        },
        /// A session is over.
        Closed = "kf_close_session" {
            /// The agent.
            account: &'a str = "KfAccount",
            /// Who closed it.
            close_type: Option<&'a str> = "CloseType",
        },
        /// A session was handed over.
        Switched = "kf_switch_session" {
            /// The agent before.
            from: &'a str = "FromKfAccount",
            /// The agent now.
            to: &'a str = "ToKfAccount",
        },
    }
}
