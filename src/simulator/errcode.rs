//! WeChat's refusals: an errcode with the text that WeChat sends beside it.
//!
//! Only codes that the simulator answers by itself, or that scripts are likely
//! to name, have a text here; any other number can still be scripted.

use std::net::IpAddr;

/// One refusal: what goes out as `errcode` and `errmsg` (without the `rid`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) message: String,
}

impl Refusal {
    /// A refusal with WeChat's own words.
    pub(super) fn new(code: i64) -> Self {
        Self { code, message: text(code).to_owned() }
    }

    /// A refusal with words from a script; 40164 without words names the caller.
    pub(super) fn scripted(code: i64, message: Option<&str>, caller: IpAddr) -> Self {
        match message {
            Some(message) => Self { code, message: message.to_owned() },
            None if code == 40164 => Self::foreign_ip(caller),
            None => Self::new(code),
        }
    }

    /// 40164, which tells the operator the address that WeChat saw.
    pub(super) fn foreign_ip(caller: IpAddr) -> Self {
        let (v4, v6) = match caller {
            IpAddr::V4(v4) => (v4.to_string(), v4.to_ipv6_mapped().to_string()),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => (v4.to_string(), v6.to_string()),
                None => (v6.to_string(), v6.to_string()),
            },
        };
        Self { code: 40164, message: format!("invalid ip {v4} ipv6 {v6}, not in whitelist") }
    }
}

/// WeChat's words for an errcode.
fn text(code: i64) -> &'static str {
    match code {
        -1 => "system error",
        40001 => {
            "invalid credential, access_token is invalid or not latest, could get access_token by \
             getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r"
        }
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40007 => "invalid media_id",
        40008 => "invalid message type",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40016 => "invalid button size",
        40017 => "invalid button type",
        40018 => "invalid button name size",
        40019 => "invalid button key size",
        40020 => "invalid button url size",
        40022 => "invalid sub button level",
        40023 => "invalid sub button size",
        40024 => "invalid sub button type",
        40025 => "invalid sub button name size",
        40026 => "invalid sub button key size",
        40027 => "invalid sub button url size",
        40029 => "invalid code",
        40030 => "invalid refresh_token",
        40033 => "invalid charset. please check your request, if include \\uxxxx will create fail!",
        40035 => "invalid parameter",
        40048 => "invalid url domain",
        40052 => "invalid action name",
        40053 => "invalid action info",
        40054 => "invalid sub button url domain",
        40055 => "invalid button url domain",
        40125 => "invalid appsecret",
        40163 => "code been used",
        40201 => "callback url is not set",
        40202 => "invalid action",
        40203 => "invalid check_operator",
        40243 => "appsecret is frozen, unfreeze it in the console",
        41001 => "access_token missing",
        41002 => "appid missing",
        41003 => "refresh_token missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        41009 => "missing openid",
        42001 => "access_token expired",
        42002 => "refresh_token expired",
        42003 => "code expired",
        42007 => "user changed the password, authorize again",
        43001 => "require GET method",
        43002 => "require POST method",
        44002 => "empty post data",
        44003 => "empty news data",
        44004 => "empty content",
        45002 => "content size out of limit",
        45008 => "article size out of limit",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit mustslower retry next minute",
        45015 => "response out of time limit or subscription is canceled",
        45029 => "qrcode count out of limit",
        45047 => "out of response count limit",
        45064 => "no permission to use weapp in menu",
        46003 => "menu no exist",
        47001 => "data format error",
        48001 => "api unauthorized",
        48006 => "forbid to clear quota because of reaching the limit",
        50004 => "user not allow to use accesstoken, maybe for punishment",
        50007 => "account frozen",
        65301 => "not exist this menuid",
        65302 => "not exist this user",
        65303 => "there is no selfmenu, please create selfmenu first",
        65304 => "match rule empty",
        65305 => "menu count limit",
        65306 => "conditional menu is not supported",
        65307 => "conditional menu is empty",
        65308 => "no type in the button",
        65309 => "conditional menu is closed",
        65310 => "missing country",
        65311 => "missing province",
        65312 => "invalid country",
        65313 => "invalid province",
        65314 => "invalid city",
        65316 => "too many out links",
        65317 => "invalid url",
        65400 => "please enable new custom service, or wait for a while if you have enabled",
        76003 => "invalid cgi_path",
        76021 => "cgi_path not found",
        76022 => "could not use this cgi_path, no permission",
        89501 => "a request for confirmation is not answered yet, retry later",
        89503 => "this call needs the admin's confirmation",
        89506 => "the admin refused this ip, retry after 24 hours",
        89507 => "the admin refused this ip, retry after 1 hour",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_a_foreign_ip_names_the_ip_in_both_forms() {
        // Operators copy the address out of this sentence into the console.
        for seen in ["1.2.3.4", "::ffff:1.2.3.4"] {
            let refusal = Refusal::foreign_ip(seen.parse().unwrap());
            assert_eq!(refusal.message, "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist");
        }
    }
}
