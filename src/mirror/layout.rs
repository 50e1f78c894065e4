//! Which keys a value is copied to, and in which bytes.
//!
//! Owns the five layouts as pure functions. Each is what some program already reads, byte for
//! byte; all values are text, stored with flags 0, which every client library hands out as it is.
//! The keys are safe for memcached by construction: an appid has at most 128 characters out of a
//! set without blanks, and a `seed` key passed [`Layout::check`].
//!
//! Deliberately absent: other SDKs' layouts (their stores are Redis or files), and lives that a
//! layout computes by itself.

use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{AppId, Key, Kind};

use super::{Entry, Life, Ttl};

/// The longest key that memcached takes, in bytes.
const LONGEST_KEY: usize = 250;
/// What stands for the account in a `seed` key.
const APPID: &str = "{appid}";

/// A key template and a value form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `zhongkong:{appid}:{kind}` → JSON with value, fingerprint, generation, and `expires_at` in
    /// Unix seconds.
    Zhongkong,
    /// `{appid}:{kind}` → the bare value.
    Raw,
    /// What wechatpy's `MemcachedStorage` reads: `wechatpy:{appid}_{name}` → the value as a JSON
    /// string, and the same key with `_expires_at` → Unix seconds.
    Wechatpy,
    /// What silenceper/wechat's memcache reads: `gowechat_officialaccount__{name}_{appid}` → the
    /// value as a JSON string. A token goes under both of its names, normal and stable.
    Silenceper,
    /// One fixed key → WeChat's own JSON answer, as the first daemons of this kind wrote it.
    Seed {
        /// The key of the access token, like `bigtech_weixin_access_token`; `{appid}` in it stands
        /// for the account. In a ticket's key the ticket's kind stands in place of
        /// `access_token`, or at the end if the key has no `access_token`.
        key: String,
    },
}

/// One key with its value, as it is written.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The memcached key.
    pub key: String,
    /// The bytes. They hold a secret.
    pub value: Zeroizing<Vec<u8>>,
    /// Its life.
    pub ttl: Ttl,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item({}, {} bytes, {} s)", self.key, self.value.len(), self.ttl.seconds())
    }
}

/// Why a layout cannot be used with these accounts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Two accounts would overwrite each other.
    #[error("the seed key `{0}` is the same for every account; put {{appid}} into it")]
    NoAppId(String),
    /// memcached's text keys have neither blanks nor control characters.
    #[error("the seed key `{0}` must be visible ASCII characters without blanks")]
    Characters(String),
    /// memcached refuses it.
    #[error("the seed key for `{0}` has {1} bytes; memcached takes 250")]
    TooLong(AppId, usize),
}

impl Layout {
    /// Whether the layout gives each of these accounts keys of its own that memcached takes.
    pub fn check(&self, appids: &[AppId]) -> Result<(), LayoutError> {
        let template = match self {
            Self::Zhongkong | Self::Raw | Self::Wechatpy | Self::Silenceper => return Ok(()),
            Self::Seed { key } => key,
        };
        if template.is_empty() || !template.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LayoutError::Characters(template.clone()));
        }
        if appids.len() > 1 && !template.contains(APPID) {
            return Err(LayoutError::NoAppId(template.clone()));
        }
        for appid in appids {
            for kind in Kind::ALL {
                let length = seed_key(template, &Key::new(appid.clone(), kind)).len();
                if length > LONGEST_KEY {
                    return Err(LayoutError::TooLong(appid.clone(), length));
                }
            }
        }
        Ok(())
    }

    /// Every memcached key that a credential has in this layout.
    pub fn keys(&self, key: &Key) -> Vec<String> {
        let appid = &key.appid;
        match self {
            Self::Zhongkong => vec![format!("zhongkong:{key}")],
            Self::Raw => vec![key.to_string()],
            Self::Wechatpy => {
                let name = match key.kind {
                    Kind::AccessToken => "access_token",
                    Kind::JsapiTicket => "jsapi_ticket",
                    Kind::WxCardTicket => "jsapi_card_ticket",
                };
                vec![format!("wechatpy:{appid}_{name}"), format!("wechatpy:{appid}_{name}_expires_at")]
            }
            Self::Silenceper => {
                // Two underscores: its prefix ends in one and its format begins with one.
                let names: &[&str] = match key.kind {
                    Kind::AccessToken => &["access_token", "stable_access_token"],
                    Kind::JsapiTicket => &["jsapi_ticket"],
                    // It keeps no card ticket in its cache.
                    Kind::WxCardTicket => &[],
                };
                names.iter().map(|name| format!("gowechat_officialaccount__{name}_{appid}")).collect()
            }
            Self::Seed { key: template } => vec![seed_key(template, key)],
        }
    }

    /// The entry's copies in this layout, in the order in which they are to be written: one for
    /// each of [`Layout::keys`].
    pub fn render(&self, entry: &Entry, life: &Life) -> Vec<Item> {
        let value = entry.value.expose();
        let bytes: Vec<Vec<u8>> = match self {
            Self::Zhongkong => vec![json(&Copied {
                value,
                fingerprint: entry.fingerprint.to_string(),
                generation: entry.generation.0,
                expires_at: life.expires_at,
            })],
            Self::Raw => vec![value.as_bytes().to_vec()],
            Self::Wechatpy => vec![json(value), json(&life.expires_at)],
            Self::Silenceper => vec![json(value), json(value)],
            Self::Seed { .. } => vec![match entry.key.kind {
                Kind::AccessToken => json(&TokenAnswer { access_token: value, expires_in: life.remaining }),
                Kind::JsapiTicket | Kind::WxCardTicket => json(&TicketAnswer {
                    errcode: 0,
                    errmsg: "ok",
                    ticket: value,
                    expires_in: life.remaining,
                }),
            }],
        };
        let item = |(key, value)| Item { key, value: Zeroizing::new(value), ttl: life.ttl };
        self.keys(&entry.key).into_iter().zip(bytes).map(item).collect()
    }
}

