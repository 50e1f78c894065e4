//! What the browser is shown: the consent page, WeChat's error page, the way back.
//!
//! Chinese or English as the browser asks; everything in one file, so that the pages work
//! without another request. Every text that goes in is escaped.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::super::oauth::Scope;
use super::super::wire::{Page, Request};
use super::authorize::{Consent, Sight};
use super::link::Wrong;
use super::people::{self, Shown};
use super::site::{Requested, Unionid};

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in [
        ("consent.html", include_str!("html/consent.html")),
        ("notice.html", include_str!("html/notice.html")),
        ("twice.html", include_str!("html/twice.html")),
        ("frame.html", include_str!("html/frame.html")),
    ] {
        env.add_template(name, text).expect("the templates are part of the program, and a test shows each");
    }
    env
});

/// The texts of one language.
#[derive(Debug, Serialize)]
struct Words {
    lang: &'static str,
    simulated: &'static str,
    asks: &'static str,
    who: &'static str,
    no_picture: &'static str,
    how: &'static str,
    full: &'static str,
    snapshot: &'static str,
    allow: &'static str,
    refuse: &'static str,
    goes_to: &'static str,
    no_fragment: &'static str,
    wrong: &'static str,
    number: &'static str,
    refused: &'static str,
    on_the_way: &'static str,
}

const ENGLISH: Words = Words {
    lang: "en",
    simulated: "Simulated WeChat",
    asks: "asks for your nickname and picture",
    who: "Who are you?",
    no_picture: "no picture",
    how: "How is the page open?",
    full: "In full",
    snapshot: "As a snapshot: a virtual user logs in",
    allow: "Allow",
    refuse: "Refuse",
    goes_to: "You then go back to",
    no_fragment: "The link does not end in #wechat_redirect. WeChat does not open it without, also when a \
                  redirect's Location leads to it.",
    wrong: "The link cannot be opened",
    number: "Error code",
    refused: "You refused. WeChat stays here; go back by hand.",
    on_the_way: "On the way back …",
};

const CHINESE: Words = Words {
    lang: "zh-CN",
    simulated: "模拟微信",
    asks: "申请获取你的昵称、头像",
    who: "你是谁？",
    no_picture: "无头像",
    how: "页面以什么方式打开？",
    full: "完整页面",
    snapshot: "快照页：登录的是虚拟用户",
    allow: "允许",
    refuse: "拒绝",
    goes_to: "之后返回",
    no_fragment: "链接没有以 #wechat_redirect 结尾。缺少它时微信不打开此页，302 跳转的 Location 里也必须带上。",
    wrong: "无法打开此链接",
    number: "错误码",
    refused: "你已拒绝。微信停留在此页，请手动返回。",
    on_the_way: "正在返回……",
};

/// WeChat's own words for its numbers; the error page of the client has them in Chinese only.
fn words_for(number: i64) -> &'static str {
    match number {
        10003 => "redirect_uri域名与后台配置不一致",
        10004 => "此公众号被封禁",
        10005 => "此公众号并没有这些scope的权限",
        10006 => "必须关注此测试号",
        10009 => "操作太频繁了，请稍后重试",
        10010 => "scope不能为空",
        10011 => "redirect_uri不能为空",
        10012 => "appid不能为空",
        10013 => "state不能为空",
        10015 => "公众号未授权第三方平台，请检查授权状态",
        10016 => "不支持微信开放平台的Appid，请使用公众号Appid",
        _ => "参数错误",
    }
}

/// The first of the two languages that the browser names.
fn words(request: &Request) -> &'static Words {
    let mut named = request.header("accept-language").split(',').map(str::trim);
    let of = |tag: &str| match tag.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("zh") => Some(&CHINESE),
        Some("en") => Some(&ENGLISH),
        _ => None,
    };
    named.find_map(of).unwrap_or(&ENGLISH)
}

/// Draws it.
pub(super) fn draw(sight: Sight, request: &Request) -> Page {
    let words = words(request);
    match sight {
        Sight::Wrong(wrong) => refused(&wrong, request),
        Sight::Consent(consent) => ask(&consent, words, request),
        Sight::Stays => html(200, "notice.html", words, context! { title => words.refused }),
        Sight::Back { to, person, requested } => {
            let mut page = match requested {
                Requested::Once => Page { location: Some(to), ..Page::text(302, "") },
                Requested::TwiceInTurn | Requested::TwiceAtOnce => {
                    let how = if requested == Requested::TwiceInTurn { "in_turn" } else { "at_once" };
                    html(200, "twice.html", words, context! { to, how })
                }
            };
            page.headers.push(("Cache-Control", "no-store".to_owned()));
            if let Some(name) = person {
                page.headers.push(("Set-Cookie", people::remember(&name)));
            }
            page
        }
    }
}

/// WeChat's error page; also for a number that a script brought.
pub(super) fn refused(wrong: &Wrong, request: &Request) -> Page {
    let Wrong { number, why } = wrong;
    let title = words_for(number.unwrap_or_default());
    html(200, "notice.html", words(request), context! { title, number, why })
}

fn ask(consent: &Consent, words: &'static Words, request: &Request) -> Page {
    let Consent { link, people, chosen, mode, unionid } = consent;
    let host = request.header("host");
    let people: Vec<_> = people
        .iter()
        .map(|person| {
            context! {
                name => &person.name,
                nickname => &person.nickname,
                picture => person.head(host),
                openid => person.openid(&link.appid),
                unionid => match unionid {
                    Unionid::Bound => person.unionid(),
                    Unionid::Unbound => String::new(),
                },
            }
        })
        .collect();
    let scope = match link.scope {
        Scope::Base => "snsapi_base",
        Scope::UserInfo => "snsapi_userinfo",
    };
    let it = context! {
        appid => &link.appid,
        scope,
        people,
        chosen,
        snapshot => *mode == Shown::Snapshot,
        goes_to => link.target.host_str(),
        query => &request.raw_query,
    };
    html(200, "consent.html", words, it)
}

fn html(status: u16, name: &str, words: &'static Words, it: minijinja::Value) -> Page {
    let drawn = TEMPLATES
        .get_template(name)
        .and_then(|template| template.render(context! { w => Serde(words), ..it }));
    match drawn {
        Ok(text) => Page::of(status, "text/html; charset=utf-8", text),
        Err(error) => Page::text(500, format!("the simulator's page {name} is broken: {error}\n")),
    }
}
