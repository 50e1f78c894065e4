//! How the status page looks in a real browser: on a phone, in the dark, in Chinese; what
//! `docs/` shows of it. Measured in the page itself: widths, heights, sizes and contrasts.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use zhongkong::simulator::{Account, Accounts, Endpoint, Fault, IpList, Script, Settings};

use super::support::browser::{Chromium, DESK, Looks, PHONE, Scheme};
use super::support::memcached::Memcached;
use super::support::process::{Process, SECRET, Site, TOKEN};
use super::support::simulated::Simulated;

const LIVE: &str = "document.body.dataset.stream === 'on'";

/// A company on a middling day: one account is refused, one has no secret that works, one fell
/// back, one is paused, one is fetched by somebody else too; one memcached is away.
struct Company {
    base: String,
    site: Site,
    daemon: Process,
    _memcached: Memcached,
    _watch: Process,
    _wechat: Simulated,
}

const REFUSED: &str = "wx5ab1c09d7e3f4821";
const WRONG: &str = "wxd2207be41c6a9f35";
const FALLEN: &str = "wx90c4e7712fd83b6a";
const PAUSED: &str = "wx3f8e21a6b7c5d904";
const SHARED: &str = "wx71be0c5d2a94f638";

impl Company {
    async fn open() -> Self {
        let names = [
            (REFUSED, "Members club"),
            (WRONG, "Outlet"),
            (FALLEN, "Spare parts"),
            (PAUSED, "Campaign 11.11"),
            (SHARED, "Main shop"),
            ("wxa80d15f3c6e7b294", "Service desk"),
            ("wxc61f9a3b0e52d847", "Careers"),
        ];
        let known = |(appid, _): &(&str, &str)| {
            Account::new(*appid, if *appid == WRONG { "another one" } else { SECRET })
        };
        let accounts = Accounts::Listed(names.iter().map(known).collect());
        let wechat = Simulated::start(Settings { accounts, ..Settings::default() }).await;
        let mut site = Site::new(&wechat.base);
        for (appid, name) in names {
            let tickets = if appid == SHARED { "tickets = [\"jsapi_ticket\"]\n" } else { "" };
            site.account(appid, &format!("name = \"{name}\"\ntoken_mode = \"classic\"\n{tickets}"));
        }
        let memcached = Memcached::start();
        site.section("memcached", &format!("servers = [\"{}\", \"127.0.0.1:1\"]\n", memcached.addr()));
        let daemon = site.start().await;
        for (appid, _) in names.iter().filter(|(appid, _)| *appid != WRONG) {
            site.value(appid).await;
        }
        let watch = site.background(&["watch"]);
        watch.out_line(0, SHARED).await;

        let elsewhere = IpList::Only(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]);
        wechat.control.set_ip_allowed(REFUSED, elsewhere);
        site.run(&["refresh", REFUSED, "--force"]).await;
        wechat.control.script(Script::forever(Endpoint::Token, Fault::HttpStatus(502)).only(FALLEN));
        site.run(&["refresh", FALLEN, "--force"]).await;
        site.run(&["pause", PAUSED, "--for", "6h"]).await.expect(0, &[]);
        wechat.control.foreign_fetch(SHARED).unwrap();
        wechat.control.foreign_fetch(SHARED).unwrap();
        site.run(&["refresh", SHARED]).await.expect(0, &[]);
        let base = format!("http://{}", daemon.admin().await);
        Self { base, site, daemon, _memcached: memcached, _watch: watch, _wechat: wechat }
    }

    async fn sign_in(&self, browser: &Chromium) {
        browser.open(&format!("{}/signin", self.base)).await;
        browser.write("#token", TOKEN).await;
        browser.click("button.primary").await;
        browser.until(&format!("{LIVE} && document.querySelector('.client')")).await;
    }
}

/// What is visible and has text of its own: `[element, its text]`.
const TEXTS: &str = "[...document.body.querySelectorAll('*')].map(element => [element, [...element.childNodes]
    .filter(node => node.nodeType === 3).map(node => node.data.trim()).join(' ')])
    .filter(([element, text]) => text && element.checkVisibility({ visibilityProperty: true }) && !element.closest('option'))";

/// The texts whose contrast against what lies behind them is below 4.5, as WCAG counts it.
async fn pale(browser: &Chromium) -> serde_json::Value {
    browser
        .eval(&format!(
            "(() => {{
               const parse = (color) => {{ const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return {{ r, g, b, a }}; }};
               const over = (top, under) => ({{ r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a),
                 b: top.b * top.a + under.b * (1 - top.a), a: 1 }});
               const behind = (element) => {{
                 const own = parse(getComputedStyle(element).backgroundColor);
                 if (own.a === 1 || !element.parentElement) return own.a === 1 ? own : over(own, {{ r: 255, g: 255, b: 255 }});
                 return over(own, behind(element.parentElement));
               }};
               const part = (value) => {{ const v = value / 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }};
               const light = (color) => .2126 * part(color.r) + .7152 * part(color.g) + .0722 * part(color.b);
               return {TEXTS}.map(([element, text]) => {{
                 const under = behind(element), ink = over(parse(getComputedStyle(element).color), under);
                 const [low, high] = [light(under), light(ink)].sort((a, b) => a - b);
                 return {{ text, contrast: (high + .05) / (low + .05) }};
               }}).filter(one => !(one.contrast >= 4.5));
             }})()"
        ))
        .await
}

