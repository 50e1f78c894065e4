//! Parametric QR codes: which codes there are, and their pictures.
//!
//! A permanent scene has one code for ever: asking again brings the same ticket and is not counted
//! again. WeChat's pages do not say so; a test can have it otherwise. Left out: what a scan does, which `/_sim/push` plays, and that temporary codes end.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::errcode::Refusal;
use super::menu_rules::body;
use super::oauth::object;
use super::settings::DAY;
use super::state::{Counter, State};
use super::tokens::Novelty;
use super::wire::{Page, Request};

/// 30 days.
const LONGEST_LIFE: u64 = 2_592_000;
/// The life of a code for which none was asked.
const SHORTEST_LIFE: u64 = 30;

/// The codes of all accounts.
#[derive(Debug, Default)]
pub(super) struct Codes {
    accounts: HashMap<String, AccountCodes>,
    /// What is in the picture of a ticket.
    pictures: HashMap<String, String>,
    made: u64,
    /// Whether asking for a permanent scene again makes another code.
    pub(super) anew: bool,
}

#[derive(Debug, Default)]
struct AccountCodes {
    /// Tickets by scene.
    permanent: HashMap<String, String>,
    today: Counter,
}

impl Codes {
    /// The scenes of an account's permanent codes.
    pub(super) fn permanent(&self, appid: &str) -> Vec<String> {
        let mut scenes: Vec<String> = self
            .accounts
            .get(appid)
            .map(|codes| codes.permanent.keys().cloned().collect())
            .unwrap_or_default();
        scenes.sort();
        scenes
    }

    fn make(&mut self) -> String {
        self.made += 1;
        // As real ones, with what must be escaped in an address.
        let ticket = format!("gQ+/{}==", STANDARD.encode(rand::random::<[u8; 66]>()));
        let url = format!("http://weixin.qq.com/q/0{:x}{:016x}", self.made, rand::random::<u64>());
        self.pictures.insert(ticket.clone(), url);
        ticket
    }
}

impl State {
    /// `qrcode/create`.
    pub(super) fn create_code(
        &mut self,
        appid: &str,
        request: &Request,
        now: Instant,
    ) -> Result<(Map<String, Value>, Novelty), Refusal> {
        let age = self.age(now);
        let limits = self.settings.limits.clone();
        let account = self.codes.accounts.entry(appid.to_owned()).or_default();
        if account.today.used(age, DAY) >= limits.codes_daily {
            return Err(Refusal::new(45009));
        }
        account.today.add(age, DAY);
        let body = body(request)?;
        let scene = body.get("action_info").and_then(|info| info.get("scene"));
        let scene = scene.and_then(Value::as_object).ok_or_else(|| Refusal::new(40053))?;
        let number = || scene.get("scene_id").and_then(Value::as_u64);
        let text = || {
            let text = scene.get("scene_str").and_then(Value::as_str);
            text.filter(|text| (1..=64).contains(&text.chars().count()))
        };
        let wrong = || Refusal::new(40053);
        let (permanent, key) = match body.get("action_name").and_then(Value::as_str).unwrap_or_default() {
            "QR_SCENE" => {
                let number = number().filter(|number| (1..=u64::from(u32::MAX)).contains(number));
                (false, number.ok_or_else(wrong)?.to_string())
            }
            "QR_STR_SCENE" => (false, text().ok_or_else(wrong)?.to_owned()),
            "QR_LIMIT_SCENE" => {
                let number = number().filter(|number| (1..=100_000).contains(number));
                (true, format!("int {}", number.ok_or_else(wrong)?))
            }
            "QR_LIMIT_STR_SCENE" => (true, format!("str {}", text().ok_or_else(wrong)?)),
            _ => return Err(Refusal::new(40052)),
        };
        let life = body.get("expire_seconds").map_or(Some(SHORTEST_LIFE), Value::as_u64);
        let life =
            life.filter(|life| (1..=LONGEST_LIFE).contains(life)).ok_or_else(|| Refusal::new(40035))?;
        let known = if permanent && !self.codes.anew { account.permanent.get(&key).cloned() } else { None };
        let novelty = if known.is_some() { Novelty::Same } else { Novelty::New };
        if permanent && known.is_none() && account.permanent.len() >= limits.permanent_codes {
            return Err(Refusal::new(45029));
        }
        let ticket = known.unwrap_or_else(|| self.codes.make());
        if permanent {
            let account = self.codes.accounts.entry(appid.to_owned()).or_default();
            account.permanent.insert(key, ticket.clone());
        }
        let url = self.codes.pictures.get(&ticket).cloned();
        let mut fields = object(json!({ "ticket": ticket, "url": url }));
        if !permanent {
            fields.insert("expire_seconds".to_owned(), life.into());
        }
        Ok((fields, novelty))
    }

    /// The picture of a ticket, as `showqrcode` gives it to everybody; SVG, where WeChat has JPEG.
    pub(super) fn code_picture(&self, request: &Request) -> Page {
        match self.codes.pictures.get(request.query("ticket")) {
            None => Page::text(404, "no such ticket\n"),
            Some(url) => {
                let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><desc>{url}</desc></svg>");
                Page { content_type: "image/svg+xml", ..Page::text(200, svg) }
            }
        }
    }
}
