//! `/_sim/`: the control handle over HTTP, for people and other programs.
//!
//! Bodies are JSON objects; an unknown field or a wrong value is a 400 with a
//! sentence that names it. AppSecrets are never shown, nor are token values:
//! both are named by fingerprint. The one exception is a minted code, which is
//! made to be used.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::Control;
use super::control_menus;
use super::faults::{ExpiresIn, Fault, Script, Times};
use super::log::{Call, Endpoint, fingerprint};
use super::oauth::{Flow, NewCode, Scope, Visitor};
use super::state::{ServerMode, State};
use super::values::{Kind, Verdict};
use super::web;
use super::wire::{Page, Request};

/// Most accounts that `/_sim/state` lists without `appid=`.
const STATE_ACCOUNTS: usize = 1000;

/// What stands at `/_sim/`.
const HELP: &str = "\
This is a simulator of WeChat's servers (zhongkong simulate). It holds no real account.

What happened
  curl 'HOST/_sim/log'                          the last calls; values only as fingerprints
  curl 'HOST/_sim/log?since=120&appid=wx1'      after call 120, of one account
  curl 'HOST/_sim/state'                        accounts, what is alive, scripts, mode
  curl 'HOST/_sim/state?appid=wx1'              one account
  curl 'HOST/_sim/messages?appid=wx1'           customer-service messages that were sent; also since=7

What WeChat does
  curl HOST/_sim/kill -d '{\"appid\":\"wx1\",\"kind\":\"stable\"}'
      end the current value as a foreign program would; kind is classic, stable,
      jsapi_ticket or wx_card_ticket; with \"in_place\":true it is still handed out
  curl HOST/_sim/foreign_fetch -d '{\"appid\":\"wx1\"}'
      somebody else fetches with the AppSecret (classic)
  curl HOST/_sim/code -d '{\"appid\":\"wx1\",\"openid\":\"o1\",\"scope\":\"user_info\"}'
      a login code; also \"unionid\", \"flow\":\"mini_program\", \"visitor\":\"snapshot\"
  curl HOST/_sim/push -d '{\"url\":\"http://127.0.0.1:7790/wechat/wx1\",\"type\":\"text\",\"token\":\"t\"}'
      push a message to a callback and judge its answer; type: verify, text, image, event.SCAN, …
      (`zhongkong messages send --list` has all), or \"message\": XML or JSON as text; also
      \"fields\":{\"Content\":\"hi\",\"FromUserName\":\"o1\"}, \"aes_key\", \"appid\", \"original_id\",
      \"mode\": plain, compatible, safe; \"format\": xml, json; \"attempts\":1, \"wait_ms\":5000, \"fault\":
      bad_msg_signature, bad_signature, stale_timestamp, wrong_receive_id, wrong_key, tampered_body,
      truncated_body, replay, missing_parameters, duplicate, slow_body, oversize, doctype_bomb,
      plain_to_safe

What goes wrong
  curl HOST/_sim/faults -d '{\"endpoint\":\"token\",\"fault\":\"errcode\",\"errcode\":40164}'
      the next call fails; also \"appid\", \"times\":3 or \"times\":\"forever\"
      faults: errcode (errcode, errmsg), http_status (status), http_status_after (status),
      html_page, truncated_json, garbage_json, empty_body, slow (ms), torn_connection,
      answer_lost, hold_answer, hold_request, expires_in (expires_in: any value, or null
      for none), empty_token, missing_token, redirect (location)
      endpoints: token, stable_token, ticket, api_domain_ip, callback_ip, clear_quota,
      clear_quota_v2, callback_check, quota_get, oauth_token, oauth_refresh, user_info, oauth_check,
      mini_login, custom_send, menu_create, menu_get, menu_delete, menu_add_conditional,
      menu_del_conditional, menu_try_match, selfmenu_info, authorize, js_sdk, js_config, js_call,
      picture, qrcode_create, showqrcode, business
  curl HOST/_sim/faults                         scripts that wait
  curl -X DELETE HOST/_sim/faults               forget them
  curl -X POST HOST/_sim/release                let held requests and answers go on
  curl HOST/_sim/mode -d '{\"mode\":\"busy\"}'      up, busy, closes, silent
  curl HOST/_sim/latency -d '{\"ms\":200}'        every answer later
  curl HOST/_sim/date -d '{\"offset_s\":600}'     WeChat's clock is wrong (Date header)
";

