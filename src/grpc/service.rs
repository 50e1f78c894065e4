//! The rpcs of `TokenControl`: who may, what is asked, what is answered.
//!
//! Asks the hub and nothing below it. Each method is short: parse, check the grant, ask,
//! convert. [`Face::find`] is the only way to a key, so that a caller without a grant
//! cannot tell whether an account exists.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::access::{Action, Caller, Gate};
use crate::audit::{Act, On, Outcome, Recorder};
use crate::hub::Hub;
use crate::model::{AppId, ErrCode, Kind};
use crate::pb;
use crate::pb::token_control_server::TokenControl;
use crate::refresh::handle::{Answer, Force, Handle, NoValue};
use crate::refresh::view::Good;
use crate::telemetry::metrics::{self, ReadResult, Reads};

use super::audit;
use super::convert::{self, ValuePart};
use super::errors::Failure;
use super::watch::{self, Events};

/// Longest wait of `GetToken`. Longer ones would only hold connections; ask again instead.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The service.
pub(super) struct Face {
    pub(super) hub: Arc<Hub>,
    pub(super) gate: Gate,
    pub(super) stop: CancellationToken,
    pub(super) reads: Reads,
    pub(super) audit: Recorder,
}

impl Face {
    /// The key, if the caller may do this with it. A refusal is noted here.
    pub(super) fn find(&self, caller: &Caller, act: Act, appid: &str, kind: Kind) -> Result<Handle, Failure> {
        let found = self.look_up(caller, audit::needs(act), appid, kind);
        found.inspect_err(|failure| self.note_refusal(caller, act, On::named(appid, Some(kind)), failure))
    }

    fn look_up(&self, caller: &Caller, action: Action, appid: &str, kind: Kind) -> Result<Handle, Failure> {
        let allowed = caller.may(action, appid, kind);
        // The grant is looked at first and whatever the hub would say: outside it, a key
        // that exists and one that does not are answered alike.
        if allowed && let Some(handle) = self.hub.handle(appid, kind) {
            return Ok(handle);
        }
        let appid = convert::appid("appid", appid)?;
        if !allowed {
            return Err(denied(caller, action, format!("{kind} of account {appid}")));
        }
        Err(self.missing(&appid, kind))
    }

    /// Refuses an action on an account, if the caller has no grant for it. That is noted here.
    pub(super) fn check_account(
        &self,
        caller: &Caller,
        act: Act,
        field: &str,
        appid: &str,
    ) -> Result<AppId, Failure> {
        let checked = self.look_up_account(caller, audit::needs(act), field, appid);
        checked.inspect_err(|failure| self.note_refusal(caller, act, On::named(appid, None), failure))
    }

    pub(super) fn note_refusal(&self, caller: &Caller, act: Act, on: On, failure: &Failure) {
        if let Some(outcome) = audit::refusal(failure) {
            self.audit.record(caller, act, on, outcome);
        }
    }

    fn look_up_account(
        &self,
        caller: &Caller,
        action: Action,
        field: &str,
        appid: &str,
    ) -> Result<AppId, Failure> {
        let appid = convert::appid(field, appid)?;
        if !caller.may_on_account(action, appid.as_str()) {
            return Err(denied(caller, action, format!("account {appid}")));
        }
        if !self.hub.account_exists(appid.as_str()) {
            return Err(Failure::no_account(appid.as_str()));
        }
        Ok(appid)
    }

    fn missing(&self, appid: &AppId, kind: Kind) -> Failure {
        if self.hub.account_exists(appid.as_str()) {
            Failure::no_key(appid.as_str(), kind)
        } else {
            Failure::no_account(appid.as_str())
        }
    }

    /// A good value as a message, with the string itself if the caller may read it.
    fn token(&self, caller: &Caller, handle: &Handle, good: &Good) -> pb::Token {
        let key = handle.key();
        let part = if caller.may(Action::Read, key.appid.as_str(), key.kind) {
            ValuePart::Shown
        } else {
            ValuePart::LeftOut
        };
        convert::token(key.appid.as_str(), key.kind, good, part, self.hub.clock().moment())
    }

    /// Puts a key's failure into words for callers.
    pub(super) fn no_value(&self, handle: &Handle, source: NoValue) -> Failure {
        Failure::NoValue { key: handle.key().to_string(), now: self.hub.clock().boot(), source }
    }

    async fn get(&self, caller: &Caller, asked: &pb::GetTokenRequest) -> Result<pb::Token, Failure> {
        let begun = tokio::time::Instant::now();
        let kind = convert::kind_or_access_token("kind", asked.kind)?;
        let max_wait = convert::span("max_wait", asked.max_wait)?.min(MAX_WAIT);
        let handle = self
            .find(caller, Act::Read, &asked.appid, kind)
            .inspect_err(|_| self.reads.count(ReadResult::Refused))?;
        let good = if max_wait.is_zero() { handle.read() } else { handle.wait(max_wait).await };
        self.reads.count(if good.is_ok() { ReadResult::Served } else { ReadResult::Unavailable });
        let outcome = good.as_ref().map_or_else(Outcome::from, |_| Outcome::Served);
        // Each look at a clock costs more than the look-up of the key.
        let (key, now) = (handle.key(), self.hub.clock().moment());
        self.audit.record_at(now.wall, caller, Act::Read, On::key(key), outcome);
        let good = good.map_err(|source| self.no_value(&handle, source))?;
        let token = convert::token(key.appid.as_str(), key.kind, &good, ValuePart::Shown, now);
        metrics::read_took(begun.elapsed());
        Ok(token)
    }

