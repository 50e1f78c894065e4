//! Web authorization and mini-program login follow WeChat's rules for codes.

use serde_json::{Value, json};
use zhongkong::simulator::{NewCode, Scope};

use crate::support::frozen::Frozen;
use crate::support::simulated::{Simulated, errcode, listed, number, text};

async fn start() -> Simulated {
    Simulated::start(listed()).await
}

async fn exchange(wechat: &Simulated, appid: &str, code: &str) -> Value {
    let path = "/sns/oauth2/access_token?grant_type=authorization_code&secret=s";
    wechat.get(&format!("{path}&appid={appid}&code={code}")).await
}

async fn login(wechat: &Simulated, appid: &str, code: &str) -> Value {
    let path = "/sns/jscode2session?grant_type=authorization_code&secret=s";
    wechat.get(&format!("{path}&appid={appid}&js_code={code}")).await
}

#[tokio::test]
async fn code_is_good_once_for_its_account_within_five_minutes() {
    // Foreign, used, expired and made-up codes have each their number.
    let clock = Frozen::start();
    let wechat = start().await;
    let code = wechat.control.mint_code(NewCode::web("wx1", "o1"));
    assert_eq!(errcode(&exchange(&wechat, "wx2", &code).await), 40029);
    let answer = exchange(&wechat, "wx1", &code).await;
    assert_eq!(text(&answer, "openid"), "o1");
    assert_eq!(number(&answer, "expires_in"), 7200);
    assert_eq!(text(&answer, "scope"), "snsapi_base");
    assert_eq!(answer.get("is_snapshotuser"), None);
    assert_eq!(errcode(&exchange(&wechat, "wx1", &code).await), 40163);
    assert_eq!(errcode(&exchange(&wechat, "wx1", "made-up").await), 40029);
    assert_eq!(errcode(&exchange(&wechat, "wx1", "").await), 41008);
    let code = wechat.control.mint_code(NewCode::web("wx1", "o1"));
    clock.advance_secs(300).await;
    assert_eq!(errcode(&exchange(&wechat, "wx1", &code).await), 42003);
}

#[tokio::test]
async fn profile_is_shown_to_a_user_token_with_consent_only() {
    // Silent scope and snapshot users have no profile; the unionid needs consent.
    let _clock = Frozen::start();
    let wechat = start().await;
    let silent = NewCode::web("wx1", "o1").unionid("u1");
    let full = silent.clone().scope(Scope::UserInfo);
    let cases = [(silent, 48001, None), (full.clone(), 0, Some("u1")), (full.snapshot(), 48001, Some("u1"))];
    for (new, code, unionid) in cases {
        let minted = wechat.control.mint_code(new.clone());
        let answer = exchange(&wechat, "wx1", &minted).await;
        assert_eq!(answer.get("unionid").and_then(Value::as_str), unionid, "{new:?}");
        let token = text(&answer, "access_token");
        let path = format!("/sns/userinfo?access_token={token}&lang=zh_CN&openid=");
        let profile = wechat.get(&format!("{path}o1")).await;
        assert_eq!(errcode(&profile), code, "{new:?}");
        if code == 0 {
            assert_eq!(text(&profile, "unionid"), "u1");
            assert_eq!(errcode(&wechat.get(&format!("{path}o2")).await), 40003);
        }
    }
    let snapshot = wechat.control.mint_code(NewCode::web("wx1", "o1").snapshot());
    let answer = exchange(&wechat, "wx1", &snapshot).await;
    assert_eq!(answer.get("is_snapshotuser"), Some(&json!(1)));
}

#[tokio::test]
async fn user_token_expires_and_is_refreshed_without_the_secret() {
    // Two hours for the token, thirty days for what renews it.
    let clock = Frozen::start();
    let wechat = start().await;
    let code = wechat.control.mint_code(NewCode::web("wx1", "o1"));
    let answer = exchange(&wechat, "wx1", &code).await;
    let check = |token: &str| format!("/sns/auth?access_token={token}&openid=o1");
    let old = text(&answer, "access_token");
    assert_eq!(wechat.get(&check(old)).await, json!({ "errcode": 0, "errmsg": "ok" }));
    assert_eq!(wechat.probe(old).await, 40001, "it opens no account's doors");
    clock.advance_secs(7200).await;
    assert_eq!(errcode(&wechat.get(&check(old)).await), 42001);

    let renew = |appid: &str| {
        let refresh = text(&answer, "refresh_token");
        let path = "/sns/oauth2/refresh_token?grant_type=refresh_token";
        format!("{path}&appid={appid}&refresh_token={refresh}")
    };
    assert_eq!(errcode(&wechat.get(&renew("wx2")).await), 40030);
    let new = wechat.get(&renew("wx1")).await;
    assert_eq!(errcode(&wechat.get(&check(text(&new, "access_token"))).await), 0);
    clock.advance_secs(30 * 86_400).await;
    assert_eq!(errcode(&wechat.get(&renew("wx1")).await), 42002);
}

#[tokio::test]
async fn mini_program_login_takes_its_own_codes_only() {
    // A web code is no login code, nor the other way round.
    let wechat = start().await;
    let web = wechat.control.mint_code(NewCode::web("wx1", "o1"));
    let mini = NewCode::mini_program("wx1", "o1").unionid("u1");
    let mini = wechat.control.mint_code(mini);
    assert_eq!(errcode(&login(&wechat, "wx1", &web).await), 40029);
    assert_eq!(errcode(&exchange(&wechat, "wx1", &mini).await), 40029);
    let answer = login(&wechat, "wx1", &mini).await;
    assert_eq!(text(&answer, "openid"), "o1");
    assert_eq!(text(&answer, "unionid"), "u1");
    assert_eq!(text(&answer, "session_key").len(), 24);
    assert_eq!(errcode(&login(&wechat, "wx1", &mini).await), 40163);
    let wrong = "/sns/jscode2session?grant_type=authorization_code&appid=wx1&secret=t&js_code=x";
    assert_eq!(errcode(&wechat.get(wrong).await), 40125);
}

#[tokio::test]
async fn code_minted_over_http_can_be_exchanged() {
    // What a person does in place of tapping on a phone.
    let wechat = start().await;
    let body = json!({ "appid": "wx1", "openid": "o7", "scope": "user_info", "visitor": "snapshot" });
    let minted = wechat.post("/_sim/code", &body).await;
    let answer = exchange(&wechat, "wx1", text(&minted, "code")).await;
    assert_eq!(text(&answer, "openid"), "o7");
    assert_eq!(text(&answer, "scope"), "snsapi_userinfo");
    assert_eq!(answer.get("is_snapshotuser"), Some(&json!(1)));
    let everything = wechat.control.issued_values();
    for name in ["access_token", "refresh_token"] {
        assert!(everything.iter().any(|value| value == text(&answer, name)));
    }
}
