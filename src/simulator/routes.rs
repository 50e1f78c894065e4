//! From a request to WeChat's answer: one arm per endpoint.
//!
//! An answer is a JSON object; `errcode` 0 stands in it only where WeChat puts
//! one, and a refusal's `errmsg` ends with a request id as WeChat's do. Each
//! processed call is one line of the log, written in the same section under the
//! lock that issued the value, so the log's order is the order of effects.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::errcode::Refusal;
use super::faults::Fault;
use super::log::{Call, Caller, Endpoint, Outcome, TokenMode, fingerprint};
use super::oauth::object;
use super::settings::{Callback, DAY, MONTH};
use super::state::State;
use super::tokens::{Handout, Novelty, Wish};
use super::values::Kind;
use super::wire::Request;

/// What an endpoint did: the answer and what the log says of it.
struct Done {
    fields: Map<String, Value>,
    outcome: Outcome,
    handed_out: Option<String>,
}

impl Done {
    fn ok(fields: Map<String, Value>) -> Self {
        Self { fields, outcome: Outcome::Ok, handed_out: None }
    }

    fn handout(handout: &Handout, name: &str, mut fields: Map<String, Value>) -> Self {
        fields.insert(name.to_owned(), handout.value.as_ref().into());
        fields.insert("expires_in".to_owned(), handout.expires_in.into());
        Self { fields, outcome: handout.novelty.into(), handed_out: Some(fingerprint(&handout.value)) }
    }

    /// A user token's answer; its string is the one in the fields.
    fn user(fields: Map<String, Value>) -> Self {
        let handed_out = fields.get("access_token").and_then(Value::as_str).map(fingerprint);
        Self { fields, outcome: Outcome::Issued, handed_out }
    }
}

impl From<Novelty> for Outcome {
    fn from(novelty: Novelty) -> Self {
        match novelty {
            Novelty::New => Self::Issued,
            Novelty::Same => Self::Same,
        }
    }
}

/// `{"errcode":0,"errmsg":"ok"}`.
fn fine() -> Map<String, Value> {
    object(json!({ "errcode": 0, "errmsg": "ok" }))
}

/// A refusal as it goes over the wire, with a fresh request id.
pub(super) fn refusal_fields(refusal: &Refusal) -> Map<String, Value> {
    let [a, b, c] = rand::random::<[u32; 3]>();
    object(json!({
        "errcode": refusal.code,
        "errmsg": format!("{} rid: {a:08x}-{b:08x}-{c:08x}", refusal.message),
    }))
}

impl State {
    /// The account that a call is about: named, or the owner of its token.
    pub(super) fn account_of(&self, request: &Request) -> String {
        let named = request.either("appid");
        if !named.is_empty() {
            return named.to_owned();
        }
        let token = request.query("access_token");
        let owner = self.values.record(token).map(|record| &*record.appid);
        owner.or_else(|| self.oauth.owner(token)).unwrap_or_default().to_owned()
    }

    /// Does what WeChat does, writes the log line, and gives the answer, bent by
    /// the fault if there is one.
    pub(super) fn process(&mut self, request: &Request, fault: Option<&Fault>) -> Map<String, Value> {
        let now = Instant::now();
        let endpoint = Endpoint::of(&request.path);
        let appid = self.account_of(request);
        let (mut fields, outcome, handed_out) = match self.dispatch(endpoint, request, now) {
            Ok(done) => (done.fields, done.outcome, done.handed_out),
            Err(refusal) => (refusal_fields(&refusal), Outcome::Errcode(refusal.code), None),
        };
        if let Some(fault) = fault {
            fault.bend(&mut fields);
        }
        let mut call = self.call(request, endpoint, appid, now);
        call.outcome = outcome;
        call.issued_fingerprint = handed_out;
        call.fault = fault.map(Fault::name);
        self.log.add(call);
        fields
    }

    /// Logs a call that came to nothing, by a fault or the server's mode.
    pub(super) fn note_unprocessed(&mut self, request: &Request, outcome: Outcome, fault: &'static str) {
        let endpoint = Endpoint::of(&request.path);
        let appid = self.account_of(request);
        let mut call = self.call(request, endpoint, appid, Instant::now());
        call.outcome = outcome;
        call.fault = Some(fault);
        self.log.add(call);
    }