    async fn refresh(
        &self,
        caller: &Caller,
        asked: &pb::ForceRefreshRequest,
    ) -> Result<pb::ForceRefreshResponse, Failure> {
        let kind = convert::kind("kind", asked.kind)?;
        let seen = convert::fingerprint("seen_fingerprint", &asked.seen_fingerprint)?;
        let force = match (asked.force, asked.leaked) {
            (false, false) => None,
            (true, false) => Some(Force::Once),
            (true, true) => Some(Force::Leaked),
            (false, true) => return Err(Failure::invalid("leaked", "needs `force` beside it")),
        };
        let act = match force {
            None => Act::Complain,
            Some(Force::Once) => Act::Force,
            Some(Force::Leaked) => Act::Leak,
        };
        let handle = self.find(caller, act, &asked.appid, kind)?;
        let deed = self.audit.begin(caller, act, On::key(handle.key()).value(seen));
        let answer = match force {
            None => handle.complain(seen, ErrCode(asked.errcode)).await,
            Some(force) => {
                let key = handle.key();
                tracing::info!(client = caller.name(), app = %key.appid, kind = %key.kind, ?force, "a client forces a refresh of {key}");
                handle.force(force).await
            }
        };
        let Answer { outcome, good } = match answer {
            Ok(answer) => answer,
            Err(source) => {
                deed.end(Outcome::from(&source));
                return Err(self.no_value(&handle, source));
            }
        };
        deed.end_with(outcome.into(), good.value.generation);
        let token = self.token(caller, &handle, &good);
        Ok(pb::ForceRefreshResponse { outcome: convert::outcome(outcome).into(), token: Some(token) })
    }
}

/// The refusal of an action that the caller has no grant for.
pub(super) fn denied(caller: &Caller, action: Action, what: String) -> Failure {
    Failure::Denied { client: caller.name().to_owned(), action, what }
}

/// The caller that the gate put into the request.
fn caller<T>(request: &Request<T>) -> Result<&Caller, Failure> {
    request
        .extensions()
        .get::<Caller>()
        .ok_or(Failure::Internal { what: "a request passed without a caller" })
}

#[tonic::async_trait]
impl TokenControl for Face {
    async fn get_token(
        &self,
        request: Request<pb::GetTokenRequest>,
    ) -> Result<Response<pb::GetTokenResponse>, Status> {
        let token = self.get(caller(&request)?, request.get_ref()).await?;
        Ok(Response::new(pb::GetTokenResponse { token: Some(token) }))
    }

    async fn force_refresh(
        &self,
        request: Request<pb::ForceRefreshRequest>,
    ) -> Result<Response<pb::ForceRefreshResponse>, Status> {
        Ok(Response::new(self.refresh(caller(&request)?, request.get_ref()).await?))
    }

    type WatchTokensStream = Events;

    async fn watch_tokens(
        &self,
        request: Request<pb::WatchTokensRequest>,
    ) -> Result<Response<Events>, Status> {
        let caller = caller(&request)?.clone();
        Ok(Response::new(watch::open(self, caller, request.get_ref())?))
    }

    async fn list_status(
        &self,
        request: Request<pb::ListStatusRequest>,
    ) -> Result<Response<pb::ListStatusResponse>, Status> {
        Ok(Response::new(self.list(caller(&request)?, request.get_ref())?))
    }

    async fn sign_jsapi(
        &self,
        request: Request<pb::SignJsapiRequest>,
    ) -> Result<Response<pb::SignJsapiResponse>, Status> {
        Ok(Response::new(self.sign(caller(&request)?, request.get_ref())?))
    }

    async fn exchange_code(
        &self,
        request: Request<pb::ExchangeCodeRequest>,
    ) -> Result<Response<pb::ExchangeCodeResponse>, Status> {
        let caller = caller(&request)?.clone();
        Ok(Response::new(self.exchange(&caller, request.into_inner()).await?))
    }

    async fn pause(&self, request: Request<pb::PauseRequest>) -> Result<Response<pb::PauseResponse>, Status> {
        let caller = caller(&request)?.clone();
        let keys = self.pause_keys(&caller, request.into_inner()).await?;
        Ok(Response::new(pb::PauseResponse { keys }))
    }

    async fn resume(
        &self,
        request: Request<pb::ResumeRequest>,
    ) -> Result<Response<pb::ResumeResponse>, Status> {
        let caller = caller(&request)?.clone();
        let keys = self.resume_keys(&caller, request.into_inner()).await?;
        Ok(Response::new(pb::ResumeResponse { keys }))
    }
    async fn list_audit(
        &self,
        request: Request<pb::ListAuditRequest>,
    ) -> Result<Response<pb::ListAuditResponse>, Status> {
        Ok(Response::new(self.list_audit_rows(caller(&request)?, request.get_ref()).await?))
    }
}
