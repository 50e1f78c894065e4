//! Spellings of an open redirect, one by one and at random, and addresses that must pass unchanged.

use proptest::prelude::*;
use url::Url;

use super::Refused::{Backslash, Control, Form, Host, NotText, TooLong, TwoSlashes};
use super::{Home, LONGEST, Refused, ReturnTo};

fn check(text: &str) -> Result<ReturnTo, Refused> {
    ReturnTo::check(text.as_bytes())
}

/// Where a browser on our page ends up, by the standard that all browsers follow.
fn goes_to(text: &str) -> Option<Url> {
    Url::parse("https://wx.example/oauth/shop/callback?code=1").unwrap().join(text).ok()
}

#[test]
fn every_spelling_of_an_open_redirect_is_refused_by_its_rule() {
    let cases: &[(&str, Refused)] = &[
        // Another host without a scheme.
        ("//evil.example", TwoSlashes),
        ("///evil.example", TwoSlashes),
        ("////evil.example/%2e%2e", TwoSlashes),
        ("//wx.example@evil.example", TwoSlashes),
        ("/\\evil.example", Backslash),
        ("\\/evil.example", Backslash),
        ("\\\\evil.example", Backslash),
        ("/x\\..\\..\\evil.example", Backslash),
        ("\\evil.example", Backslash),
        // What browsers take out before they read.
        ("/\t/evil.example", Control),
        ("/\n/evil.example", Control),
        ("/\r\n/evil.example", Control),
        ("\t//evil.example", Control),
        ("ht\ttps://evil.example", Control),
        ("java\nscript:alert(1)", Control),
        ("/\0/evil.example", Control),
        ("/x\r\nSet-Cookie: zk_session=1", Control),
        ("/\u{7f}", Control),
        ("/\u{85}/evil.example", Control),
        (" //evil.example", Form),
        ("\u{a0}//evil.example", Form),
        ("\u{feff}//evil.example", Form),
        // One slash that becomes two.
        ("/.//evil.example", TwoSlashes),
        ("/..//evil.example", TwoSlashes),
        ("/x/..//evil.example", TwoSlashes),
        ("/%2e//evil.example", TwoSlashes),
        ("/x/%2E%2e//evil.example", TwoSlashes),
        // No path and no page.
        ("", Form),
        ("evil.example", Form),
        ("evil.example:443/x", Form),
        ("?x", Form),
        ("#x", Form),
        ("./x", Form),
        ("../x", Form),
        ("javascript:alert(1)", Form),
        ("JavaScript://evil.example/%0aalert(1)", Form),
        ("data:text/html,<script>alert(1)</script>", Form),
        ("vbscript:x", Form),
        ("file:///etc/passwd", Form),
        ("ftp://h5.example/x", Form),
        ("blob:https://h5.example/1", Form),
        ("view-source:https://h5.example/", Form),
        ("weixin://dl/business", Form),
        ("https:h5.example", Form),
        ("https:/h5.example", Form),
        ("https:\\\\h5.example", Backslash),
        ("https://\\h5.example", Backslash),
        // Hosts that look like another one.
        ("https:///evil.example", Host),
        ("https://", Host),
        ("https://?x", Host),
        ("https://h5.example@evil.example", Host),
        ("https://h5.example:443@evil.example/", Host),
        ("https://user:password@h5.example/", Host),
        ("https://h5.example%40evil.example", Host),
        ("https://evil.example%23@h5.example", Host),
        ("https://evil.example%00.h5.example", Host),
        ("https://h5.example%2eevil.example", Host),
        ("https://h5.example\\@evil.example", Backslash),
        ("https://h5.example\\.evil.example", Backslash),
        ("https://h5.example:", Host),
        ("https://h5.example:x", Host),
        ("https://h5.example:99999", Host),
        ("https://h5.example:-1", Host),
        ("https://h5.example:443:443", Host),
        ("https://h5.example:80 80", Host),
        ("https://[::1", Host),
        ("https://[::1]evil.example", Host),
        ("https://[::1]@evil.example", Host),
        ("https://[v1.x]", Host),
        ("https://[]", Host),
        ("https://h5 .example", Host),
        ("https://<h5>.example", Host),
        ("https://h5.example;evil.example", Host),
        ("https://h5.example&evil.example", Host),
        // Letters that are folded, or look alike.
        ("https://ｈ5.example", Host),
        ("https://h5。example", Host),
        ("https://h5.exаmple", Host),
        ("https://h5.example／evil", Host),
        ("https://ℎ5.example", Host),
        ("https://h5.\u{ad}example", Host),
        ("https://h5\u{202e}.example", Host),
        ("https://bücher.example", Host),
        // A fragment or a query that hides a host from a careless reader.
        ("//evil.example#https://h5.example/", TwoSlashes),
        ("evil#https://h5.example/", Form),
    ];
    for (text, reason) in cases {
        assert_eq!(check(text), Err(*reason), "{text:?}");
    }
    assert!(cases.len() > 60, "only {}", cases.len());
}

#[test]
fn bytes_that_are_no_text_and_texts_without_end_are_refused() {
    for bytes in [&b"/\xff"[..], b"/\xc0\xaf/evil.example", b"/\xed\xa0\x80", b"\xff//x", b"/\xe4\xbd"] {
        assert_eq!(ReturnTo::check(bytes), Err(NotText), "{bytes:?}");
    }
    let long = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert_eq!(check(&long(LONGEST)).unwrap().as_str().len(), LONGEST);
    assert_eq!(check(&long(LONGEST + 1)), Err(TooLong));
    // 683 characters of three bytes fit as they are, and not encoded.
    assert_eq!(check(&format!("/{}", "中".repeat(682))), Err(TooLong));
    assert_eq!(check(&"/".repeat(10_000_000)), Err(TooLong));
}

