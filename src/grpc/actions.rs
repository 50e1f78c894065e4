//! The rpcs that use a secret for the caller or steer a key: `SignJsapi`, `ExchangeCode`,
//! `Pause`, `Resume`.
//!
//! The ticket and the AppSecret stay inside. What a client changed is logged with its name.

use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};

use crate::access::{Action, Caller};
use crate::audit::{Act, On, Outcome};
use crate::clock::BootTime;
use crate::hub::exchange::{Exchanged, Flow, SnapshotUser};
use crate::jsapi;
use crate::model::Kind;
use crate::pb;
use crate::pb::exchange_code_response::Result as Login;
use crate::refresh::handle::Handle;
use crate::secret::Secret;

use super::audit;
use super::convert;
use super::errors::Failure;
use super::service::{Face, denied};

/// Longest page address, in bytes. Browsers and WeChat's own pages stay below it.
const MAX_URL: usize = 2_048;
/// Longest login code, in bytes. WeChat's have 32.
const MAX_CODE: usize = 512;
/// As long as WeChat's own examples; what counts is that two signatures differ.
const NONCE_LEN: usize = 16;
/// How long a pause lasts if the caller does not say: long enough to repair, short enough
/// that a forgotten pause of a two-hour token does no harm.
const DEFAULT_PAUSE: Duration = Duration::from_hours(1);
/// Longest pause. Longer ones are a removed account.
const MAX_PAUSE: Duration = Duration::from_hours(30 * 24);

impl Face {
    pub(super) fn sign(
        &self,
        caller: &Caller,
        asked: &pb::SignJsapiRequest,
    ) -> Result<pb::SignJsapiResponse, Failure> {
        check_url(&asked.url)?;
        let handle = self.find(caller, Act::Sign, &asked.appid, Kind::JsapiTicket)?;
        let good = handle.read();
        let outcome = good.as_ref().map_or_else(Outcome::from, |_| Outcome::Served);
        self.audit.record(caller, Act::Sign, On::key(handle.key()), outcome);
        let good = good.map_err(|source| self.no_value(&handle, source))?;
        let timestamp = self.hub.clock().wall().seconds();
        let nonce_str = Alphanumeric.sample_string(&mut rand::rng(), NONCE_LEN);
        let signature = jsapi::sign(&good.value.secret, &nonce_str, timestamp, &asked.url);
        Ok(pb::SignJsapiResponse { timestamp, nonce_str, signature, appid: asked.appid.clone() })
    }

    pub(super) async fn exchange(
        &self,
        caller: &Caller,
        asked: pb::ExchangeCodeRequest,
    ) -> Result<pb::ExchangeCodeResponse, Failure> {
        let flow = convert::flow("flow", asked.flow)?;
        // First: who may not is told so and no more, and who sends no code learns whether they may.
        let appid = self.check_account(caller, Act::Exchange, "appid", &asked.appid)?;
        if !(1..=MAX_CODE).contains(&asked.code.len()) {
            return Err(Failure::invalid("code", format!("must have 1 to {MAX_CODE} bytes")));
        }
        let code = Secret::from(asked.code);
        let deed = self.audit.begin(caller, Act::Exchange, On::named(appid.as_str(), None));
        let exchanged = self.hub.exchange_code(appid.as_str(), &code, flow).await;
        deed.end(exchanged.as_ref().map_or_else(audit::of_exchange, |_| Outcome::Done));
        let exchanged =
            exchanged.map_err(|source| Failure::Exchange { appid: appid.as_str().to_owned(), source })?;
        Ok(pb::ExchangeCodeResponse { result: Some(login(exchanged, flow)) })
    }

    pub(super) async fn pause_keys(
        &self,
        caller: &Caller,
        asked: pb::PauseRequest,
    ) -> Result<Vec<pb::KeyStatus>, Failure> {
        use pb::pause_request::Target;
        let until = self.pause_end(asked.until)?;
        let handles = match asked.target {
            None => return Err(Failure::invalid("target", "must be set")),
            Some(Target::Key(key)) => self.one(caller, Act::Pause, &key)?,
            Some(Target::Account(appid)) => self.all_of(caller, Act::Pause, &appid)?,
        };
        for handle in &handles {
            let deed = self.audit.begin(caller, Act::Pause, On::key(handle.key()));
            let paused = handle.pause(until).await;
            deed.end(Outcome::from(&paused));
            paused.map_err(|source| Failure::Pause { key: handle.key().to_string(), source })?;
            let until = self.hub.clock().wall_of(until);
            let key = handle.key();
            tracing::info!(client = caller.name(), app = %key.appid, kind = %key.kind, %until, "a client paused {key}");
        }
        Ok(handles.iter().map(|handle| self.status_of(&handle.view())).collect())
    }

