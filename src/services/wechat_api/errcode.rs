//! What WeChat's numbers mean to somebody who calls a business endpoint, and what to do.
//!
//! Only the numbers that such calls meet; what the daemon's own calls meet is the daemon's
//! business, and it tells its clients in words. Sentences have no full stop. A number that is not
//! here is shown with WeChat's own words.

use crate::model::ErrCode;

/// What the number means and what to do, in one sentence.
pub(super) fn meaning(ErrCode(number): ErrCode) -> Option<&'static str> {
    if let Some(meaning) = of_menus(number) {
        return Some(meaning);
    }
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

/// The numbers of menus and codes.
fn of_menus(number: i64) -> Option<&'static str> {
    Some(match number {
        40016 => "the menu has a wrong number of buttons: one to three stand at the foot",
        40017 | 40119 => "a button has a type that WeChat does not know, or none",
        40018 => {
            "a button's name is missing or too long: 16 bytes in UTF-8, 5 Chinese characters, are the limit"
        }
        40019 => "a button's key is missing or too long: 128 bytes are the limit",
        40020 => "a button's address is missing or too long: 1024 bytes are the limit",
        40022 => "the menu has a third level: WeChat has two",
        40023 => "a list has a wrong number of buttons: it has one to five",
        40024 | 40120 => "a button of a list has a type that WeChat does not know, or none",
        40025 => {
            "the name of a button in a list is missing or too long: 60 bytes in UTF-8, 20 Chinese characters, are \
             the limit"
        }
        40026 => "the key of a button in a list is missing or too long: 128 bytes are the limit",
        40027 => "the address of a button in a list is missing or too long: 1024 bytes are the limit",
        40052 => "WeChat does not know this kind of QR code",
        40053 => {
            "WeChat does not make such a QR code: the scene is wrong, or all 100000 permanent codes are used"
        }
        45029 => "all 100000 permanent codes of the account are used: use temporary ones",
        40054 | 40055 => {
            "the address of a button is not one that WeChat takes: it begins with http:// or https://, and its \
             domain must not be blocked"
        }
        45010 => "there are too many menus: delete some, or all with `zhongkong menu delete`",
        45064 => {
            "a button opens a mini program that is not linked with the account: link it in the console \
             (mini programs, manage), or take the button out"
        }
        46003 => "there is no menu: push one first",
        46004 => "there is no such user",
        48005 => "the material is used by an automatic reply or a menu: take it out there first",
        65301 => "there is no conditional menu with this number: somebody has removed it meanwhile",
        65302 => "there is no such user: it takes the openid of a follower of this account, or a WeChat id",
        65303 => "conditional menus need a default menu of a program's making: push one first",
        65304 => "a conditional menu asks for nothing: its matchrule needs at least one field",
        65305 => "there are too many conditional menus: remove some",
        65306 => "this account may not have conditional menus: only verified ones may",
        65307 => "a conditional menu has no buttons",
        65308 => "a button of a conditional menu has no type",
        65309 => "conditional menus are switched off for this account: switch them on in its console",
        65310 => "a matchrule has a province without its country",
        65311 => "a matchrule has a city without its province",
        65312..=65314 => {
            "a matchrule has a country, province or city that is not in WeChat's list of regions"
        }
        65316 => "a conditional menu leads to more than three outside domains",
        65317 => "a button of a conditional menu has an address that WeChat does not take",
        _ => return None,
    })
}
