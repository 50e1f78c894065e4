//! Answers to subscription messages (订阅通知).

use crate::services::messages::message::table::{items, messages};

messages! {
    /// Who agreed to be sent what, and what became of it.
    pub enum Subscription<'a> {
        /// The user answered the question whether they want messages.
        Popup = "subscribe_msg_popup_event" {
            /// One answer for each template.
            answers: Vec<Answer<'a>> = "SubscribeMsgPopupEvent/List",
        },
        /// The user changed their mind in the settings.
        Change = "subscribe_msg_change_event" {
            /// One answer for each template.
            answers: Vec<Answer<'a>> = "SubscribeMsgChangeEvent/List",
        },
        /// Messages were sent, or not.
        Sent = "subscribe_msg_sent_event" {
            /// One for each message.
            messages: Vec<Delivery<'a>> = "SubscribeMsgSentEvent/List",
        },
    }
}

items! {
    /// What the user answered.
    pub struct Answer<'a> {
        /// The template.
        template_id: &'a str = "TemplateId",
        /// `accept` or `reject`.
        status: &'a str = "SubscribeStatusString",
        /// Where they were asked: 0 in a mini program, 1 by a page's script, 2 in an article.
        scene: Option<u64> = "PopupScene",
    }

    /// What became of a message.
    pub struct Delivery<'a> {
        /// The template.
        template_id: &'a str = "TemplateId",
        /// The message.
        msg_id: Option<u64> = "MsgID",
        /// 0 if it has arrived.
        error_code: Option<i64> = "ErrorCode",
        /// `success`, or why not.
        error_status: &'a str = "ErrorStatus",
    }
}
