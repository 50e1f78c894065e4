//! Logging in as everybody does: out to WeChat, back to the page, known from then on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zhongkong::services::oauth::flow::Live;
use zhongkong::services::oauth::site::Site;
use zhongkong::simulator::{Endpoint, Fault, NewCode, Script};

use crate::oauth_world::{Around, BASE, BINDING, SESSION, WECHAT, callback, params, site, state};

#[tokio::test]
async fn user_goes_to_wechat_and_comes_back_with_the_pages_own_parameters_and_fragment() {
    // The order of WeChat's parameters is part of the contract; so is every cookie's form.
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let page = "https://h5.example/cart?id=7&next=%2Fpay%3Fa%3D1%26b%3D2&q=a+b#/item?x=1";
    let link = "/oauth/shop/login?return_to=https%3A%2F%2Fh5.example%2Fcart%3Fid%3D7%26next%3D%252Fpay%253Fa%253D1\
                %2526b%253D2%26q%3Da%2Bb%23%2Fitem%3Fx%3D1";
    let got = browser.go(link).await;
    let (location, state) = (got.location(), state(got.location()));
    assert_eq!(
        location,
        format!(
            "{WECHAT}/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fwx.example%2Foauth%2Fshop%2Fcallback\
             &response_type=code&scope=snsapi_userinfo&state={state}#wechat_redirect"
        )
    );
    assert_eq!((got.status, state.len()), (302, 32));
    assert_eq!(
        (&got.headers["cache-control"], &got.headers["referrer-policy"]),
        (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
    );
    let binding = got.headers["set-cookie"].to_str().unwrap();
    assert!(binding.starts_with(&format!("{BINDING}=")), "{binding}");
    assert!(binding.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"), "{binding}");

    let code = around.consents(location, "o1");
    let got = browser.go(&callback(location, &code)).await;
    assert_eq!((got.status, got.location()), (303, page));
    assert_eq!(
        (&got.headers["cache-control"], &got.headers["referrer-policy"]),
        (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
    );
    let session = got.headers["set-cookie"].to_str().unwrap();
    for mark in [&format!("{SESSION}="), "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
        assert!(session.contains(mark), "{session}");
    }
    assert_eq!(around.who(&browser).await.as_deref(), Some("o1"));
    let user = around.user("o1").await.unwrap();
    assert_eq!(user.profile.unwrap().nickname, "user o1");
    assert_eq!(around.exchanges(), 1);
}

#[tokio::test]
async fn known_user_goes_straight_back_and_is_asked_again_only_for_more() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let quiet = "/oauth/shop/login?return_to=https://quiet.example/a%3Fb%3D1";
    let got = browser.log_in(&around, quiet, "o1").await;
    // Without a fragment of its own a page would get WeChat's.
    assert_eq!(got.location(), "https://quiet.example/a?b=1#");
    assert!(around.user("o1").await.unwrap().profile.is_none(), "nothing was asked for");

    let got = browser.go(quiet).await;
    assert_eq!((got.status, got.location()), (303, "https://quiet.example/a?b=1"));
    // Another account is another login.
    let other = browser.begin("/oauth/club/login?return_to=/x").await;
    assert_eq!(params(&other)["appid"], "wx2");
    // Name and picture have not been shown yet.
    let full = "/oauth/shop/login?return_to=/x&scope=snsapi_userinfo";
    browser.log_in(&around, full, "o1").await;
    assert!(around.user("o1").await.unwrap().profile.is_some());
    for scope in ["", "&scope=snsapi_base", "&scope=snsapi_userinfo"] {
        let got = browser.go(&format!("/oauth/shop/login?return_to=/x{scope}")).await;
        assert_eq!((got.status, got.location()), (303, "/x"), "{scope}");
    }
    assert_eq!(around.exchanges(), 2);
    // Another browser knows nothing of it.
    instance.browser().begin(quiet).await;
}

#[tokio::test]
async fn login_without_an_address_returns_to_the_start_page_and_a_proxy_may_name_it_raw() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    assert_eq!(browser.log_in(&around, "/oauth/shop/login", "o1").await.location(), "/#");
    // nginx cannot encode; and the query is the page's own.
    let request = browser.request("/oauth/shop/login?return_to=https://evil.example/");
    let got = request.header("x-return-to", "/orders?a=1&b=%2F&return_to=x").send().await.unwrap();
    assert_eq!(got.headers()["location"], "/orders?a=1&b=%2F&return_to=x");
    let bytes = reqwest::header::HeaderValue::from_bytes("/商品?名=鞋".as_bytes()).unwrap();
    let got = browser.request("/oauth/shop/login").header("x-return-to", bytes).send().await.unwrap();
    assert_eq!(got.headers()["location"], "/%E5%95%86%E5%93%81?%E5%90%8D=%E9%9E%8B");
}

#[tokio::test]
async fn link_that_asks_for_what_is_not_allowed_is_refused_with_the_reason() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let bad = "This login link is not right";
    for (link, status, reason) in [
        ("/oauth/nobody/login", 404, "no such account"),
        ("/oauth/shop/login?return_to=https://h6.example/", 400, "its origin is not in `origins`"),
        ("/oauth/shop/login?return_to=http://h5.example/", 400, "its origin is not in `origins`"),
        ("/oauth/shop/login?return_to=/x&app=nobody", 400, "has the name that the link gives in app="),
        ("/oauth/shop/login?return_to=https://h5.example/&app=quiet", 400, "its origin is not in"),
        (
            "/oauth/shop/login?return_to=https://quiet.example/&scope=snsapi_userinfo",
            400,
            "snsapi_base at most",
        ),
        ("/oauth/shop/login?scope=snsapi_login", 400, "neither snsapi_base nor snsapi_userinfo"),
        ("/oauth/shop/login?return_to=%ff", 400, "not UTF-8"),
        ("/oauth/shop/login?return_to=/%zz", 400, "percent-encoding is broken"),
    ] {
        let got = browser.go(link).await;
        got.is_page(status, bad);
        assert!(got.body.contains(reason), "{link}: {}", got.body);
        assert!(!got.body.contains("h6.example"), "nothing of the request is repeated");
        assert!(got.cookie(BINDING).is_none(), "nothing was begun");
    }
    let got = browser.clone().speaking("zh-CN").go("/oauth/shop/login?return_to=//evil.example").await;
    got.is_page(400, "登录链接有误");
    assert!(got.body.contains("两个斜杠"), "{}", got.body);
}

