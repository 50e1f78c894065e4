//! What is wrong and what to do, in the page's language.
//!
//! English texts come with the problem (the errcode table); the numbers that a person has to do
//! something about have Chinese ones here, with the console's own words. A number without one
//! is shown in English rather than guessed at.

use crate::model::Kind;

use super::row::Trouble;
use super::words::Lang;

/// How the English action begins when WeChat said which address it saw.
const SAW: &str = "WeChat saw the address ";

const BASIC: &str = "mp.weixin.qq.com → 设置与开发 → 基本配置";

/// Puts the trouble's texts into the language, and says whether they remain English in a page
/// that is not.
pub(super) fn speak(trouble: &mut Trouble, lang: Lang) -> Tongue {
    match lang {
        Lang::En => Tongue::Page,
        Lang::Zh => {
            let Some((meaning, action)) = trouble.errcode.and_then(|number| chinese(number, trouble.kind))
            else {
                return Tongue::English;
            };
            let seen = trouble.action.strip_prefix(SAW).and_then(|rest| rest.split_once(": "));
            trouble.action = match seen {
                Some((address, _)) => format!("微信看到的地址是 {address}：{action}"),
                None => action,
            };
            meaning.clone_into(&mut trouble.meaning);
            Tongue::Page
        }
    }
}

/// What a number means, in the language if it has it.
pub(super) fn meaning(number: Option<i64>, kind: Kind, english: &str, lang: Lang) -> String {
    let translated = match lang {
        Lang::En => None,
        Lang::Zh => number.and_then(|number| chinese(number, kind)).map(|(meaning, _)| meaning.to_owned()),
    };
    translated.unwrap_or_else(|| english.to_owned())
}

/// The language of a trouble's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// The page's.
    Page,
    /// English, in a page that is not.
    English,
}

fn chinese(number: i64, kind: Kind) -> Option<(&'static str, String)> {
    let secret = || {
        format!(
            "核对 AppSecret（{BASIC} → AppSecret(开发者密码)）。后台只在重置时显示一次，重置会使旧的失效：重置后写入该账号的 secret 文件，并向守护进程发送 HUP"
        )
    };
    let address = || format!("在 {BASIC} → IP白名单 中加入该地址；几分钟后生效，然后执行 zhongkong refresh");
    let confirm =
        || format!("账号管理员已在微信收到消息：请其点「确认」；要免去确认，把该地址加入 {BASIC} → IP白名单");
    let refused = || format!("账号管理员拒绝了本机地址：请与其沟通，并把该地址加入 {BASIC} → IP白名单");
    let banned =
        || "登录 mp.weixin.qq.com，查看「通知中心」和「违规记录」：那里写明了原因和申诉方式".to_owned();
    let nothing = || "无需处理：会自动重试".to_owned();
    let is_token = kind == Kind::AccessToken;
    Some(match number {
        -1 => ("微信系统繁忙", "无需处理：会自动重试；若持续，请看 mp.weixin.qq.com 上的公告".to_owned()),
        40001 if is_token => ("AppSecret 错误，或属于其他账号", secret()),
        40001 | 40014 | 42001 => (
            "access_token 已失效、已被替换，或属于其他账号",
            "无需处理：会自动更换；若反复出现，说明有其他程序在用同一个 AppSecret 获取 token：请找到它，或设置 token_mode = \"stable\"".to_owned(),
        ),
        40013 => ("appid 无效，或与 token 不符", format!("核对 appid（{BASIC} → AppID(开发者ID)）并改正配置")),
        40125 => ("AppSecret 无效：填错了，或已在后台重置", secret()),
        40164 => ("本机 IP 不在该账号的 IP 白名单中", address()),
        40187 | 45035 => ("本机 IP 未在该账号登记", address()),
        40243 => ("AppSecret 已被冻结", format!("在 {BASIC} → AppSecret(开发者密码) 中「解冻」，然后执行 zhongkong refresh")),
        45009 if is_token => (
            "当天获取 token 的次数已用完",
            "找出还有谁在用同一个 AppSecret 获取 token；设置 token_mode = \"stable\"（次数单独计算）；或清零：mp.weixin.qq.com → 设置与开发 → 接口权限 → 清零（或接口 clear_quota/v2），每月共十次".to_owned(),
        ),
        45009 => (
            "当天调用该接口的次数已用完",
            "等到北京时间次日，或清零：mp.weixin.qq.com → 设置与开发 → 接口权限 → 清零，每月共十次".to_owned(),
        ),
        45011 => ("本分钟内调用过于频繁", nothing()),
        48001 => (
            "该账号没有此接口的权限，或 token 属于其他类型的账号",
            "查看 mp.weixin.qq.com → 设置与开发 → 接口权限".to_owned(),
        ),
        45102 | 45501 => ("微信暂时封禁了该账号的调用", banned()),
        48004 => ("微信禁止该账号使用此接口", banned()),
        50002 => ("账号受限：被冻结或注销", banned()),
        50004 => ("微信禁止该账号获取 token，可能是处罚", banned()),
        50007 => ("账号已被冻结", banned()),
        89501 | 89502 | 89504 | 89505 => ("等待账号管理员确认", confirm()),
        89503 => ("此次调用需要账号管理员确认", confirm()),
        89506 => ("管理员再次拒绝了本机地址：24 小时后才能再试", refused()),
        89507 => ("管理员拒绝了本机地址：1 小时后才能再试", refused()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_wechat_saw_stays_in_the_chinese_action() {
        let mut trouble = Trouble {
            operator: true,
            errcode: Some(40164),
            meaning: "this machine's address is not in the account's IP whitelist".to_owned(),
            action: format!("{SAW}192.0.2.7: add it in …"),
            rid: None,
            english: false,
            kind: Kind::AccessToken,
        };
        assert_eq!(speak(&mut trouble, Lang::Zh), Tongue::Page);
        assert!(trouble.action.contains("192.0.2.7") && trouble.action.contains("IP白名单"), "{trouble:?}");
        assert!(!trouble.meaning.contains("address"));
    }
}
