//! Every word of the pages, in both languages.
//!
//! One phrase, English and Chinese side by side: a missing translation does not compile.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::services::oauth::return_to::Refused;
use crate::services::oauth::site::Unlisted;

/// The pages' languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    /// Simplified Chinese.
    Zh,
    /// English.
    En,
}

/// What a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// No account has this path.
    NoAccount,
    /// The return address is none that can be gone to.
    ReturnTo(Refused),
    /// It is nobody's.
    Unlisted(Unlisted),
    /// `scope=` is no scope.
    NoScope,
    /// More than the application may ask for.
    TooMuch,
    /// The user said no.
    UserRefused,
    /// Another browser began this login.
    OtherBrowser,
    /// No such login, or not any more.
    Over,
    /// A second code for a login that has one.
    OtherCode,
    /// A snapshot page's virtual user.
    Snapshot,
    /// What ended it for good.
    Stopped(Stopped),
    /// WeChat or the daemon cannot be reached now, or are busy, with WeChat's number if it sent one.
    Away(Option<i64>),
    /// The store cannot.
    Storage,
    /// Too many at once.
    Busy,
    /// A defect.
    Broken,
}

/// What ended a login for good, with nobody to blame in the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stopped {
    /// WeChat's codes were not good, time and again.
    Restarts,
    /// WeChat refused, with this number.
    WeChat(i64),
    /// The daemon does not let this service exchange codes.
    Setup,
}

/// A page's words.
pub(super) struct Said {
    pub(super) title: &'static str,
    pub(super) lines: Vec<String>,
    /// What is on its button.
    pub(super) onward: Option<&'static str>,
}

/// The words of the form of the made-up logins.
pub(super) struct FormWords {
    pub(super) title: &'static str,
    pub(super) line: &'static str,
    pub(super) login: &'static str,
    pub(super) refuse: &'static str,
    pub(super) snapshot: &'static str,
    pub(super) other: &'static str,
}

impl Lang {
    /// What the browser prefers; Chinese if it says nothing of either.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|text| text.to_str().ok());
        let mut best = (0.0, Self::Zh);
        for part in wanted.unwrap_or_default().split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let tag = pieces.next().unwrap_or_default().split('-').next().unwrap_or_default();
            let weight =
                pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
            let lang = match tag {
                "zh" => Self::Zh,
                "en" => Self::En,
                _ => continue,
            };
            if let Some(weight) = weight.filter(|weight: &f32| *weight > best.0) {
                best = (weight, lang);
            }
        }
        best.1
    }

    pub(super) const fn tag(self) -> &'static str {
        self.of_two("en", "zh-CN")
    }

    const fn of_two(self, en: &'static str, zh: &'static str) -> &'static str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

impl What {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoAccount => StatusCode::NOT_FOUND,
            Self::ReturnTo(_) | Self::Unlisted(_) | Self::NoScope | Self::TooMuch | Self::Over => {
                StatusCode::BAD_REQUEST
            }
            Self::UserRefused | Self::OtherBrowser | Self::OtherCode | Self::Snapshot => {
                StatusCode::FORBIDDEN
            }
            Self::Stopped(_) => StatusCode::BAD_GATEWAY,
            Self::Away(_) | Self::Storage | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// In seconds: when it may be better.
    pub(super) fn retry_after(self) -> Option<u64> {
        let after = match self {
            Self::Away(_) | Self::Storage => Duration::from_secs(3),
            Self::Busy => Duration::from_secs(10),
            _ => return None,
        };
        Some(after.as_secs())
    }

