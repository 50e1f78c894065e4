//! What a program is sent: docs/forward.md says what each key means.
//!
//! Every key is always there, `null` if the message has no such thing, so that a program need not
//! ask twice. Numbers that may be beyond 2^53 are texts: JavaScript would round them.

use serde::Serialize;

use super::super::fields::Fields;
use super::super::handler::Incoming;

#[derive(Serialize)]
struct Body<'a> {
    account: Account<'a>,
    trace: &'a str,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Account<'a> {
    appid: &'a str,
    path: &'a str,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    msg_type: &'a str,
    event: Option<&'a str>,
    key: Option<&'a str>,
    scene: Option<&'a str>,
    from: &'a str,
    to: &'a str,
    created: u64,
    id: Option<String>,
    fields: &'a Fields,
}

/// The body of the request.
pub(super) fn of(incoming: &Incoming) -> Vec<u8> {
    let Incoming { account, message, trace } = incoming;
    let body = Body {
        account: Account { appid: account.appid.as_str(), path: &account.path },
        trace: &trace.0,
        message: Message {
            msg_type: message.msg_type(),
            event: message.event(),
            key: message.event_key(),
            scene: message.scene(),
            from: message.from(),
            to: message.to(),
            created: message.created(),
            id: message.id().map(|id| id.to_string()),
            fields: message.fields(),
        },
    };
    serde_json::to_vec(&body).expect("texts, numbers and maps with text keys are always JSON")
}