    /// A classic fetch by somebody else who knows the AppSecret.
    pub(super) fn fetch_foreign(&mut self, appid: &str) -> Option<String> {
        let now = Instant::now();
        let fetched = self.fetch_classic(appid, now);
        let outcome = match &fetched {
            Ok(_) => Outcome::Issued,
            Err(refusal) => Outcome::Errcode(refusal.code),
        };
        let value = fetched.ok().map(|handout| handout.value.to_string());
        self.log.add(Call {
            seq: 0,
            at_ms: self.at_ms(now),
            endpoint: Endpoint::Token,
            path: "/cgi-bin/token".to_owned(),
            appid: appid.to_owned(),
            mode: Some(TokenMode::Classic),
            forced: false,
            outcome,
            fault: None,
            caller: Caller::Foreign,
            issued_fingerprint: value.as_deref().map(fingerprint),
            token_fingerprint: None,
        });
        value
    }

    fn at_ms(&self, now: Instant) -> u64 {
        u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX)
    }

    /// The log line of a call, before it is known what became of it.
    pub(super) fn call(&self, request: &Request, endpoint: Endpoint, appid: String, now: Instant) -> Call {
        let token = request.query("access_token");
        Call {
            seq: 0,
            at_ms: self.at_ms(now),
            endpoint,
            path: request.path.clone(),
            appid,
            mode: match endpoint {
                Endpoint::Token => Some(TokenMode::Classic),
                Endpoint::StableToken => Some(TokenMode::Stable),
                _ => None,
            },
            forced: wish(request) == Wish::Forced,
            outcome: Outcome::NotProcessed,
            fault: None,
            caller: Caller::Client,
            issued_fingerprint: None,
            token_fingerprint: (!token.is_empty()).then(|| fingerprint(token)),
        }
    }

    fn dispatch(&mut self, endpoint: Endpoint, request: &Request, now: Instant) -> Result<Done, Refusal> {
        match endpoint {
            Endpoint::Token => self.token(request, now),
            Endpoint::StableToken => self.stable_token(request, now),
            Endpoint::Ticket => self.ticket(request, now),
            Endpoint::ApiDomainIp => {
                self.check_token(request.query("access_token"), now)?;
                Ok(Done::ok(object(json!({ "ip_list": ["127.0.0.1"] }))))
            }
            Endpoint::CallbackIp => {
                self.check_token(request.query("access_token"), now)?;
                Ok(Done::ok(object(json!({ "ip_list": ["127.0.0.1", "127.0.0.0/24"] }))))
            }
            Endpoint::ClearQuota => {
                let owner = self.poster(request, now)?;
                if request.field("appid") != owner {
                    return Err(Refusal::new(40013));
                }
                self.clear_quota(&owner, now)
            }
            Endpoint::ClearQuotaV2 => {
                require(request, "POST", 43002)?;
                let appid = request.either("appid").to_owned();
                self.check_secret(&appid, request.either("appsecret"))?;
                self.clear_quota(&appid, now)
            }
            Endpoint::CallbackCheck => self.check_callback(request, now),
            Endpoint::QuotaGet => self.quota(request, now),
            Endpoint::OauthToken => {
                let appid = self.sns_account(request)?;
                let fields = self.exchange_code(&appid, request.query("code"), now)?;
                Ok(Done::user(fields))
            }
            Endpoint::OauthRefresh => {
                require_grant(request.query("grant_type"), "refresh_token")?;
                let appid = request.query("appid");
                let fields = self.refresh_user(appid, request.query("refresh_token"), now)?;
                Ok(Done::user(fields))
            }
            Endpoint::UserInfo => {
                let (token, openid) = (request.query("access_token"), request.query("openid"));
                self.user_info(token, openid, now).map(Done::ok)
            }
            Endpoint::OauthCheck => {
                let (token, openid) = (request.query("access_token"), request.query("openid"));
                self.check_user(token, openid, now).map(Done::ok)
            }
            Endpoint::MiniLogin => {
                let appid = self.sns_account(request)?;
                self.login_mini(&appid, request.query("js_code"), now).map(Done::ok)
            }
            Endpoint::CustomSend => {
                let owner = self.poster(request, now)?;
                self.send_custom(owner, request, now)?;
                Ok(Done::ok(fine()))
            }
            Endpoint::QrcodeCreate => {
                let owner = self.poster(request, now)?;
                let (fields, novelty) = self.create_code(&owner, request, now)?;
                Ok(Done { outcome: novelty.into(), ..Done::ok(fields) })
            }
            Endpoint::MenuCreate => {
                let owner = self.poster(request, now)?;
                self.create_menu(&owner, request, now).map(Done::ok)
            }
            Endpoint::MenuAddConditional => {
                let owner = self.poster(request, now)?;
                self.add_conditional(&owner, request, now).map(Done::ok)
            }
            Endpoint::MenuDelConditional => {
                let owner = self.poster(request, now)?;
                self.delete_conditional(&owner, request, now).map(Done::ok)
            }
            Endpoint::MenuTryMatch => {
                let owner = self.poster(request, now)?;
                self.match_menu(&owner, request).map(Done::ok)
            }
            Endpoint::MenuGet => {
                let owner = self.check_token(request.query("access_token"), now)?;
                self.get_menus(&owner, now).map(Done::ok)
            }
            Endpoint::MenuDelete => {
                let owner = self.check_token(request.query("access_token"), now)?;
                self.delete_menus(&owner, now).map(Done::ok)
            }
            Endpoint::SelfmenuInfo => {
                let owner = self.check_token(request.query("access_token"), now)?;
                Ok(Done::ok(self.selfmenu(&owner)))
            }
            // Browsers' calls are answered by pages, and never come here.
            Endpoint::Authorize
            | Endpoint::JsSdk
            | Endpoint::JsConfig
            | Endpoint::JsCall
            | Endpoint::Picture
            | Endpoint::Showqrcode => Err(Refusal::new(-1)),
            Endpoint::Business => {
                self.check_token(request.query("access_token"), now)?;
                Ok(Done::ok(fine()))
            }
        }
    }

    /// The account in whose name something is posted.
    fn poster(&mut self, request: &Request, now: Instant) -> Result<String, Refusal> {
        require(request, "POST", 43002)?;
        self.check_token(request.query("access_token"), now)
    }

    fn token(&mut self, request: &Request, now: Instant) -> Result<Done, Refusal> {
        require_grant(request.query("grant_type"), "client_credential")?;
        let appid = request.query("appid");
        self.check_secret(appid, request.query("secret"))?;
        self.check_ip(appid, request.caller)?;
        let handout = self.fetch_classic(appid, now)?;
        Ok(Done::handout(&handout, "access_token", Map::new()))
    }

    fn stable_token(&mut self, request: &Request, now: Instant) -> Result<Done, Refusal> {
        require(request, "POST", 43002)?;
        if request.json.is_none() {
            return Err(Refusal::new(47001));
        }
        require_grant(request.field("grant_type"), "client_credential")?;
        let appid = request.field("appid");
        self.check_secret(appid, request.field("secret"))?;
        self.check_ip(appid, request.caller)?;
        let handout = self.fetch_stable(appid, wish(request), now)?;
        Ok(Done::handout(&handout, "access_token", Map::new()))
    }

    fn ticket(&mut self, request: &Request, now: Instant) -> Result<Done, Refusal> {
        let owner = self.check_token(request.query("access_token"), now)?;
        let kind = match request.query("type") {
            "jsapi" => Kind::JsapiTicket,
            "wx_card" => Kind::WxCardTicket,
            _ => return Err(Refusal::new(40035)),
        };
        let handout = self.fetch_ticket(&owner, kind, now);
        Ok(Done::handout(&handout, "ticket", fine()))
    }

    fn sns_account(&mut self, request: &Request) -> Result<String, Refusal> {
        let appid = request.query("appid");
        self.check_secret(appid, request.query("secret"))?;
        require_grant(request.query("grant_type"), "authorization_code")?;
        Ok(appid.to_owned())
    }

    fn clear_quota(&mut self, appid: &str, now: Instant) -> Result<Done, Refusal> {
        let age = self.age(now);
        let allowed = self.settings.limits.clears_per_month;
        let account = self.account(appid).ok_or_else(|| Refusal::new(40013))?;
        if account.cleared_this_month.used(age, MONTH) >= allowed {
            return Err(Refusal::new(48006));
        }
        account.cleared_this_month.add(age, MONTH);
        account.classic_today = super::state::Counter::default();
        account.stable_today = super::state::Counter::default();
        Ok(Done::ok(fine()))
    }

    /// The lookup and the ping that WeChat makes of an account's callback, as the console has it.
    fn check_callback(&mut self, request: &Request, now: Instant) -> Result<Done, Refusal> {
        require(request, "POST", 43002)?;
        let owner = self.check_token(request.query("access_token"), now)?;
        let (dns, ping) = match request.field("action") {
            "all" => (true, true),
            "dns" => (true, false),
            "ping" => (false, true),
            _ => return Err(Refusal::new(40202)),
        };
        if !["CHINANET", "UNICOM", "CAP", "DEFAULT"].contains(&request.field("check_operator")) {
            return Err(Refusal::new(40203));
        }
        let account = self.account(&owner).ok_or_else(|| Refusal::new(40013))?;
        let (loss, time) = match account.callback {
            Callback::Unset => return Err(Refusal::new(40201)),
            Callback::Reachable => ("0%", "23.079ms"),
            Callback::Lost => ("100%", ""),
        };
        let mut fields = Map::new();
        if dns {
            fields.insert("dns".to_owned(), json!([{ "ip": "127.0.0.1", "real_operator": "UNICOM" }]));
        }
        if ping {
            let row =
                json!({ "ip": "127.0.0.1", "from_operator": "UNICOM", "package_loss": loss, "time": time });
            fields.insert("ping".to_owned(), json!([row]));
        }
        Ok(Done::ok(fields))
    }

    fn quota(&mut self, request: &Request, now: Instant) -> Result<Done, Refusal> {
        require(request, "POST", 43002)?;
        let owner = self.check_token(request.query("access_token"), now)?;
        let age = self.age(now);
        let limits = self.settings.limits.clone();
        let account = self.account(&owner).ok_or_else(|| Refusal::new(40013))?;
        let path = request.field("cgi_path");
        let (limit, used) = match path {
            "/cgi-bin/token" => {
                (account.classic_daily.unwrap_or(limits.classic_daily), account.classic_today.used(age, DAY))
            }
            "/cgi-bin/stable_token" => (limits.stable_daily, account.stable_today.used(age, DAY)),
            _ if path.starts_with("/sns/") => return Err(Refusal::new(76022)),
            _ if path.starts_with('/') => return Err(Refusal::new(76021)),
            _ => return Err(Refusal::new(76003)),
        };
        let mut fields = fine();
        fields.insert(
            "quota".to_owned(),
            json!({
                "daily_limit": limit,
                "used": used,
                "remain": limit.saturating_sub(used),
            }),
        );
        let none = json!({ "call_count": 0, "refresh_second": 0 });
        fields.insert("rate_limit".to_owned(), none.clone());
        fields.insert("component_rate_limit".to_owned(), none);
        Ok(Done::ok(fields))
    }
}

fn wish(request: &Request) -> Wish {
    let forced = request.json.as_ref().and_then(|body| body.get("force_refresh")?.as_bool());
    match forced {
        Some(true) => Wish::Forced,
        Some(false) | None => Wish::Normal,
    }
}

fn require(request: &Request, method: &str, otherwise: i64) -> Result<(), Refusal> {
    if request.method == method { Ok(()) } else { Err(Refusal::new(otherwise)) }
}

fn require_grant(found: &str, right: &str) -> Result<(), Refusal> {
    if found == right { Ok(()) } else { Err(Refusal::new(40002)) }
}