/// Answers one control request.
pub(super) fn answer(control: &Control, request: &Request) -> Page {
    let method = request.method.as_str();
    let result = match (method, request.path.as_str()) {
        ("GET", "/_sim" | "/_sim/") => {
            return Page::text(200, format!("{HELP}{}\n{}", web::HELP, control_menus::HELP));
        }
        ("GET", "/_sim/log") => log(control, request),
        ("GET", "/_sim/messages") => messages(control, request),
        ("GET", "/_sim/state") => Ok(control.look(|state| describe(state, control.mode(), request))),
        ("GET", "/_sim/faults") => Ok(control.look(scripts)),
        ("POST", "/_sim/faults") => parse(request).and_then(|script: ScriptBody| {
            control.script(script.script()?);
            Ok(done())
        }),
        ("DELETE", "/_sim/faults") => {
            control.clear_faults();
            Ok(done())
        }
        ("POST", "/_sim/release") => {
            control.release();
            Ok(done())
        }
        ("POST", "/_sim/kill") => parse(request).map(|body: KillBody| {
            if body.in_place {
                control.kill_in_place(&body.appid, body.kind);
            } else {
                control.kill(&body.appid, body.kind);
            }
            done()
        }),
        ("POST", "/_sim/foreign_fetch") => parse(request).map(|body: AppidBody| {
            let value = control.foreign_fetch(&body.appid);
            json!({ "ok": value.is_some(), "fingerprint": value.as_deref().map(fingerprint) })
        }),
        ("POST", "/_sim/code") => {
            parse(request).map(|body: CodeBody| json!({ "code": control.mint_code(body.new_code()) }))
        }
        ("POST", "/_sim/mode") => parse(request).and_then(|body: ModeBody| match body.mode {
            ServerMode::Refuses => Err("mode: \"refuses\" could not be ended over HTTP; \
                                        \"closes\" is the nearest"
                .to_owned()),
            mode @ (ServerMode::Up | ServerMode::Busy | ServerMode::Closes | ServerMode::Silent) => {
                control.switch_mode(mode);
                Ok(done())
            }
        }),
        ("POST", "/_sim/date") => parse(request).map(|body: DateBody| {
            control.set_date_offset(body.offset_s);
            done()
        }),
        ("POST", "/_sim/latency") => parse(request).map(|body: LatencyBody| {
            control.set_latency(Duration::from_millis(body.ms));
            done()
        }),
        _ => {
            let answered =
                web::answer_control(control, request).or_else(|| control_menus::answer(control, request));
            let Some(answered) = answered else {
                let text = format!("no {method} {}; GET /_sim/ lists what there is\n", request.path);
                return Page::text(404, text);
            };
            answered
        }
    };
    match result {
        Ok(value) => Page::json(&value),
        Err(sentence) => Page::text(400, format!("{sentence}\n")),
    }
}

pub(super) type Answered = Result<Value, String>;

pub(super) fn done() -> Value {
    json!({ "ok": true })
}

