//! Every word of the status page, in both languages.
//!
//! One line a phrase, English and Chinese side by side: a missing translation does not compile.
//! `{}` is where a span, a number or a name goes. What WeChat's errcodes mean is in
//! [`super::remedies`]; appids, fingerprints and commands are the same in every language.

use serde::Serialize;

/// The page's languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// The language's tag in addresses, cookies and HTML.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    /// The language of a tag, as in an address.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        [Self::En, Self::Zh].into_iter().find(|lang| lang.as_str() == tag)
    }

    /// What a browser prefers: of our two the one that `Accept-Language` weighs more, the
    /// first of equals, and English if it has neither.
    pub(super) fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::En);
        for part in header.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let tag = pieces.next().unwrap_or_default();
            let weight =
                pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
            let Some(lang) = Self::parse(tag.split('-').next().unwrap_or_default()) else { continue };
            if let Some(weight) = weight.filter(|weight: &f32| *weight > best.0) {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// Its words.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::En => &EN,
            Self::Zh => &ZH,
        }
    }
}

macro_rules! words {
    ($($name:ident: $en:literal, $zh:literal;)+) => {
        /// The page's phrases in one language.
        #[derive(Debug, Serialize)]
        pub(super) struct Words { $(pub(super) $name: &'static str,)+ }

        const EN: Words = Words { $($name: $en,)+ };
        const ZH: Words = Words { $($name: $zh,)+ };
    };
}

words! {
    // Spans, counted by the page itself: the units, and where they stand.
    days: "d", "天";
    hours: "h", "小时";
    minutes: "min", "分";
    seconds: "s", "秒";
    unit_gap: "\u{a0}", "";
    form_plain: "{}", "{}";
    form_in: "in {}", "{}后";
    form_ago: "{} ago", "{}前";
    form_left: "{} left", "剩 {}";
    now: "now", "现在";
    ended: "ended", "已过期";

    // The head.
    title: "Token status", "凭证状态";
    all_well: "Every credential is fresh", "全部凭证正常";
    none_yet: "No account is configured", "还没有配置账号";
    n_need_operator: "{} need an operator", "{} 个需要人工处理";
    one_needs_operator: "1 needs an operator", "1 个需要人工处理";
    n_without_value: "{} without a value", "{} 个没有可用值";
    n_degraded: "{} degraded", "{} 个降级";
    n_paused: "{} paused", "{} 个已暂停";
    ready: "ready", "就绪";
    not_ready: "not ready", "未就绪";
    version: "version", "版本";
    up: "up", "已运行";
    live: "live", "实时";
    reconnecting: "reconnecting …", "正在重连…";
    still: "not live", "非实时";
    language: "中文", "English";
    sign_in: "Sign in", "登录";
    sign_out: "Sign out", "退出";
    signed_in_as: "signed in as", "已登录：";

    // Totals, and the filters that they are.
    all: "All", "全部";
    problems: "Problems", "有问题";
    fresh: "Fresh", "正常";
    degraded: "Degraded", "降级";
    no_value: "No value", "无可用值";
    operator: "Needs operator", "需人工处理";
    paused: "Paused", "已暂停";
    refreshing: "Refreshing", "刷新中";
    search: "appid or name", "appid 或名称";
    search_go: "Search", "搜索";
    any_kind: "Every kind", "全部类型";
    access_token: "access token", "access_token";
    jsapi_ticket: "JS-SDK ticket", "jsapi_ticket";
    wx_card_ticket: "card ticket", "wx_card_ticket";
    kind: "Kind", "类型";
    sort: "Order", "排序";
    sort_urgency: "problems first", "问题优先";
    sort_name: "by appid", "按 appid";
    clear: "Clear", "清除";

    // The list.
    keys: "Credentials", "凭证";
    nothing_found: "Nothing matches.", "没有符合条件的凭证。";
    nothing_found_hint: "Try another word, or show all.", "换个关键词，或显示全部。";
    page_of: "Page {} of {}", "第 {} / {} 页";
    n_keys: "{} keys", "{} 个凭证";
    previous: "Previous", "上一页";
    next_page: "Next", "下一页";
    pages: "Pages", "分页";
    life: "life", "有效期";
    life_of: "of {}", "共 {}";
    dies: "may die", "最晚失效";
    next: "next attempt", "下次刷新";
    next_soon: "now", "马上";
    next_paused: "paused, ends", "已暂停，恢复于";
    next_parent: "waits for the access token", "等待 access_token";
    next_removed: "removed", "已移除";
    today: "calls in 24 h", "24 小时调用";
    forced: "forced", "强制";
    last: "last attempt", "上次刷新";
    none: "none yet", "还没有";
    fingerprint: "fingerprint", "指纹";
    generation: "generation", "代";
    failures: "failures in a row", "连续失败";
    foreign: "foreign refreshes", "外部刷新";
    foreign_hint: "Another program seems to fetch tokens with this AppSecret: find it, or set token_mode = \"stable\".",
        "似乎有其他程序在用同一个 AppSecret 获取 token：请找到它，或设置 token_mode = \"stable\"。";
    what_to_do: "What to do", "处理办法";
    rid: "request id", "请求编号";
    tickets_parent: "The account has no access token yet; the ticket follows by itself.",
        "该账号还没有 access_token；有了之后会自动获取。";
    not_fetched: "Not fetched yet.", "尚未获取。";

    // Reasons of a degraded value.
    reported_dead: "WeChat said that it is dead; it is being replaced", "微信称其已失效，正在更换";
    unknown_outcome: "a call without an answer may have replaced it; good for 5 minutes at most",
        "一次没有应答的调用可能已将其替换，最多再用 5 分钟";
    renewal_failing: "renewals fail; the value is still good", "续期失败，当前值仍可用";
    ledger: "it could not be stored: look at the disk of state_dir, and do not restart before that is mended",
        "未能写入账本：请检查 state_dir 所在磁盘，修好之前不要重启";
    ticket_not_rotated: "WeChat repeats the ticket beyond its stated life", "微信在有效期之外仍返回同一个票据";

    // How attempts ended, and why they were made.
    issued: "new value", "取得新值";
    same: "same value", "值未变";
    refused: "refused", "被拒绝";
    never_sent: "not sent", "未发出";
    unknown: "no answer", "无应答";
    deadline: "on schedule", "定时";
    complaint: "after a complaint", "因失效上报";
    parent: "after its token changed", "因 token 更换";
    command: "by command", "人工命令";

    // Beside the list.
    recent: "Recent events", "最近事件";
    no_events: "Nothing has happened yet.", "还没有事件。";
    events_slow: "The ledger does not answer; older events may be missing.", "账本没有应答，可能缺少较早的事件。";
    mirrors: "memcached", "memcached";
    no_mirrors: "No server is configured.", "没有配置服务器。";
    connected: "connected", "已连接";
    disconnected: "away", "连不上";
    pending: "pending", "待写";
    written: "written", "已写";
    last_answer: "answered", "上次应答";
    watchers: "Watchers", "订阅者";
    watchers_hint: "open gRPC watches", "个 gRPC 订阅";
    streams_hint: "status pages", "个状态页";

    // What happened.
    ev_rotated: "rotated", "已更换";
    ev_first: "first value", "首次取得";
    ev_lost: "no good value any more", "已无可用值";
    ev_back: "has a value again", "恢复可用";
    ev_trouble: "trouble", "出现问题";
    ev_recovered: "recovered", "已恢复";
    ev_degraded: "degraded", "降级";
    ev_dead: "WeChat confirmed a complaint: dead", "微信确认已失效";
    ev_complaint: "complaint", "投诉失效";
    complaint_refreshed: "dead, replaced", "确已失效，已更换";
    complaint_replaced: "had been replaced before", "此前已更换";
    complaint_valid: "WeChat says it works", "微信确认仍有效";
    complaint_unchanged: "WeChat repeats the same ticket", "微信返回同一票据";
    complaint_unverified: "WeChat would not say; unchanged", "微信未作判定；未更换";
    complaint_failed: "no verdict or no new value", "无法判定，或未取得新值";
    complaint_callers: "callers: {}", "调用方：{}";
    ev_paused: "paused", "已暂停";
    ev_resumed: "resumed", "已恢复运行";
    ev_added: "added", "已加入";
    ev_removed: "removed", "已移除";
    ev_reloaded: "configuration reloaded", "配置已重新加载";
    ev_reload_failed: "reload failed: correct this, then reload again", "重新加载失败：请改正后再次加载";
    restart_needed: "restart needed for {}", "以下改动需重启：{}";
    ev_started: "daemon started", "守护进程启动";
    ev_foreign: "foreign refresh suspected", "疑似外部刷新";
    ev_odd_life: "odd lifetime", "有效期异常";
    ev_leak_reported: "leak reported", "已上报泄露";
    ev_leak_contained: "leak contained", "泄露已处置";

    // Actions.
    refresh: "Refresh now", "立即刷新";
    pause: "Pause", "暂停";
    resume: "Resume", "恢复";
    refresh_title: "Refresh this credential now?", "立即刷新该凭证？";
    refresh_text: "One issuing call is made to WeChat, out of the day's small budget of forced calls. The value that programs hold now is replaced and ends soon after.",
        "将向微信发起一次强制获取，计入当天有限的强制次数。程序手中的当前值将被替换，并很快失效。";
    pause_title: "Pause this credential?", "暂停该凭证？";
    pause_text: "No attempt is made until the pause ends. The current value is served to its end, and complaints are refused.",
        "暂停期间不再刷新；当前值仍会提供到有效期结束，失效上报会被拒绝。";
    resume_title: "Resume this credential?", "恢复该凭证？";
    resume_text: "Attempts are made again; if something had failed, at once.", "恢复刷新；若之前失败过，会立即重试。";
    pause_for: "Pause for", "暂停时长";
    quarter_hour: "15 minutes", "15 分钟";
    one_hour: "1 hour", "1 小时";
    six_hours: "6 hours", "6 小时";
    one_day: "1 day", "1 天";
    confirm: "Yes, do it", "确定";
    cancel: "Cancel", "取消";
    close: "Close", "关闭";

    // How actions ended.
    did_paused: "paused", "已暂停";
    did_resumed: "resumed", "已恢复";
    did_refreshed: "refreshed: programs get a new value", "已刷新：程序将取得新值";
    did_unchanged: "asked; WeChat repeats the same value", "已请求；微信返回同一个值";
    did_asked: "the refresh is under way; its outcome will appear here", "正在刷新，结果会显示在这里";
    did_not: "not done", "未完成";
    try_again: "try again in {}", "请在 {} 后重试";
    busy: "too many actions are under way; try again in a minute", "正在进行的操作过多，请一分钟后重试";

    // Signing in.
    sign_in_title: "Sign in", "登录";
    sign_in_text: "Paste the bearer token of a client. It is checked against the daemon's configuration and is neither stored nor logged; the browser gets a session that ends after 8 hours, or after 30 minutes without use.",
        "粘贴某个客户端的令牌。令牌只用于核对守护进程的配置，不保存、不写日志；浏览器得到一个会话，8 小时后或闲置 30 分钟后结束。";
    sign_in_admin: "To pause, resume or refresh, the client needs the action admin.", "暂停、恢复、刷新需要客户端有 admin 权限。";
    token: "Bearer token", "令牌";
    no_client: "No client yet? On the server run", "还没有客户端？在服务器上运行";
    back: "Back", "返回";

    // Refusals.
    bad_token: "This token is not known here. Check that you pasted all of it, and that the daemon was reloaded since the client was added.",
        "无法识别该令牌。请检查是否粘贴完整，以及添加客户端后是否重新加载过守护进程。";
    ended_token: "The access of this client has ended (not_after). Extend it in the configuration and reload.",
        "该客户端的访问权限已到期（not_after）。请在配置中延长并重新加载。";
    no_right: "This client may neither see the status nor steer credentials. Give it the action status or admin, and reload.",
        "该客户端既不能查看状态也不能操作凭证。请为其添加 status 或 admin 权限并重新加载。";
    too_many: "Too many attempts to sign in. Wait a minute, then try again.", "登录尝试过多，请稍等一分钟再试。";
    stale_form: "This form is no longer valid: the session has changed since it was opened. Nothing was done. Go back, look again, and repeat it.",
        "表单已失效：打开之后会话已变化。未执行任何操作，请返回确认后重试。";
    foreign_form: "This request came from another site and was refused. Nothing was done. Behind a reverse proxy, add the public name to [admin] hosts.",
        "请求来自其他网站，已拒绝，未执行任何操作。若位于反向代理之后，请把对外域名加入 [admin] hosts。";
    foreign_host: "The address in the browser is not one that this daemon answers to. Use its IP address or localhost, or add the name to [admin] hosts.",
        "本守护进程不接受该访问地址。请使用 IP 地址或 localhost，或把域名加入 [admin] hosts。";
    not_granted: "Your client may not do this with this credential. It needs the action admin for this account and kind.",
        "当前客户端无权对该凭证执行此操作，需要该账号和类型的 admin 权限。";
    no_such_key: "This credential does not exist (any more).", "该凭证不存在（或已移除）。";
    no_such_page: "There is nothing at this address.", "没有这个页面。";
    bad_request: "This request is not understood. Go back and try again.", "无法理解该请求，请返回重试。";
    too_many_pages: "Too many status pages are open; this one is not live. Close some and reload.", "打开的状态页过多，本页不是实时的。请关闭一些后刷新。";
    noscript: "Without JavaScript this page is a snapshot: reload to see changes.", "未启用 JavaScript，本页为快照：刷新可查看变化。";
    failed: "This could not be shown. The daemon's log says why.", "无法显示，原因见守护进程日志。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_gets_the_language_that_it_prefers_of_the_two() {
        for (header, lang) in [
            ("", Lang::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-US,en;q=0.9,zh;q=0.8", Lang::En),
            ("fr, zh-TW;q=0.3", Lang::Zh),
            ("en;q=0.1, zh;q=0.9", Lang::Zh),
            ("zh;q=0, en;q=0.5", Lang::En),
            ("zh;q=x", Lang::En),
        ] {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }

    #[test]
    fn phrases_have_the_same_places_in_both_languages() {
        let english = serde_json::to_value(&EN).unwrap();
        let chinese = serde_json::to_value(&ZH).unwrap();
        let english = english.as_object().unwrap();
        assert!(english.len() > 100);
        for (name, phrase) in english {
            let places = |text: &serde_json::Value| text.as_str().unwrap().matches("{}").count();
            assert_eq!(places(phrase), places(&chinese[name]), "{name}");
        }
    }
}