    pub(super) async fn resume_keys(
        &self,
        caller: &Caller,
        asked: pb::ResumeRequest,
    ) -> Result<Vec<pb::KeyStatus>, Failure> {
        use pb::resume_request::Target;
        let handles = match asked.target {
            None => return Err(Failure::invalid("target", "must be set")),
            Some(Target::Key(key)) => self.one(caller, Act::Resume, &key)?,
            Some(Target::Account(appid)) => self.all_of(caller, Act::Resume, &appid)?,
        };
        for handle in &handles {
            let deed = self.audit.begin(caller, Act::Resume, On::key(handle.key()));
            let resumed = handle.resume().await;
            deed.end(Outcome::from(&resumed));
            resumed.map_err(|source| Failure::Pause { key: handle.key().to_string(), source })?;
            let key = handle.key();
            tracing::info!(client = caller.name(), app = %key.appid, kind = %key.kind, "a client resumed {key}");
        }
        Ok(handles.iter().map(|handle| self.status_of(&handle.view())).collect())
    }

    fn one(&self, caller: &Caller, act: Act, key: &pb::Key) -> Result<Vec<Handle>, Failure> {
        let kind = convert::kind("key.kind", key.kind)?;
        Ok(vec![self.find(caller, act, &key.appid, kind)?])
    }

    fn all_of(&self, caller: &Caller, act: Act, appid: &str) -> Result<Vec<Handle>, Failure> {
        let appid = self.check_account(caller, act, "account", appid)?;
        let allowed = |kind: &Kind| caller.may(Action::Admin, appid.as_str(), *kind);
        let kinds = Kind::ALL.into_iter().filter(allowed);
        let handles: Vec<_> = kinds.filter_map(|kind| self.hub.handle(appid.as_str(), kind)).collect();
        if handles.is_empty() {
            let failure = denied(caller, Action::Admin, format!("any key of account {appid}"));
            self.note_refusal(caller, act, On::named(appid.as_str(), None), &failure);
            return Err(failure);
        }
        Ok(handles)
    }

    fn pause_end(&self, until: Option<prost_types::Timestamp>) -> Result<BootTime, Failure> {
        let clock = self.hub.clock();
        let Some(until) = until else {
            return Ok(clock.boot() + DEFAULT_PAUSE);
        };
        let until = convert::wall("until", until)?;
        let millis = until.0.saturating_sub(clock.wall().0);
        match u64::try_from(millis).map(Duration::from_millis) {
            Ok(span) if span.is_zero() => Err(Failure::invalid("until", "must lie in the future")),
            Ok(span) if span <= MAX_PAUSE => Ok(clock.boot() + span),
            Ok(_) => Err(Failure::invalid("until", "must lie within 30 days")),
            Err(_) => Err(Failure::invalid("until", "must lie in the future")),
        }
    }
}

/// Accepts what a browser has in its address bar. Otherwise the text is left as it is: it
/// is signed byte for byte.
fn check_url(url: &str) -> Result<(), Failure> {
    let scheme = |name: &str| url.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let host = ["http://", "https://"].into_iter().find(|name| scheme(name)).map(|name| &url[name.len()..]);
    if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', '?', '#'])) {
        return Err(Failure::invalid("url", "must begin with http:// or https:// and a host"));
    }
    if url.len() > MAX_URL {
        return Err(Failure::invalid("url", format!("has more than {MAX_URL} bytes")));
    }
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(Failure::invalid(
            "url",
            "has blanks or control characters, which no browser's address has",
        ));
    }
    Ok(())
}

fn login(exchanged: Exchanged, flow: Flow) -> Login {
    let Exchanged {
        openid,
        unionid,
        scope,
        is_snapshot_user,
        access_token,
        refresh_token,
        expires_in,
        session_key,
    } = exchanged;
    let unionid = unionid.unwrap_or_default();
    let shown = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned()).unwrap_or_default();
    match flow {
        Flow::Web => Login::Web(pb::WebLogin {
            openid,
            unionid,
            scope: scope.unwrap_or_default(),
            snapshot_user: is_snapshot_user == SnapshotUser::Yes,
            access_token: shown(access_token),
            refresh_token: shown(refresh_token),
            expires_in: expires_in.map(convert::span_out),
        }),
        Flow::MiniProgram => {
            Login::MiniProgram(pb::MiniProgramLogin { openid, unionid, session_key: shown(session_key) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_must_be_a_page_that_a_browser_can_have() {
        for good in ["http://a.example", "HTTPS://a.example/?x=1#y", "http://a.example/中文"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL));
        for bad in
            ["", "a.example", "ftp://a.example", "http://", "https:///x", "http://a\n", "http://a b", &long]
        {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
    }
}
