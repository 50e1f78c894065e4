//! Why a call brought nothing, and whether WeChat may have carried it out.

use crate::client::Error;
use crate::model::{AppId, ErrCode};

use super::answer::Refusal;

/// A call that brought nothing. Only after [`ApiError::Lost`] WeChat may have carried it out.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is nobody to get a token from.
    #[error(
        "the daemon at {daemon} cannot be reached, so there is no token to call WeChat with: start it there \
         (`systemctl start zhongkong`), or set the address that it listens on"
    )]
    DaemonAway {
        /// Its address.
        daemon: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// The daemon answered, without a token.
    #[error("the daemon at {daemon} has no access token of {appid} for this service")]
    NoToken {
        /// Whose.
        appid: AppId,
        /// Its address.
        daemon: String,
        /// Why, and what to do, in the daemon's words.
        #[source]
        source: Error,
    },
    /// The daemon shows the token's fingerprint only.
    #[error(
        "the daemon does not let this service read the access token of {appid}: add `read` to the actions of \
         its [[client]]"
    )]
    MayNotRead {
        /// Whose.
        appid: AppId,
    },
    /// WeChat says that the token is dead, and the daemon brought no other.
    #[error(
        "WeChat says that the access token is dead (errcode {errcode}), and the daemon at {daemon} has not \
         replaced it"
    )]
    Complaint {
        /// Its address.
        daemon: String,
        /// WeChat's number.
        errcode: ErrCode,
        /// Why, and what to do, in the daemon's words.
        #[source]
        source: Error,
    },
    /// WeChat refused the token that the daemon answered the complaint with, too.
    #[error(
        "WeChat refused the daemon's new access token as well ({0}): look for another program that fetches \
         tokens with the same AppSecret, and whether daemon and service use the same WeChat"
    )]
    StillDead(Refusal),
    /// WeChat refused the call and did nothing.
    #[error("WeChat refused the call: {0}")]
    Refused(Refusal),
    /// No connection was made. The call may be made again.
    #[error("the call was not sent to WeChat: {0}")]
    NotSent(UnsentKind),
    /// The call was sent and no usable answer came. It must not be made again if doing it twice is
    /// worse than not doing it.
    #[error("WeChat's answer was lost ({0}); the call may have been carried out, and is not repeated")]
    Lost(LostKind),
}

/// Why a call was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsentKind {
    /// It cannot be written as a request.
    #[error("it cannot be made into a request")]
    Unsendable,
    /// The host's name was not resolved.
    #[error("the name of its host could not be resolved; check this machine's DNS and `api_base`")]
    Dns,
    /// Refused or unreachable, or the TLS handshake failed.
    #[error("no connection could be made; check this machine's way to the internet and its clock")]
    Connect,
    /// No connection within the time for it.
    #[error("no connection could be made in time; check this machine's way to the internet")]
    ConnectTimedOut,
}

/// Why an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostKind {
    /// Not within the time of a call.
    #[error("none came in time")]
    TimedOut,
    /// The connection ended before the answer was whole.
    #[error("the connection broke off")]
    Torn,
    /// A status other than 200, redirects included; WeChat itself only sends 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// More than is read of an answer.
    #[error("it was too large")]
    TooLarge,
    /// No JSON object with, if there is one, a whole number as its `errcode`.
    #[error("it was not WeChat's JSON")]
    NotJson,
}

/// Why no calls can be made. The settings must be changed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not an address of an API.
    #[error("the base of WeChat's API must be an http:// or https:// URL with a host")]
    ApiBase,
    /// Not an address of a proxy.
    #[error("the proxy must be an http:// or https:// URL with a host")]
    Proxy,
    /// The HTTP client, most often because no CA certificates are installed.
    #[error("the HTTPS client cannot be set up (is the package ca-certificates installed?)")]
    Client(#[source] reqwest::Error),
}

/// Sorts the daemon's silence from its refusal.
pub(super) fn no_token(appid: &AppId, daemon: &str, source: Error) -> ApiError {
    let daemon = daemon.to_owned();
    if source.is_away() {
        ApiError::DaemonAway { daemon, source }
    } else {
        ApiError::NoToken { appid: appid.clone(), daemon, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Code;
    use tonic::Status;

    #[test]
    fn connection_that_breaks_under_a_call_is_an_absent_daemon_and_its_own_word_is_not() {
        let told = |code| no_token(&"wx1".parse().unwrap(), "unix:/x", Status::new(code, "why").into());
        for code in [Code::Unavailable, Code::Cancelled, Code::Unknown] {
            assert!(matches!(told(code), ApiError::DaemonAway { .. }), "{code:?}");
        }
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::NotFound, Code::FailedPrecondition]
        {
            assert!(matches!(told(code), ApiError::NoToken { .. }), "{code:?}");
        }
    }
}