    /// For logs and metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::ReturnTo(_) => "return_to",
            Self::Unlisted(_) => "unlisted",
            Self::NoScope | Self::TooMuch => "scope",
            Self::UserRefused => "user_refused",
            Self::OtherBrowser => "other_browser",
            Self::Over => "over",
            Self::OtherCode => "other_code",
            Self::Snapshot => "snapshot",
            Self::Stopped(Stopped::Restarts) => "restarts",
            Self::Stopped(Stopped::WeChat(_)) => "wechat",
            Self::Stopped(Stopped::Setup) => "setup",
            Self::Away(_) => "away",
            Self::Storage => "storage",
            Self::Busy => "busy",
            Self::Broken => "broken",
        }
    }

    #[expect(clippy::too_many_lines, reason = "a list of phrases, read from top to bottom")]
    pub(super) fn said(self, lang: Lang) -> Said {
        let two = |en, zh| lang.of_two(en, zh);
        let again = Some(two("Try again", "重试"));
        let start = Some(two("To the start page", "返回首页"));
        let page = |title, line: &str, onward| Said { title, lines: vec![line.to_owned()], onward };
        let bad_link = two("This login link is not right", "登录链接有误");
        let tell = two(
            "You have done nothing wrong. Please tell whoever runs the page that sent you here.",
            "这不是您的问题。请联系您刚才所在页面的负责人。",
        );
        let link =
            |reason: String| Said { title: bad_link, lines: vec![reason, tell.to_owned()], onward: None };
        match self {
            Self::NoAccount => link(two("There is no such account here.", "这里没有这个公众号。").to_owned()),
            Self::ReturnTo(refused) => link(match lang {
                Lang::En => format!("The address to return to is refused: {refused}."),
                Lang::Zh => format!("登录后返回的地址被拒绝：{}。", refused_zh(refused)),
            }),
            Self::Unlisted(unlisted) => link(match lang {
                Lang::En => format!("The address to return to is refused: {unlisted}."),
                Lang::Zh => format!(
                    "登录后返回的地址被拒绝：{}。",
                    match unlisted {
                        Unlisted::App => "该公众号没有 app= 所指的应用（[[oauth.app]]）",
                        Unlisted::Origin => "其来源（origin）不在该公众号任何应用的 origins 列表中",
                    }
                ),
            }),
            Self::NoScope => link(
                two(
                    "scope= is neither snsapi_base nor snsapi_userinfo.",
                    "scope= 只能是 snsapi_base 或 snsapi_userinfo。",
                )
                .to_owned(),
            ),
            Self::TooMuch => link(
                two(
                    "It asks for snsapi_userinfo, and its [[oauth.app]] may ask for snsapi_base at most.",
                    "它请求 snsapi_userinfo，而该应用（[[oauth.app]]）最多只能请求 snsapi_base。",
                )
                .to_owned(),
            ),
            Self::UserRefused => page(
                two("You are not logged in", "您尚未登录"),
                two(
                    "You did not agree on WeChat's page, so nothing was told about you.",
                    "您没有在微信页面上同意授权，我们没有获得您的任何信息。",
                ),
                again,
            ),
            Self::OtherBrowser => page(
                two("This login was begun somewhere else", "该登录并非在此浏览器中发起"),
                two(
                    "It belongs to another browser, or this one keeps no cookies. If you followed a link that somebody \
                     sent you, leave it. Else open the page that you wanted once more, and log in there.",
                    "它属于另一个浏览器，或者当前浏览器禁用了 Cookie。如果您是通过别人发来的链接打开的，请不要继续；否则请重新打开您要访问的页面并登录。",
                ),
                start,
            ),
            Self::Over => page(
                two("This login is over", "该登录已失效"),
                two(
                    "It took longer than ten minutes, or has been used already. Open the page that you wanted once more.",
                    "登录超过了十分钟，或者已经使用过。请重新打开您要访问的页面。",
                ),
                start,
            ),
            Self::OtherCode => page(
                two("This login has been used", "该登录已被使用"),
                two(
                    "It came back from WeChat a second time, and differently. Open the page that you wanted once more.",
                    "它再次从微信返回，且内容不同。请重新打开您要访问的页面。",
                ),
                start,
            ),
            Self::Snapshot => page(
                two("Please use the full service", "请使用完整服务"),
                two(
                    "WeChat shows this page as a preview, without telling who you are. Tap “使用完整服务” (use the full \
                     service) at the bottom of the screen, then continue here.",
                    "微信正在以快照方式预览此页面，无法识别您的身份。请点击屏幕下方的“使用完整服务”，然后继续登录。",
                ),
                Some(two("Continue", "继续登录")),
            ),
            Self::Stopped(Stopped::Restarts) => page(
                two("WeChat did not complete the login", "微信未能完成登录"),
                two("It was tried several times. Please try again in a moment.", "已尝试多次，请稍后再试。"),
                again,
            ),
            Self::Stopped(Stopped::WeChat(errcode)) => Said {
                title: two("WeChat refused the login", "微信拒绝了此次登录"),
                lines: vec![
                    match lang {
                        Lang::En => format!("WeChat's number for it is {errcode}."),
                        Lang::Zh => format!("微信返回的错误码：{errcode}。"),
                    },
                    two("Please tell whoever runs this page.", "请联系页面负责人。").to_owned(),
                ],
                onward: again,
            },
            Self::Stopped(Stopped::Setup) => page(
                two("The login is not set up", "登录服务尚未配置好"),
                two(
                    "Please tell whoever runs this page; the log says what is missing.",
                    "请联系页面负责人，日志中有原因。",
                ),
                again,
            ),
            Self::Away(errcode) => Said {
                title: two("WeChat cannot be asked at the moment", "暂时无法连接微信"),
                lines: errcode
                    .map(|errcode| match lang {
                        Lang::En => format!("WeChat's number for it is {errcode}."),
                        Lang::Zh => format!("微信返回的错误码：{errcode}。"),
                    })
                    .into_iter()
                    .chain([two("Nothing is lost: please try again.", "登录尚未失效，请重试。").to_owned()])
                    .collect(),
                onward: again,
            },
            Self::Storage => page(
                two("The login cannot be kept at the moment", "暂时无法保存登录状态"),
                two("Please try again in a moment.", "请稍后重试。"),
                again,
            ),
            Self::Busy => page(
                two("Too many people are logging in", "当前登录人数过多"),
                two("Please try again in a moment.", "请稍后重试。"),
                again,
            ),
            Self::Broken => page(
                two("Something went wrong here", "服务出错了"),
                two("Please try again; the log knows more.", "请重试，日志中有原因。"),
                again,
            ),
        }
    }

    /// One of each.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        use Refused::{Backslash, Control, Form, Host, NotText, TooLong, TwoSlashes};
        let mut all = vec![
            Self::NoAccount,
            Self::Unlisted(Unlisted::App),
            Self::Unlisted(Unlisted::Origin),
            Self::NoScope,
            Self::TooMuch,
            Self::UserRefused,
            Self::OtherBrowser,
            Self::Over,
            Self::OtherCode,
            Self::Snapshot,
            Self::Stopped(Stopped::Restarts),
            Self::Stopped(Stopped::WeChat(40_013)),
            Self::Stopped(Stopped::Setup),
            Self::Away(None),
            Self::Away(Some(-1)),
            Self::Storage,
            Self::Busy,
            Self::Broken,
        ];
        all.extend([Backslash, Control, Form, Host, NotText, TooLong, TwoSlashes].map(Self::ReturnTo));
        all
    }
}

