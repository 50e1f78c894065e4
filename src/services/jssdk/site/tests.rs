//! Tricks with hosts, each refused for its own reason, and what holds of every text.

use proptest::prelude::*;
use regex::Regex;

use super::*;

fn hosts(lines: &[&str]) -> Vec<HostRule> {
    assert!(!lines.is_empty());
    lines.iter().map(|line| line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn reason(hosts: &[HostRule], url: &str) -> &'static str {
    judge(hosts, url).map_or_else(|refused| refused.reason(), |_| "signed")
}

#[test]
fn page_of_a_listed_host_is_signed_as_it_came_up_to_its_fragment() {
    let hosts =
        hosts(&["h5.example.com", "*.shop.example", "example.com/wx/", "127.0.0.1:8080", "xn--fsq.example"]);
    for (url, signed) in [
        ("https://h5.example.com/", "https://h5.example.com/"),
        ("http://h5.example.com", "http://h5.example.com"),
        // The vector of WeChat's documentation is written so.
        ("http://h5.example.com?params=value", "http://h5.example.com?params=value"),
        ("https://h5.example.com/a?b=1&c=%E4%BD%A0#/route?x", "https://h5.example.com/a?b=1&c=%E4%BD%A0"),
        ("https://h5.example.com/a?b=\\c@d:e//f", "https://h5.example.com/a?b=\\c@d:e//f"),
        ("HTTPS://H5.Example.COM/A", "HTTPS://H5.Example.COM/A"),
        ("https://h5.example.com/%41%e4?q=你好", "https://h5.example.com/%41%e4?q=你好"),
        ("https://a.shop.example/x", "https://a.shop.example/x"),
        ("https://a.b.shop.example/x", "https://a.b.shop.example/x"),
        ("https://example.com/wx", "https://example.com/wx"),
        ("https://example.com/wx/a/b?c", "https://example.com/wx/a/b?c"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://xn--fsq.example/", "https://xn--fsq.example/"),
    ] {
        assert_eq!(judge(&hosts, url).map(Page::text), Ok(signed), "{url}");
    }
}

#[test]
fn no_trick_with_a_foreign_host_gets_a_signature() {
    let hosts =
        hosts(&["h5.example.com", "*.shop.example", "example.com/wx", "127.0.0.1:8080", "xn--fsq.example"]);
    let long = format!("https://h5.example.com/?{}", "a".repeat(LONGEST));
    let deep = format!("https://{}h5.example.com/", "a.".repeat(100));
    for (why, url) in [
        ("host", "https://evil.example/"),
        ("host", "https://evil.example/h5.example.com"),
        ("host", "https://evil.example/?https://h5.example.com/"),
        ("host", "https://h5.example.com.evil.example/"),
        ("host", "https://evilh5.example.com/"),
        ("host", "https://h5.example.comevil/"),
        ("host", "https://h5-example.com/"),
        ("host", &deep),
        // The dot makes another name of it, for browsers, cookies and certificates.
        ("host", "https://h5.example.com./"),
        ("host", "https://a.shop.example./"),
        // Sub-domains only, and a dot is no letter.
        ("host", "https://shop.example/"),
        ("host", "https://evilshop.example/"),
        ("host", "https://.shop.example/"),
        ("host", "https://[::1]/"),
        ("host", "https://[::ffff:7f00:1]:8080/"),
        ("host", "https://xn--fsqu00a.example/"),
        ("userinfo", "https://h5.example.com@evil.example/"),
        ("userinfo", "https://h5.example.com:443@evil.example/"),
        ("userinfo", "https://user:password@h5.example.com/"),
        ("userinfo", "https://@h5.example.com/"),
        ("userinfo", "https://evil.example%40@h5.example.com/"),
        ("spelling", "https://h5.example.com\\@evil.example/"),
        ("spelling", "https:\\\\h5.example.com/"),
        ("spelling", "https://evil.example\\.h5.example.com/"),
        ("spelling", "https:/h5.example.com/"),
        ("spelling", "https:h5.example.com/"),
        ("spelling", "https:///h5.example.com/"),
        ("spelling", "https:////evil.example/"),
        ("spelling", "https://h5.example.com/a\\b"),
        ("spelling", "https://h5.exam\tple.com/"),
        ("spelling", "https://h5.example.com/\n"),
        ("spelling", "ht\ntps://h5.example.com/"),
        ("spelling", " https://h5.example.com/"),
        ("spelling", "\u{1}https://h5.example.com/"),
        ("spelling", "https://h5.example.com/a b"),
        ("spelling", "https://h5.example.com/\u{0}"),
        ("spelling", "https://h5.example.com/\u{7F}"),
        ("spelling", "https://h5%2Eexample.com/"),
        ("spelling", "https://%685.example.com/"),
        ("spelling", "https://h5。example。com/"),
        ("spelling", "https://ｈ5.example.com/"),
        ("spelling", "https://h5.ex\u{AD}ample.com/"),
        ("spelling", "https://例.example/"),
        ("spelling", "https://h5.example.com:443/"),
        ("spelling", "https://h5.example.com:/"),
        ("spelling", "http://2130706433:8080/"),
        ("spelling", "http://0x7f.1:8080/"),
        ("spelling", "http://127.1:8080/"),
        ("port", "https://h5.example.com:8443/"),
        ("port", "http://h5.example.com:443/"),
        ("port", "https://h5.example.com:80/"),
        ("port", "http://127.0.0.1/"),
        ("port", "http://127.0.0.1:8081/"),
        ("path", "https://example.com/"),
        ("path", "https://example.com/wxx"),
        ("path", "https://example.com/WX/"),
        ("path", "https://example.com/wx/../admin"),
        ("path", "https://example.com/wx/%2e%2e/admin"),
        ("path", "https://example.com?/wx/"),
        ("scheme", "javascript:alert(1)//h5.example.com/"),
        ("scheme", "file:///h5.example.com/"),
        ("scheme", "ftp://h5.example.com/"),
        ("scheme", "data:text/html,https://h5.example.com/"),
        ("scheme", "weixin://h5.example.com/"),
        ("scheme", "blob:https://h5.example.com/1"),
        ("not_a_url", "h5.example.com/"),
        ("not_a_url", "//h5.example.com/"),
        ("not_a_url", "/wx"),
        ("not_a_url", "https://"),
        ("not_a_url", "https://h5.example.com:99999/"),
        ("not_a_url", "https://h5.example.com:8o/"),
        ("not_a_url", "https://[h5.example.com]/"),
        ("not_a_url", "https%3A%2F%2Fh5.example.com%2F"),
        ("not_a_url", "https://h5.example.com%00.evil.example/"),
        ("too_long", &long),
        ("no_url", ""),
        ("no_url", "#https://h5.example.com/"),
    ] {
        assert_eq!(reason(&hosts, url), why, "{url:?}: {:?}", judge(&hosts, url));
    }
    assert_eq!(reason(&[], "https://h5.example.com/"), "host");
}

#[test]
fn refusal_names_the_host_the_rule_and_the_fix_and_no_more_of_the_url() {
    let hosts = hosts(&["h5.example.com"]);
    let said = judge(&hosts, "https://evil.example/<script>?secret=1").unwrap_err().to_string();
    assert!(said.starts_with("evil.example is none of the account's hosts: add it to hosts"), "{said}");
    let said = judge(&hosts, "https://h5.example.com:8443/").unwrap_err().to_string();
    assert!(said.contains("h5.example.com:8443"), "{said}");
    let long = format!("https://{}.example/", "a".repeat(1_000));
    assert!(judge(&hosts, &long).unwrap_err().to_string().len() < 400);
}

#[test]
fn hosts_are_written_in_few_ways_and_a_slip_is_named() {
    for (line, shown) in [
        ("h5.example.com", "h5.example.com"),
        ("H5.Example.com/", "h5.example.com"),
        ("*.example.com", "*.example.com"),
        ("*.example.com.cn/h5", "*.example.com.cn/h5"),
        ("example.com:8443/shop/", "example.com:8443/shop"),
        ("example.com:443", "example.com:443"),
        ("example.com:80", "example.com:80"),
        ("[::1]:7790", "[::1]:7790"),
        ("localhost:7790", "localhost:7790"),
        ("例.example", "xn--fsq.example"),
    ] {
        assert_eq!(line.parse::<HostRule>().map(|rule| rule.to_string()), Ok(shown.to_owned()), "{line}");
    }
    for (line, error) in [
        ("https://h5.example.com", HostRuleError::Scheme),
        ("*", HostRuleError::Star),
        ("*example.com", HostRuleError::Star),
        ("a.*.example.com", HostRuleError::Star),
        ("*.127.0.0.1", HostRuleError::Star),
        ("*.[::1]", HostRuleError::Star),
        ("*.com", HostRuleError::TooWide),
        ("*.com.", HostRuleError::TooWide),
        ("*.", HostRuleError::Form),
        ("", HostRuleError::Form),
        ("/shop", HostRuleError::Form),
        ("a b.example", HostRuleError::Form),
        ("user@example.com", HostRuleError::Form),
        ("@example.com", HostRuleError::Form),
        ("example.com?a", HostRuleError::Form),
        ("example.com#a", HostRuleError::Form),
        ("example.com\\a", HostRuleError::Form),
        ("example.com/a/../b", HostRuleError::Form),
        ("example.com/%61", HostRuleError::Form),
        ("example.com:", HostRuleError::Form),
        ("example.com:99999", HostRuleError::Form),
        ("example.com:x", HostRuleError::Form),
    ] {
        assert_eq!(line.parse::<HostRule>(), Err(error), "{line}");
    }
    // With a port that is a scheme's own, that scheme writes none.
    let both = hosts(&["example.com:443"]);
    assert_eq!(reason(&both, "https://example.com/"), "signed");
    assert_eq!(reason(&both, "http://example.com:443/"), "signed");
    assert_eq!(reason(&both, "http://example.com/"), "port");
}

/// Texts made of what tricks are made of.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "https://",
        "http://",
        "https:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        "?",
        "#",
        "%2e",
        "%40",
        "%00",
        "\t",
        " ",
        ".",
        "h5.example.com",
        "evil.example",
        ".",
        "443",
        "80",
        "[",
        "]",
        "::1",
        "。",
        "ｈ",
        "xn--",
        "..",
        "user",
        "a",
        "*",
        "&amp;",
        "\u{0}",
        "\u{AD}",
        "H5.EXAMPLE.COM",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The rule of what is signed, written a second time and without a parser.
    #[test]
    fn only_a_plain_url_of_a_listed_host_is_signed(
        text in prop_oneof![tricky(), tricky().prop_map(|text| format!("https://h5.example.com{text}")), any::<String>()],
    ) {
        let hosts = hosts(&["h5.example.com"]);
        let plain = Regex::new(r"^(?i:https?://h5\.example\.com)(/[^\\?#\x00-\x20\x7F]*)?(\?[^#\x00-\x20\x7F]*)?$").unwrap();
        let cut = text.split('#').next().unwrap();
        match judge(&hosts, &text) {
            Ok(page) => {
                prop_assert_eq!(page.text(), cut);
                prop_assert!(plain.is_match(cut), "{:?}", text);
            }
            Err(refused) => {
                prop_assert!(!plain.is_match(cut) || cut.len() > LONGEST, "{:?}: {}", text, refused);
                // What is said of it is short, and in one line.
                let said = refused.to_string();
                prop_assert!(said.len() < 500 && !said.contains(['\n', '\0']), "{}", said);
            }
        }
    }

    #[test]
    fn star_covers_what_ends_in_its_name_and_nothing_else(
        label in "[a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}", name in "(evil)?shop\\.example(\\.evil)?", dot in "\\.?",
    ) {
        let hosts = hosts(&["*.shop.example"]);
        let url = format!("https://{label}{dot}{name}/");
        let host = format!("{label}{dot}{name}");
        let below = host.strip_suffix(".shop.example").is_some_and(|label| !label.is_empty());
        // Labels of digits alone may make an IPv4 address of it, or none at all.
        prop_assume!(Url::parse(&url).is_ok_and(|url| url.domain().is_some()) && !host.contains("xn--"));
        prop_assert_eq!(judge(&hosts, &url).is_ok(), below, "{}", url);
    }
}
