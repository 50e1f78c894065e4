//! The numbers of requests and users: codes, media, menus, messages.
//!
//! They mean the same at every endpoint, and none is about the account's token. The reaction
//! is `NeedsOperator` throughout, as no retry of the same call helps;
//! [`is_users`](super::is_users) tells those that the user's next authorization mends.

use super::{AUTHORIZATION, GLOBAL, MENUS, Row, operator};

const AGAIN: &str =
    "send the user through the authorization again: a code works once, for five minutes, for its own appid";
const CALL: &str = "the program that made the call must be corrected: this is no matter of the token";
const MENU: &str = "correct the menu that was sent";
const NEVER: &str = "do not send to this user";

#[expect(clippy::match_same_arms, reason = "one table: a line per number, in their order")]
pub(super) const fn row(number: i64) -> Option<Row> {
    Some(match number {
        40003 => operator(GLOBAL, "the openid is no follower's, or another account's", CALL),
        40007 => operator(GLOBAL, "the media_id is invalid", CALL),
        40016 => operator(MENUS, "the menu has a wrong number of buttons", MENU),
        40017 => operator(MENUS, "a button of the menu has a wrong type", MENU),
        40018 => operator(MENUS, "a button's name is too long or empty", MENU),
        40019 => operator(MENUS, "a button's key is too long or empty", MENU),
        40020 => operator(MENUS, "a button's url is too long or empty", MENU),
        40022 => operator(MENUS, "the menu has too many levels", MENU),
        40023 => operator(MENUS, "a sub-menu has a wrong number of buttons", MENU),
        40024 => operator(MENUS, "a button of a sub-menu has a wrong type", MENU),
        40025 => operator(MENUS, "the name of a sub-menu's button is too long or empty", MENU),
        40026 => operator(MENUS, "the key of a sub-menu's button is too long or empty", MENU),
        40027 => operator(MENUS, "the url of a sub-menu's button is too long or empty", MENU),
        40029 => operator(AUTHORIZATION, "the code is invalid, or another appid's", AGAIN),
        40030 => {
            operator(AUTHORIZATION, "the user's refresh token is invalid", "the user must authorize again")
        }
        40033 => operator(GLOBAL, "the request holds \\u escapes, which WeChat refuses", CALL),
        40035 => operator(GLOBAL, "a parameter is invalid", CALL),
        40048 => operator(GLOBAL, "a url or its domain is invalid", CALL),
        40052 => operator(GLOBAL, "the QR code's action_name is invalid", CALL),
        40053 => operator(
            GLOBAL,
            "the QR code's action_info is invalid, or all 100,000 permanent codes are in use",
            CALL,
        ),
        40054 => operator(MENUS, "the url of a sub-menu's button has a wrong domain", MENU),
        40055 => operator(MENUS, "the url of a button has a wrong domain", MENU),
        40118 => operator(GLOBAL, "the size of the media is wrong", CALL),
        40119 => operator(MENUS, "a button has a wrong type", MENU),
        40120 => operator(MENUS, "a button of a sub-menu has a wrong type", MENU),
        40121 => operator(GLOBAL, "the type of the media is wrong", CALL),
        40163 => operator(AUTHORIZATION, "the code has been used", AGAIN),
        40201 => {
            operator(GLOBAL, "the account has no callback URL", "set one in the console, or do not check it")
        }
        40202 => operator(GLOBAL, "the action of a callback check is invalid", CALL),
        40203 => operator(GLOBAL, "the operator of a callback check is invalid", CALL),
        40226 => {
            operator(AUTHORIZATION, "WeChat takes this user for a high risk and blocks the login", NEVER)
        }
        41003 => operator(AUTHORIZATION, "the call had no refresh token", CALL),
        41008 => operator(AUTHORIZATION, "the call had no code", CALL),
        41009 => operator(GLOBAL, "the call had no openid", CALL),
        41010 => operator(GLOBAL, "the call had no url", CALL),
        43001 => operator(GLOBAL, "the call must be a GET", CALL),
        43003 => operator(GLOBAL, "the call must use HTTPS", "set api_base to an https:// URL"),
        43004 => operator(GLOBAL, "the user does not follow the account", NEVER),
        43019 => operator(GLOBAL, "the user is on the account's black list", NEVER),
        43101 => operator(GLOBAL, "the user refuses these messages", NEVER),
        44002 => operator(GLOBAL, "the POST had no body", CALL),
        45002 => operator(GLOBAL, "the message is too long", CALL),
        45010 => operator(MENUS, "there are too many menus", MENU),
        45015 => operator(GLOBAL, "the user wrote too long ago to be answered: 48 hours", NEVER),
        45029 => operator(GLOBAL, "there are too many QR codes", CALL),
        45047 => operator(GLOBAL, "the user got too many customer-service messages without writing", NEVER),
        45064 => operator(MENUS, "the menu names a mini program that is not linked with the account", MENU),
        46003 => operator(MENUS, "the menu does not exist", CALL),
        46004 => operator(GLOBAL, "the user does not exist", CALL),
        47001 => operator(GLOBAL, "the request is no JSON or XML", CALL),
        47002 => operator(GLOBAL, "the request holds \\u escapes, which WeChat refuses", CALL),
        48002 => operator(GLOBAL, "the follower refuses messages", NEVER),
        48005 => operator(GLOBAL, "the material is in use by an automatic reply or a menu", CALL),
        50005 => operator(GLOBAL, "the user does not follow the account", NEVER),
        65301 => operator(MENUS, "there is no menu by condition with this id", CALL),
        65302 => operator(MENUS, "there is no such user", CALL),
        65303 => operator(MENUS, "a menu by condition needs the default menu first", MENU),
        65304 => operator(MENUS, "the condition of the menu is empty", MENU),
        65305 => operator(MENUS, "there are too many menus by condition", MENU),
        65306 => operator(MENUS, "the account may not have menus by condition", MENU),
        65307 => operator(MENUS, "the menu by condition is empty", MENU),
        65308 => operator(MENUS, "a button of the menu by condition has no type", MENU),
        65309 => operator(MENUS, "menus by condition are switched off", "switch them on in the console"),
        65310 => operator(MENUS, "the condition of the menu lacks the country", MENU),
        65311 => operator(MENUS, "the condition of the menu lacks the province", MENU),
        65312 => operator(MENUS, "the country in the condition of the menu is invalid", MENU),
        65313 => operator(MENUS, "the province in the condition of the menu is invalid", MENU),
        65314 => operator(MENUS, "the city in the condition of the menu is invalid", MENU),
        65316 => operator(MENUS, "the menu leads to more than three outside domains", MENU),
        65317 => operator(MENUS, "a url in the menu by condition is invalid", MENU),
        _ => return None,
    })
}
