//! What WeChat's numbers mean to somebody who calls a business endpoint, and what to do.
//!
//! Only the numbers that such calls meet; what the daemon's own calls meet is the daemon's
//! business, and it tells its clients in words. Sentences have no full stop. A number that is not
//! here is shown with WeChat's own words.

use crate::model::ErrCode;

/// What the number means and what to do, in one sentence.
pub(super) fn meaning(ErrCode(number): ErrCode) -> Option<&'static str> {
    Some(match number {
        -1 => "WeChat is busy: the call counts as not done, and is not repeated by itself",
        40001 | 40014 => "the access token is not valid, or not the latest one, or of another account",
        42001 => "the access token has expired",
        40003 => {
            "the openid is not a follower of this account: it has unfollowed, or belongs to another account"
        }
        40007 => {
            "there is no such medium: a temporary one lives for three days, upload it again; the id must be of \
             this account and of this type"
        }
        40008 => "WeChat does not know this type of message",
        40004 | 40005 => "WeChat does not take this type of file",
        40006 | 40009 | 40010 | 40011 | 40012 => "the medium is too large for its type",
        40033 | 47002 => "the body has \\u escapes, which WeChat does not take",
        40035 => "a parameter is wrong",
        40048 => "the address in the message is wrong, or its domain is not allowed",
        41006 => "the media id is missing",
        41009 => "the openid is missing",
        43004 | 50005 => "the user does not follow the account",
        43019 => "the user is on the account's black list",
        43101 | 48002 => "the user refuses messages of this account",
        44002 => "the body was empty",
        44003 => "an article has no content",
        44004 => "the text is empty",
        45002 => "the text is too long: 2048 bytes in UTF-8, about 680 Chinese characters, are the limit",
        45003 => "a title is too long",
        45004 => "a description is too long",
        45005 => "an address is too long",
        45006 => "the address of a picture is too long",
        45007 => "the voice message lasts too long",
        45008 => "there are too many articles: a customer-service message has one",
        45009 => {
            "the account's calls of this day are used up: they come back at midnight in Beijing, or an \
             administrator clears the count in the console"
        }
        45011 => "too many calls in this minute: the next minute brings new ones",
        45015 => {
            "the time for answers is over, or the user has unfollowed: WeChat lets messages through for 48 hours \
             after the user wrote, for one minute after a tap on the menu, a scan or a follow"
        }
        45047 => {
            "the user has had all answers there are: five after a message, three after a tap on the menu, a scan \
             or a follow; more go through when the user writes again"
        }
        45102 | 45501 | 48004 => "WeChat has blocked this API for the account: see the notice in its console",
        45162 => "the articles are wrong: each needs a title and an http:// or https:// address",
        47001 => "the body is not JSON that WeChat can read",
        48001 => {
            "the account may not use this API: it needs to be verified, or to be given the permission in its \
             console"
        }
        50002 => "the user or the account is frozen or closed",
        61450..=61458 => "the account of the human agent is wrong: see the list of agents in the console",
        _ => return None,
    })
}
