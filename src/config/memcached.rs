//! `[memcached]`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::mirror::{Layout, Settings};

use super::context::{Context, is_host_port};
use super::place::Place;
use super::raw;
use super::secrets::shown;

/// A memcached nearby answers in a millisecond; a slower one is caught up later.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30);
/// The key that the first daemons of this kind wrote.
const SEED_KEY: &str = "bigtech_weixin_access_token";
/// memcached's own limit of a key.
const LONGEST_KEY: usize = 250;

#[derive(Clone, Copy)]
enum Preset {
    Zhongkong,
    Raw,
    Wechatpy,
    Silenceper,
    Seed,
}

const PRESETS: [(&str, Preset); 5] = [
    ("zhongkong", Preset::Zhongkong),
    ("raw", Preset::Raw),
    ("wechatpy", Preset::Wechatpy),
    ("silenceper", Preset::Silenceper),
    ("seed", Preset::Seed),
];

/// Validates the section.
pub(super) fn check(raw: raw::Memcached, cx: &mut Context<'_>) -> Settings {
    let table = Place::root().key("memcached");
    let raw::Memcached { servers, layouts, timeout } = raw;
    let servers: Vec<String> = servers.map(|servers| servers.as_slice().to_vec()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let place = table.key("servers");
    for server in &servers {
        if !is_host_port(server) {
            cx.report.error(&place, "a server is written as \"host:port\", like \"127.0.0.1:11211\"");
        } else if !seen.insert(server.as_str()) {
            cx.report.error(&place, format!("{} is listed twice", shown(server)));
        }
    }
    let place = table.key("layouts");
    let layouts = match layouts {
        None => vec![Layout::Zhongkong],
        Some(raw) => {
            if raw.is_empty() && !servers.is_empty() {
                cx.report.error(&place, "without a layout nothing would be written: name at least one");
            }
            let mut layouts: Vec<Layout> = Vec::new();
            for (index, raw) in raw.into_iter().enumerate() {
                let Some(layout) = layout(raw, &place.index(index), cx) else { continue };
                if layouts.contains(&layout) {
                    cx.report.error(&place.index(index), "this layout is listed twice");
                }
                layouts.push(layout);
            }
            layouts
        }
    };
    let timeout = cx.duration(&table.key("timeout"), timeout.as_deref(), TIMEOUT, TIMEOUT_BOUNDS);
    Settings { servers, layouts, timeout }
}

fn layout(raw: raw::Layout, place: &Place, cx: &mut Context<'_>) -> Option<Layout> {
    let raw::Layout { preset, key } = raw;
    let Some(preset) = preset else {
        cx.report.error(place, "a layout needs its preset, like { preset = \"seed\", key = \"wx_token\" }");
        return None;
    };
    let preset = cx.word(place, &preset, &PRESETS)?;
    let plain = |layout: Layout, cx: &mut Context<'_>| {
        if key.is_some() {
            cx.report.error(&place.key("key"), "only the preset seed has a key of its own: remove it");
        }
        Some(layout)
    };
    match preset {
        Preset::Zhongkong => plain(Layout::Zhongkong, cx),
        Preset::Raw => plain(Layout::Raw, cx),
        Preset::Wechatpy => plain(Layout::Wechatpy, cx),
        Preset::Silenceper => plain(Layout::Silenceper, cx),
        Preset::Seed => {
            let key = key.unwrap_or_else(|| SEED_KEY.to_owned());
            // memcached's protocol ends a key at white space; the rest would be a command.
            if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                let rule = format!("a key has 1 to {LONGEST_KEY} printable ASCII characters and no space");
                cx.report.error(&place.key("key"), rule);
            }
            Some(Layout::Seed { key })
        }
    }
}