/// What does not fit a phone: the page wider than the screen, elements that stick out or are
/// cut, controls too low for a finger, letters too small.
async fn misfits(browser: &Chromium) -> serde_json::Value {
    browser
        .eval(&format!(
            "(() => {{
               const found = [];
               const wide = document.scrollingElement.scrollWidth;
               if (wide > innerWidth) found.push(`the page is ${{wide}} wide, the screen ${{innerWidth}}`);
               for (const element of document.body.querySelectorAll('*')) {{
                 if (!element.checkVisibility()) continue;
                 const box = element.getBoundingClientRect();
                 if (box.width && (box.right > innerWidth + .5 || box.left < -.5)) found.push('sticks out: ' + element.outerHTML.slice(0, 120));
                 const style = getComputedStyle(element);
                 if (style.overflowX === 'hidden' && element.scrollWidth > element.clientWidth + 1 && !element.closest('svg'))
                   found.push('is cut: ' + element.outerHTML.slice(0, 120));
               }}
               for (const control of document.querySelectorAll('a, button, input:not([type=hidden]), select')) {{
                 // A link in a sentence is as high as the sentence.
                 if (!control.checkVisibility() || control.closest('p:not(.acts):not(.buttons)') && control.matches('a')) continue;
                 const box = control.getBoundingClientRect();
                 if (box.height < 40) found.push(`${{box.height}} high: ` + control.outerHTML.slice(0, 120));
               }}
               for (const [element, text] of {TEXTS})
                 if (parseFloat(getComputedStyle(element).fontSize) < 12) found.push('small: ' + text);
               return found;
             }})()"
        ))
        .await
}

const DARK_PHONE: Looks = Looks { scheme: Scheme::Dark, ..PHONE };

#[tokio::test]
async fn page_fits_a_phone_and_can_be_read_in_the_light_and_in_the_dark() {
    let browser = Chromium::start(DESK).await;
    let company = Company::open().await;
    browser.open(&company.base).await;
    let row = |appid: &str, state: &str| format!("document.querySelector('#k-0-{appid}.is-{state}')");
    browser
        .until(&format!(
            "{LIVE} && {} && {} && {} && {} && document.getElementById('events').innerText.includes('foreign refresh')",
            row(REFUSED, "operator"),
            row(WRONG, "operator"),
            row(PAUSED, "paused"),
            row(FALLEN, "degraded")
        ))
        .await;
    assert_eq!(pale(&browser).await, json!([]), "on a desk, in the light");
    browser.picture("status-page.png").await;

    company.sign_in(&browser).await;
    for looks in [PHONE, DARK_PHONE, Looks { size: (390, 844), ..PHONE }] {
        browser.look(looks).await;
        for path in ["/", "/?q=nobody", "/signin", &format!("/act?appid={SHARED}&kind=access_token&do=pause")]
        {
            browser.open(&format!("{}{path}", company.base)).await;
            browser.until("document.readyState === 'complete'").await;
            assert_eq!(browser.eval("innerWidth").await, looks.size.0, "the page is as wide as the phone");
            assert_eq!(misfits(&browser).await, json!([]), "{path} on {looks:?}");
            assert_eq!(pale(&browser).await, json!([]), "{path} on {looks:?}");
        }
    }
    browser.look(DARK_PHONE).await;
    browser.open(&company.base).await;
    browser.until(LIVE).await;
    let light =
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + Number(b), 0)";
    assert!(browser.eval(light).await.as_u64().unwrap() < 200, "the background is dark");
    // The question over the page fits, too.
    browser.click(&format!("#k-0-{SHARED} a[href$='do=pause']")).await;
    browser.until("document.querySelector('#ask[open] form')").await;
    assert_eq!(misfits(&browser).await, json!([]));
    assert_eq!(pale(&browser).await, json!([]));
    browser.click("#ask [data-close]").await;
    browser.run("scrollTo(0, 0)").await;
    browser.picture("status-page-phone-dark.png").await;
    browser.was_quiet().await;
    assert!(company.site.run(&["status"]).await.code.is_some() && company.daemon.count("panicked") == 0);
}

#[tokio::test]
async fn browser_that_prefers_chinese_gets_chinese_until_english_is_chosen() {
    let browser = Chromium::start(Looks { language: "zh-CN,zh", ..DESK }).await;
    let company = Company::open().await;
    browser.open(&company.base).await;
    browser.until(&format!("{LIVE} && document.querySelector('#k-0-{REFUSED}.is-operator')")).await;
    assert_eq!(browser.text("document.documentElement.lang").await, "zh-CN");
    let shown = browser.text("document.body.innerText").await;
    for words in ["需人工处理", "处理办法", "IP白名单", "下次刷新", "最近事件", "实时", "登录"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    browser.click("[hreflang=en]").await;
    browser.until(&format!("{LIVE} && document.documentElement.lang === 'en'")).await;
    browser.open(&company.base).await;
    browser.until("document.body.innerText.includes('What to do')").await;
    browser.was_quiet().await;
}