#[tokio::test]
async fn parallel_logins_in_two_tabs_do_not_lose_each_other() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let one = browser.begin("/oauth/shop/login?return_to=/one").await;
    let binding = browser.cookies[BINDING].clone();
    let two = browser.begin("/oauth/shop/login?return_to=/two").await;
    assert_eq!(browser.cookies[BINDING], binding, "one value for all tabs");
    assert_ne!(state(&one), state(&two));
    for (authorize, home) in [(&two, "/two#"), (&one, "/one#")] {
        let code = around.consents(authorize, "o1");
        assert_eq!(browser.go(&callback(authorize, &code)).await.location(), home);
    }
    assert_eq!(around.who(&browser).await.as_deref(), Some("o1"));
}

#[tokio::test]
async fn unionid_of_a_user_is_kept() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin("/oauth/shop/login").await;
    let full = NewCode::web("wx1", "o1").scope(zhongkong::simulator::Scope::UserInfo).unionid("u1");
    browser.go(&callback(&authorize, &around.mint(full))).await;
    assert_eq!(around.user("o1").await.unwrap().unionid.unwrap().as_str(), "u1");
}

#[tokio::test]
async fn user_whose_profile_wechat_does_not_show_is_logged_in_without() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    around.world.sim.control.script(Script::forever(Endpoint::UserInfo, Fault::errcode(48_001)));
    let got = browser.log_in(&around, "/oauth/shop/login?return_to=/x", "o1").await;
    assert_eq!((got.status, got.location()), (303, "/x#"));
    assert!(around.user("o1").await.unwrap().profile.is_none());
    assert_eq!(around.world.sim.control.count_all(Endpoint::UserInfo), 1, "it is asked once");
}