fn refused_zh(refused: Refused) -> &'static str {
    match refused {
        Refused::TooLong => "超过 2048 字节",
        Refused::NotText => "不是 UTF-8，或百分号编码不完整",
        Refused::Control => "含有制表符、换行等控制字符",
        Refused::Backslash => "在查询参数之前含有反斜杠",
        Refused::TwoSlashes => "以两个斜杠开头，会跳转到其他主机",
        Refused::Form => "既不是以单个斜杠开头，也不是以 https:// 或 http:// 开头",
        Refused::Host => "主机名书写不规范：只能是 ASCII 字母、数字、- 和 .（其他文字用 xn--…），以及端口",
    }
}

/// The form's words.
pub(super) fn form(lang: Lang) -> FormWords {
    let two = |en, zh| lang.of_two(en, zh);
    FormWords {
        title: two("Who are you today?", "以谁的身份登录？"),
        line: two(
            "This page stands in for WeChat's. Choose somebody made up, or what a user may do instead.",
            "此页面代替微信的授权页。请选择一个虚构的用户，或模拟用户的其他操作。",
        ),
        login: two("Log in", "登录"),
        refuse: two("Refuse, as a user may", "拒绝授权"),
        snapshot: two("Be a snapshot user", "模拟快照页用户"),
        other: two("another name", "其他名字"),
    }
}

/// What every page says while logins are made up.
pub(super) fn debug(lang: Lang) -> &'static str {
    lang.of_two(
        "DEBUG LOGIN IS ON: nobody here is proved to be anybody",
        "调试登录已开启：所有身份均为虚构，未经微信验证",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn language_is_what_the_browser_prefers_and_chinese_if_it_has_neither() {
        for (header, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-US,en;q=0.9,zh;q=0.8", Lang::En),
            ("fr,en;q=0.5", Lang::En),
            ("fr", Lang::Zh),
            ("en;q=0", Lang::Zh),
            ("en;q=x", Lang::Zh),
            ("", Lang::Zh),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(header))]);
            assert_eq!(Lang::of(&headers), lang, "{header}");
        }
        assert_eq!(Lang::of(&HeaderMap::new()), Lang::Zh);
    }
}