#[test]
fn path_on_our_own_origin_passes_letter_for_letter() {
    for text in [
        "/",
        "/shop/cart?id=7&next=%2Fpay%3Fa%3D1%26b%3D2#top",
        "/a//b//",
        "/%2f%2fevil.example",
        "/%2F%2Fevil.example",
        "/%5cevil.example",
        "/%09/evil.example",
        "/x?u=https://evil.example/&v=//evil.example&w=a\\b",
        "/x#//evil.example\\",
        "/x?a=1?b=2&c=d+e%20f",
        "/@evil.example",
        "/:80",
        "/x;y=1,2!$'()*~",
        "/?",
        "/#",
        "/x?<script>\"",
        "/..",
        "/javascript:alert(1)",
    ] {
        let passed = check(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        assert_eq!((passed.as_str(), passed.home()), (text, &Home::Own));
        assert_eq!(goes_to(text).unwrap().host_str(), Some("wx.example"), "{text}");
    }
}

#[test]
fn page_on_another_origin_passes_letter_for_letter_and_says_whose_it_is() {
    for (text, home) in [
        ("https://h5.example", "https://h5.example"),
        ("https://h5.example/", "https://h5.example"),
        ("https://h5.example?x=1", "https://h5.example"),
        ("https://h5.example#/route?x=1", "https://h5.example"),
        ("https://h5.example:443/x", "https://h5.example"),
        ("HTTPS://H5.Example/X?Y#Z", "https://h5.example"),
        ("https://h5.example/?u=https://evil.example#@evil.example", "https://h5.example"),
        ("https://h5.example//evil.example", "https://h5.example"),
        ("https://h5.example:8443/x", "https://h5.example:8443"),
        ("http://h5.example/x", "http://h5.example"),
        ("http://h5.example:443/", "http://h5.example:443"),
        // Other hosts, of which it is known that they are.
        ("https://h5.example.", "https://h5.example."),
        ("https://h5.example.evil.example/", "https://h5.example.evil.example"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example"),
        ("http://[::1]:5173/x", "http://[::1]:5173"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]"),
        ("http://2130706433/", "http://127.0.0.1"),
        ("http://0x7f.1/", "http://127.0.0.1"),
    ] {
        let passed = check(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        assert_eq!((passed.as_str(), passed.home()), (text, &Home::At(home.parse().unwrap())), "{text}");
    }
}

#[test]
fn what_a_browser_would_encode_is_encoded_before_it_is_judged() {
    for (text, sent) in [
        ("/商品?名=鞋 子#尾", "/%E5%95%86%E5%93%81?%E5%90%8D=%E9%9E%8B%20%E5%AD%90#%E5%B0%BE"),
        ("/／evil.example", "/%EF%BC%8Fevil.example"),
        ("https://h5.example/é", "https://h5.example/%C3%A9"),
        ("/x ", "/x%20"),
        ("/\u{202e}x", "/%E2%80%AEx"),
    ] {
        assert_eq!(check(text).unwrap().as_str(), sent, "{text}");
    }
}

#[test]
fn debug_shows_no_parameter_of_a_page() {
    let shown = format!("{:?}", check("/order?ticket=s3cr3t").unwrap());
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

/// Pieces from which open redirects are made.
fn piece() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        "\t",
        "\n",
        "\r",
        " ",
        ".",
        "..",
        "%2f",
        "%5c",
        "%2e",
        "%09",
        "%00",
        "@",
        ":",
        "?",
        "#",
        "&",
        "http",
        "https",
        "https:",
        "http://",
        "javascript:",
        "evil.example",
        "h5.example",
        "wx.example",
        "[::1]",
        "443",
        "ｅ",
        "。",
        "／",
        "\u{ad}",
        "\u{feff}",
        "\u{0}",
        "xn--",
        "x",
        "=",
        ";",
    ]);
    prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The one promise: a browser goes where `home` says, or the text is refused.
    #[test]
    fn browser_goes_where_it_was_checked_to_go(pieces in prop::collection::vec(piece(), 0..9)) {
        let text = pieces.concat();
        if let Ok(passed) = check(&text) {
            let url = goes_to(passed.as_str()).expect("it is an address");
            let origin = url.origin().ascii_serialization();
            match passed.home() {
                Home::Own => prop_assert_eq!(origin, "https://wx.example"),
                Home::At(home) => prop_assert_eq!(origin, home.as_str()),
            }
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(passed.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            // Judged again, as at the end of the login, it is the same.
            prop_assert_eq!(check(passed.as_str()), Ok(passed));
        }
    }

    /// What needs no encoding is not touched.
    #[test]
    fn address_of_ascii_is_sent_as_it_came(text in "(/|https://h5\\.example)[!-~]{0,40}") {
        if let Ok(passed) = check(&text) {
            prop_assert_eq!(passed.as_str(), text);
        }
    }

    /// Pages have any path, query and fragment, and are not refused for them.
    #[test]
    fn page_of_a_listed_origin_is_not_refused(rest in "(/[a-z0-9._~%-]{1,20}){0,4}(\\?[!-\"$-~]{0,40})?(#[!-~]{0,40})?") {
        let text = format!("https://h5.example{rest}");
        prop_assert_eq!(check(&text).map(|passed| passed.as_str().to_owned()), Ok(text));
    }

    /// Any bytes end in an answer.
    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = ReturnTo::check(&bytes);
    }
}