#[tokio::test]
async fn user_who_refuses_is_told_so_and_may_try_again() {
    // WeChat sends the browser back without a code, or not at all.
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let link = "/oauth/shop/login?return_to=%2Fx%3Fa%3D1%26b&app=h5&scope=snsapi_base&nonce=n-1";
    let authorize = browser.begin(link).await;
    for rest in ["", "&code="] {
        let got = browser.go(&format!("/oauth/shop/callback?state={}{rest}", state(&authorize))).await;
        got.is_page(403, "You are not logged in");
        assert_eq!(
            got.button(),
            "/oauth/shop/login?return_to=%2Fx%3Fa%3D1%26b&scope=snsapi_base&app=h5&nonce=n-1"
        );
        browser.begin(&got.button()).await;
    }
    // The first try may still be completed.
    let code = around.consents(&authorize, "o1");
    assert_eq!(browser.go(&callback(&authorize, &code)).await.location(), "/x?a=1&b#");
}

#[tokio::test]
async fn snapshot_user_is_no_user_and_goes_on_with_the_full_service() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin("/oauth/shop/login?return_to=/x").await;
    let code = around.mint(NewCode::web("wx1", "oVIRTUAL").snapshot());
    let got = browser.go(&callback(&authorize, &code)).await;
    assert_eq!((got.status, got.cookie(SESSION)), (303, None));
    assert!(around.user("oVIRTUAL").await.is_none());
    // The page has a clean address, which can be loaded again.
    let page = got.location().to_owned();
    assert!(!page.contains(&code) && !page.contains(&state(&authorize)), "{page}");
    for _ in 0..2 {
        let got = browser.go(&page).await;
        got.is_page(403, "Please use the full service");
        assert!(got.body.contains("使用完整服务"), "{}", got.body);
        let onward = browser.begin(&got.button()).await;
        let code = around.consents(&onward, "o1");
        assert_eq!(browser.clone().go(&callback(&onward, &code)).await.location(), "/x#");
    }
}

#[tokio::test]
async fn reload_counts_for_a_login_that_is_under_way() {
    // An origin that is taken off the list gets nobody any more, whenever the login began.
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let authorize = browser.begin("/oauth/shop/login?return_to=https://h5.example/").await;
    let live = |site: Site| Live { site, authorize_at: WECHAT.parse().unwrap() };
    instance.flow.change(live(Site::new(BASE.parse().unwrap(), site().accounts().to_vec(), Vec::new())));
    let code = around.consents(&authorize, "o1");
    browser.go(&callback(&authorize, &code)).await.is_page(400, "This login link is not right");
    assert_eq!(around.exchanges(), 0, "the code was not spent");
    instance.flow.change(live(site()));
    assert_eq!(browser.go(&callback(&authorize, &code)).await.location(), "https://h5.example/#");
}

/// What an assertion says; its signature is another test's business.
fn claims(address: &str) -> Value {
    let token = address.split_once("zk_assertion=").expect(address).1;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn login_comes_home_to_another_site_with_an_assertion_behind_its_fragment() {
    let around = Around::start().await;
    let instance = around.instance().await;
    let mut browser = instance.browser();
    let link = "/oauth/shop/login?return_to=https%3A%2F%2Fcross.example%2Fx%3Fy%3D1%23%2Froute&nonce=n-1";
    let got = browser.log_in(&around, link, "o1").await;
    let location = got.location();
    assert!(location.starts_with("https://cross.example/x?y=1#/route&zk_assertion="), "{location}");
    let said = claims(location);
    for (claim, value) in
        [("aud", "https://cross.example"), ("sub", "o1"), ("appid", "wx1"), ("nonce", "n-1"), ("iss", BASE)]
    {
        assert_eq!(said[claim], value, "{said}");
    }
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 60);
    // Who is known goes straight back, with a new one; pages of our own origin need none.
    let got = browser.go(&link.replace("n-1", "n-2")).await;
    assert_eq!((got.status, &claims(got.location())["nonce"]), (303, &"n-2".into()));
    assert_ne!(claims(got.location())["jti"], said["jti"]);
    assert_eq!(browser.go("/oauth/shop/login?return_to=/x&app=cross").await.location(), "/x");
}
