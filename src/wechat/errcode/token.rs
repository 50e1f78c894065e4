//! The numbers of credentials: tokens, AppSecrets, addresses, quotas, bans, components.
//!
//! Lines are ordered by number; where a number depends on the endpoint, its lines stand
//! together. "Console" names both the Chinese words on the screen and what they mean.

use super::Endpoint::{Business, Sns, Ticket, Token};
use super::{AUTHORIZATION, Endpoint, GLOBAL, LIMITS, Row, STABLE, TOKEN};
use super::{later, operator, parent, quota, soon};

/// The console's page with the AppSecret and the address list.
macro_rules! console {
    ($($rest:literal),*) => {
        concat!(
            "mp.weixin.qq.com → 设置与开发 (Settings and Development) → 基本配置 (Basic Configuration)",
            $($rest),*
        )
    };
}

const BUSY: &str =
    "nothing: it is tried again by itself; if it lasts, see Tencent's notices on mp.weixin.qq.com";
const DEAD: &str = "nothing: the token is replaced by itself; if it comes back, another program fetches tokens \
                    with this AppSecret: find it, or set token_mode = \"stable\"";
const NOT_A_TOKEN_CALL: &str = "check api_base and the proxy: such a number does not belong to this endpoint";
const SECRET: &str = concat!(
    "compare the account's AppSecret with ",
    console!(" → AppSecret(开发者密码)"),
    ": the console shows it only when it is reset (重置, which kills the old one), so reset it, put the new one \
     into the account's secret file and send the daemon HUP"
);
const APPID: &str =
    concat!("compare the account's appid with ", console!(" → AppID(开发者ID)"), " and correct it");
const ADDRESS: &str = concat!(
    "add it in ",
    console!(" → IP白名单 (IP whitelist)"),
    "; the change takes some minutes; then `zhongkong refresh`"
);
const CONFIRM: &str = concat!(
    "the account's administrator got a message in WeChat: let them confirm (确认) the call from this machine; to \
     be spared the question, add its address in ",
    console!(" → IP白名单 (IP whitelist)")
);
const REFUSED_ADDRESS: &str = concat!(
    "the account's administrator refused this machine's address: talk to them, and add the address in ",
    console!(" → IP白名单 (IP whitelist)")
);
const BANNED: &str = "log in to mp.weixin.qq.com and read the notices in 通知中心 (Notifications) and 违规记录 \
                      (Violations): they name the reason and the way to appeal";
const PERMISSION: &str = "see mp.weixin.qq.com → 设置与开发 (Settings and Development) → 接口权限 (API Permissions): \
                          the account's type or certification does not include this API, or the token is another \
                          account's";
const PROGRAM: &str = "the program that made the call must be corrected: this is no matter of the token";
const OURS: &str = "report this as a bug of zhongkong, or check what a proxy on the way changes";
const COMPONENT: &str = "an appid of a third-party platform, or one that is run by such a platform, cannot be used \
                         here: configure the account's own appid and AppSecret";