pub(super) fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    let body = request.json.clone().ok_or("the body is not JSON")?;
    serde_json::from_value(body).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppidBody {
    appid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillBody {
    appid: String,
    kind: Kind,
    #[serde(default)]
    in_place: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeBody {
    mode: ServerMode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyBody {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DateBody {
    offset_s: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    appid: String,
    openid: String,
    unionid: Option<String>,
    scope: Option<Scope>,
    flow: Option<Flow>,
    visitor: Option<Visitor>,
}

impl CodeBody {
    fn new_code(self) -> NewCode {
        let Self { appid, openid, unionid, scope, flow, visitor } = self;
        let mut new = match flow.unwrap_or(Flow::Web) {
            Flow::Web => NewCode::web(appid, openid),
            Flow::MiniProgram => NewCode::mini_program(appid, openid),
        };
        if let Some(unionid) = unionid {
            new = new.unionid(unionid);
        }
        new.scope(scope.unwrap_or(Scope::Base)).visitor(visitor.unwrap_or(Visitor::Person))
    }
}

/// A script as JSON: flat, so that a curl line stays readable.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptBody {
    endpoint: Endpoint,
    appid: Option<String>,
    times: Option<Value>,
    fault: String,
    errcode: Option<i64>,
    errmsg: Option<String>,
    status: Option<u16>,
    ms: Option<u64>,
    #[serde(default)]
    expires_in: Value,
    location: Option<String>,
}

impl ScriptBody {
    fn script(self) -> Result<Script, String> {
        let times = match &self.times {
            None => Times::Count(1),
            Some(Value::String(word)) if word == "forever" => Times::Forever,
            Some(value) => value
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .filter(|count| *count > 0)
                .map(Times::Count)
                .ok_or_else(|| format!("times: {value} is neither a count nor \"forever\""))?,
        };
        Ok(Script { endpoint: self.endpoint, appid: self.appid.clone(), times, fault: self.fault()? })
    }

    fn fault(self) -> Result<Fault, String> {
        let needs = |field: &str| format!("fault {:?} needs {field}", self.fault);
        Ok(match self.fault.as_str() {
            "errcode" => {
                Fault::Errcode { code: self.errcode.ok_or_else(|| needs("errcode"))?, message: self.errmsg }
            }
            "http_status" => Fault::HttpStatus(self.status.ok_or_else(|| needs("status"))?),
            "http_status_after" => Fault::HttpStatusAfter(self.status.ok_or_else(|| needs("status"))?),
            "html_page" => Fault::HtmlPage,
            "truncated_json" => Fault::TruncatedJson,
            "garbage_json" => Fault::GarbageJson,
            "empty_body" => Fault::EmptyBody,
            "slow" => Fault::Slow(Duration::from_millis(self.ms.ok_or_else(|| needs("ms"))?)),
            "torn_connection" => Fault::TornConnection,
            "answer_lost" => Fault::AnswerLost,
            "hold_answer" => Fault::HoldAnswer,
            "hold_request" => Fault::HoldRequest,
            "expires_in" => Fault::ExpiresIn(match self.expires_in {
                Value::Null => ExpiresIn::Missing,
                Value::String(text) => ExpiresIn::Text(text),
                Value::Number(number) => number.as_u64().map_or(ExpiresIn::Negative, ExpiresIn::Value),
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => ExpiresIn::NotANumber,
            }),
            "empty_token" => Fault::EmptyToken,
            "missing_token" => Fault::MissingToken,
            "redirect" => Fault::Redirect(self.location.ok_or_else(|| needs("location"))?),
            other => return Err(format!("fault: {other:?} is none; GET /_sim/ lists them")),
        })
    }
}

fn since(request: &Request) -> Result<u64, String> {
    match request.query("since") {
        "" => Ok(0),
        text => text.parse().map_err(|_| format!("since: {text:?} is not a sequence number")),
    }
}

fn messages(control: &Control, request: &Request) -> Answered {
    let since = since(request)?;
    Ok(control.look(|state| {
        let messages: Vec<_> = state.sent.of(request.query("appid"), since).collect();
        json!({ "messages": messages })
    }))
}

fn log(control: &Control, request: &Request) -> Answered {
    let since = since(request)?;
    let appid = request.query("appid");
    Ok(control.with_log(|log| {
        let wanted = |call: &&Call| appid.is_empty() || call.appid == appid;
        let calls: Vec<_> = log.since(since).filter(wanted).collect();
        json!({ "last_seq": log.last_seq(), "calls": calls })
    }))
}

fn scripts(state: &State) -> Value {
    let scripts: Vec<Value> = state
        .faults
        .list()
        .into_iter()
        .map(|script| {
            json!({
                "endpoint": script.endpoint,
                "appid": script.appid,
                "times": match script.times {
                    Times::Count(left) => json!(left),
                    Times::Forever => json!("forever"),
                },
                "fault": script.fault.name(),
            })
        })
        .collect();
    json!({ "faults": scripts })
}

fn describe(state: &State, mode: ServerMode, request: &Request) -> Value {
    let now = Instant::now();
    let wanted = request.query("appid");
    let accounts: BTreeMap<&str, Value> = state
        .accounts()
        .keys()
        .filter(|appid| wanted.is_empty() || *appid == wanted)
        .take(STATE_ACCOUNTS)
        .map(|appid| (appid.as_str(), describe_account(state, appid, now)))
        .collect();
    let totals: BTreeMap<String, Value> = Endpoint::ALL
        .iter()
        .filter(|endpoint| state.log.count_all(**endpoint) > 0)
        .map(|endpoint| {
            let calls = state.log.count_all(*endpoint);
            let issued = state.log.issued_all(*endpoint);
            let name = json!(endpoint).as_str().unwrap_or_default().to_owned();
            (name, json!({ "calls": calls, "issued": issued }))
        })
        .collect();
    json!({
        "mode": mode,
        "up_seconds": state.age(now).as_secs(),
        "life_seconds": state.settings.life.as_secs_f64(),
        "overlap_seconds": state.settings.overlap.as_secs_f64(),
        "latency_ms": state.latency.as_secs_f64() * 1000.0,
        "held": state.held.iter().filter(|held| !held.is_closed()).count(),
        "faults": scripts(state)["faults"],
        "totals": totals,
        "account_count": state.accounts().len(),
        "accounts": accounts,
    })
}

fn describe_account(state: &State, appid: &str, now: Instant) -> Value {
    let mut kinds = BTreeMap::new();
    for kind in Kind::ALL {
        let Some(value) = state.current(appid, kind) else {
            continue;
        };
        let standing = match state.values.verdict(&value, now) {
            Verdict::Alive => "alive",
            Verdict::Replaced | Verdict::Unknown => "dead",
            Verdict::Expired => "expired",
        };
        let name = json!(kind).as_str().unwrap_or_default().to_owned();
        let left = state.left(&value, now).as_secs_f64();
        kinds.insert(
            name,
            json!({ "fingerprint": fingerprint(&value), "standing": standing, "seconds_left": left }),
        );
    }
    json!(kinds)
}