#[derive(Serialize)]
struct Copied<'a> {
    value: &'a str,
    fingerprint: String,
    generation: u64,
    expires_at: i64,
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct TicketAnswer<'a> {
    errcode: i64,
    errmsg: &'a str,
    ticket: &'a str,
    expires_in: u64,
}

fn json<T: Serialize + ?Sized>(what: &T) -> Vec<u8> {
    serde_json::to_vec(what).expect("strings, numbers and structs of them always have a JSON form")
}

fn seed_key(template: &str, key: &Key) -> String {
    let of_kind = match key.kind {
        Kind::AccessToken => template.to_owned(),
        Kind::JsapiTicket | Kind::WxCardTicket => {
            let replaced = template.replace(Kind::AccessToken.as_str(), key.kind.as_str());
            if replaced == template { format!("{template}_{}", key.kind) } else { replaced }
        }
    };
    of_kind.replace(APPID, key.appid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::model::{Fingerprint, Generation};
    use crate::secret::Secret;

    fn written(layout: &Layout, kind: Kind) -> Vec<(String, String)> {
        let entry = Entry {
            key: Key::new("wx0123456789abcdef".parse().unwrap(), kind),
            value: Secret::from("abc"),
            fingerprint: Fingerprint::of(&Secret::from("abc")),
            generation: Generation(1_700_000_001),
            expires_at: BootTime(7_150_000),
            next_attempt: Some(BootTime(0)),
        };
        let ttl = Ttl::of(entry.expires_at, entry.next_attempt, BootTime(0)).unwrap();
        let life = Life { ttl, remaining: 7_150, expires_at: 1_700_007_150 };
        let items = layout.render(&entry, &life);
        assert!(items.iter().all(|item| item.ttl.seconds() == 300));
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        assert_eq!(keys, layout.keys(&entry.key), "a withdrawal must find every copy");
        items.into_iter().map(|item| (item.key, String::from_utf8(item.value.to_vec()).unwrap())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn zhongkong_is_json_with_all_that_a_reader_may_ask() {
        let json = r#"{"value":"abc","fingerprint":"ba7816bf8f01cfea","generation":1700000001,"expires_at":1700007150}"#;
        for (kind, key) in [
            (Kind::AccessToken, "zhongkong:wx0123456789abcdef:access_token"),
            (Kind::JsapiTicket, "zhongkong:wx0123456789abcdef:jsapi_ticket"),
            (Kind::WxCardTicket, "zhongkong:wx0123456789abcdef:wx_card_ticket"),
        ] {
            assert_eq!(written(&Layout::Zhongkong, kind), pairs(&[(key, json)]));
        }
    }

    #[test]
    fn raw_is_the_bare_value() {
        let expected = pairs(&[("wx0123456789abcdef:jsapi_ticket", "abc")]);
        assert_eq!(written(&Layout::Raw, Kind::JsapiTicket), expected);
    }

    #[test]
    fn wechatpy_gets_a_quoted_value_and_its_end() {
        for (kind, key) in [
            (Kind::AccessToken, "wechatpy:wx0123456789abcdef_access_token"),
            (Kind::JsapiTicket, "wechatpy:wx0123456789abcdef_jsapi_ticket"),
            (Kind::WxCardTicket, "wechatpy:wx0123456789abcdef_jsapi_card_ticket"),
        ] {
            let end = format!("{key}_expires_at");
            assert_eq!(written(&Layout::Wechatpy, kind), pairs(&[(key, "\"abc\""), (&end, "1700007150")]));
        }
    }

    #[test]
    fn silenceper_gets_a_quoted_value_under_both_names_of_a_token() {
        let expected = pairs(&[
            ("gowechat_officialaccount__access_token_wx0123456789abcdef", "\"abc\""),
            ("gowechat_officialaccount__stable_access_token_wx0123456789abcdef", "\"abc\""),
        ]);
        assert_eq!(written(&Layout::Silenceper, Kind::AccessToken), expected);
        let expected = pairs(&[("gowechat_officialaccount__jsapi_ticket_wx0123456789abcdef", "\"abc\"")]);
        assert_eq!(written(&Layout::Silenceper, Kind::JsapiTicket), expected);
        assert_eq!(written(&Layout::Silenceper, Kind::WxCardTicket), []);
    }

    #[test]
    fn seed_is_wechats_own_answer_under_one_fixed_key() {
        let layout = Layout::Seed { key: "bigtech_weixin_access_token".to_owned() };
        let token = r#"{"access_token":"abc","expires_in":7150}"#;
        let ticket = r#"{"errcode":0,"errmsg":"ok","ticket":"abc","expires_in":7150}"#;
        assert_eq!(written(&layout, Kind::AccessToken), pairs(&[("bigtech_weixin_access_token", token)]));
        assert_eq!(written(&layout, Kind::JsapiTicket), pairs(&[("bigtech_weixin_jsapi_ticket", ticket)]));
        let layout = Layout::Seed { key: "tok/{appid}".to_owned() };
        assert_eq!(written(&layout, Kind::AccessToken), pairs(&[("tok/wx0123456789abcdef", token)]));
        let key = "tok/wx0123456789abcdef_wx_card_ticket";
        assert_eq!(written(&layout, Kind::WxCardTicket), pairs(&[(key, ticket)]));
    }

    #[test]
    fn the_longest_appid_fits_into_every_preset_key() {
        let appid: AppId = "x".repeat(AppId::MAX_LEN).parse().unwrap();
        for layout in [Layout::Zhongkong, Layout::Raw, Layout::Wechatpy, Layout::Silenceper] {
            for kind in Kind::ALL {
                for key in layout.keys(&Key::new(appid.clone(), kind)) {
                    assert!(
                        key.len() <= LONGEST_KEY && key.bytes().all(|byte| byte.is_ascii_graphic()),
                        "{key}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_seed_key_that_would_mix_accounts_or_break_a_line_is_refused() {
        let seed = |key: &str| Layout::Seed { key: key.to_owned() };
        let one: [AppId; 1] = ["wx1".parse().unwrap()];
        let two: [AppId; 2] = ["wx1".parse().unwrap(), "wx2".parse().unwrap()];
        assert_eq!(seed("token").check(&one), Ok(()));
        assert_eq!(seed("token").check(&two), Err(LayoutError::NoAppId("token".to_owned())));
        assert_eq!(seed("{appid}_token").check(&two), Ok(()));
        for bad in ["", "a b", "a\r\nb", "微信"] {
            assert_eq!(seed(bad).check(&one), Err(LayoutError::Characters(bad.to_owned())));
        }
        // The ticket's key is the longest one: 236 + `_wx_card_ticket`.
        assert_eq!(seed(&"k".repeat(235)).check(&one), Ok(()));
        assert_eq!(
            seed(&"k".repeat(236)).check(&one),
            Err(LayoutError::TooLong("wx1".parse().unwrap(), 251))
        );
        assert_eq!(Layout::Wechatpy.check(&two), Ok(()));
    }

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let ttl = Ttl::of(BootTime(5_000), None, BootTime(0)).unwrap();
        let item = Item { key: "k".to_owned(), value: Zeroizing::new(b"s3cr3t".to_vec()), ttl };
        assert_eq!(format!("{item:?}"), "Item(k, 6 bytes, 5 s)");
    }
}