#[expect(clippy::too_many_lines, reason = "one table: a line per number, in their order")]
pub(super) const fn row(endpoint: Endpoint, number: i64) -> Option<Row> {
    Some(match (endpoint, number) {
        (_, -1) => soon(GLOBAL, "WeChat is busy", BUSY),
        (_, 0) => soon(GLOBAL, "WeChat reported success", "nothing"),

        (Token, 40001) => operator(TOKEN, "the AppSecret is wrong, or is another account's", SECRET),
        (Sns, 40001) => operator(AUTHORIZATION, "the AppSecret or the user's token is wrong", SECRET),
        (Ticket | Business, 40001) => {
            parent(GLOBAL, "the access token is dead, replaced, or another account's", DEAD)
        }
        (_, 40002) => operator(TOKEN, "the grant_type is invalid", OURS),
        (_, 40013) => operator(TOKEN, "the appid is invalid, or not the one of the token", APPID),
        (Token, 40014) => operator(GLOBAL, "the access token is invalid", NOT_A_TOKEN_CALL),
        (Sns, 40014) => {
            operator(AUTHORIZATION, "the user's token is invalid", "the user must authorize again")
        }
        (Ticket | Business, 40014) => parent(GLOBAL, "the access token is invalid", DEAD),
        (_, 40125) => operator(TOKEN, "the AppSecret is invalid: mistyped, or reset in the console", SECRET),
        (_, 40164) => operator(TOKEN, "this machine's address is not in the account's IP whitelist", ADDRESS),
        (_, 40166) => operator(GLOBAL, "the mini program's appid does not exist", APPID),
        (_, 40187) => operator(GLOBAL, "this machine's address is invalid for the account", ADDRESS),
        (_, 40188) => operator(AUTHORIZATION, "the scope of the authorization is invalid", PROGRAM),
        (_, 40243) => operator(
            STABLE,
            "the AppSecret is frozen",
            concat!(
                "unfreeze it (解冻) in ",
                console!(" → AppSecret(开发者密码)"),
                ", then `zhongkong refresh`"
            ),
        ),
        (_, 41001) => operator(GLOBAL, "the call had no access token", PROGRAM),
        (_, 41002) => operator(TOKEN, "the call had no appid", OURS),
        (_, 41004) => operator(TOKEN, "the call had no AppSecret", SECRET),
        (Token, 42001) => operator(GLOBAL, "the access token has expired", NOT_A_TOKEN_CALL),
        (Sns, 42001) => {
            operator(AUTHORIZATION, "the user's token has expired", "the user must authorize again")
        }
        (Ticket | Business, 42001) => parent(GLOBAL, "the access token has expired", DEAD),
        (_, 42002) => {
            operator(AUTHORIZATION, "the user's refresh token has expired", "the user must authorize again")
        }
        (_, 42003) => operator(
            AUTHORIZATION,
            "the code has expired: it lives five minutes",
            "send the user through the authorization again",
        ),
        (_, 42006) => operator(GLOBAL, "the third-party platform's token has expired", COMPONENT),
        (_, 42007) => operator(
            AUTHORIZATION,
            "the user changed the WeChat password, which ends authorizations",
            "the user must authorize again",
        ),
        (_, 43002) => operator(STABLE, "the call must be a POST", OURS),

        (Token, 45009) => quota(
            LIMITS,
            "the day's token calls are used up",
            concat!(
                "find what else fetches tokens with this AppSecret; set token_mode = \"stable\", which has a count of \
                 its own; to clear the count, ",
                "mp.weixin.qq.com → 设置与开发 (Settings and Development) → 接口权限 (API Permissions) → 清零 (Clear), \
                 or the API clear_quota/v2: together ten times a month"
            ),
        ),
        (_, 45009) => quota(
            LIMITS,
            "the day's calls of this API are used up",
            "wait for the new day in Beijing (UTC+8), or clear the count: mp.weixin.qq.com → 设置与开发 (Settings and \
             Development) → 接口权限 (API Permissions) → 清零 (Clear), or the API clear_quota: together ten times a month",
        ),
        // The count is per minute of the clock, so a minute from now is always the next one.
        (_, 45011) => {
            later(60, STABLE, "too many calls in this minute", "nothing: it is tried again after a minute")
        }
        (_, 45035) => operator(GLOBAL, "this machine's address is not registered with the account", ADDRESS),
        // Tencent's text gives no time; ten minutes is what a supervisor's block is worth trying at.
        (_, 45102) => later(600, GLOBAL, "WeChat blocks this API for the account for a while", BANNED),
        (_, 45501) => {
            later(600, GLOBAL, "WeChat's supervisors block the account's calls for a while", BANNED)
        }
        (_, 48001) => operator(
            GLOBAL,
            "the account may not use this API, or the token is another type of account's",
            PERMISSION,
        ),
        (_, 48004) => operator(GLOBAL, "WeChat has banned the account from this API", BANNED),
        (_, 48006) => operator(
            LIMITS,
            "this month's ten clearings of call counts are used up",
            "wait for the new day in Beijing (UTC+8), when counts start again",
        ),
        (_, 49001) => operator(GLOBAL, "the appid is not the one of the access token", PROGRAM),
        (_, 50001) => operator(
            AUTHORIZATION,
            "the user has not authorized this",
            "send the user through the authorization with the right scope",
        ),
        (_, 50002) => operator(GLOBAL, "the user or the account is restricted: frozen or closed", BANNED),
        (_, 50003) => operator(GLOBAL, "the user is not expected, perhaps not on a white list", PROGRAM),
        (_, 50004) => {
            operator(STABLE, "WeChat forbids the account to fetch tokens, perhaps as a punishment", BANNED)
        }
        (_, 50007) => operator(STABLE, "the account is frozen", BANNED),

        (_, 61003) => operator(GLOBAL, "the account has not authorized the third-party platform", COMPONENT),
        (_, 61004) => operator(
            GLOBAL,
            "this machine's address is not in the third-party platform's whitelist",
            "add it in open.weixin.qq.com → 管理中心 (Management) → 第三方平台 (Third-party Platform) → 白名单IP地址列表 \
             (IP whitelist)",
        ),
        // WeChat pushes a new ticket every ten minutes.
        (_, 61005) => later(600, GLOBAL, "the third-party platform's ticket has expired", COMPONENT),
        (_, 61006) => later(600, GLOBAL, "the third-party platform's ticket is invalid", COMPONENT),
        (_, 61007) => {
            operator(GLOBAL, "the account did not grant this API to the third-party platform", COMPONENT)
        }
        (_, 61009) => operator(GLOBAL, "the third-party platform's authorization code is invalid", COMPONENT),
        (_, 61010) => {
            operator(GLOBAL, "the third-party platform's authorization code has expired", COMPONENT)
        }
        (_, 61011) => operator(GLOBAL, "the third-party platform is invalid", COMPONENT),
        (_, 61014) => operator(GLOBAL, "this API needs the third-party platform's own token", COMPONENT),
        (_, 61015) => operator(
            GLOBAL,
            "this API needs the token of an account, not the third-party platform's",
            COMPONENT,
        ),
        (_, 61023) => {
            operator(GLOBAL, "the account's refresh token for the third-party platform is invalid", COMPONENT)
        }
        (_, 61024) => operator(
            GLOBAL,
            "this appid is a third-party platform's, which has another way to tokens",
            COMPONENT,
        ),
        (_, 76003) => operator(LIMITS, "the path of a quota query is malformed", PROGRAM),
        (_, 76021) => operator(LIMITS, "the path of a quota query does not exist", PROGRAM),
        (_, 76022) => operator(LIMITS, "the path of a quota query does not go with the token", PROGRAM),
        (_, 87009) => operator(
            GLOBAL,
            "official accounts: the reply does not exist; mini programs: the signature is invalid",
            PROGRAM,
        ),

        // The question to the administrator: it waits for a person, who may need some minutes.
        (_, 89501) => {
            later(180, STABLE, "an earlier question to the administrator has no answer yet", CONFIRM)
        }
        (_, 89502 | 89504 | 89505) => {
            later(180, GLOBAL, "the administrator's confirmation is awaited", CONFIRM)
        }
        (_, 89503) => operator(STABLE, "this call needs the administrator's confirmation", CONFIRM),
        (_, 89506) => later(
            86_400,
            STABLE,
            "the administrator refused this address again: not before 24 hours",
            REFUSED_ADDRESS,
        ),
        (_, 89507) => later(
            3_600,
            STABLE,
            "the administrator refused this address: not before one hour",
            REFUSED_ADDRESS,
        ),
        _ => return None,
    })
}
