//! Whether WeChat reaches an account's callback: WeChat's own check of the address in its
//! console, and a GET of ours of the address in our configuration.
//!
//! Ours carries a signature that cannot be right. A callback that is well refuses it, so any
//! refusal is a good sign, and one that echoes what it was sent checks nothing. Seen from here
//! a name or a firewall may differ from what WeChat sees; that is why both are asked.

use std::time::Duration;

use url::Url;

use crate::cli::words;
use crate::clock::{Clock, WallTime};
use crate::config::survey::Callback;
use crate::secret::Secret;
use crate::wechat::checkup::{CallbackReport, CheckupFailure, Ping};
use crate::wechat::errcode::{self, Endpoint};
use crate::wechat::{Trouble, WeChat};

use super::finding::{Finding, Group};
use super::http::{self, Answer, GetError};
use super::upstream::advice;

/// So long WeChat waits for an answer before it tries again.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of an answer is searched for the echo.
const MOST: usize = 16 * 1024;
/// Certificates are renewed a month before their end; half of that is late.
const LATE: Duration = Duration::from_hours(14 * 24);

/// Asks ourselves.
pub(super) async fn from_here(callback: &Callback, clock: &Clock) -> Vec<Finding> {
    let echo = format!("{:016x}", rand::random::<u64>());
    let mut url: Url = callback.url.clone();
    url.query_pairs_mut().extend_pairs([
        ("signature", "0000000000000000000000000000000000000000"),
        ("timestamp", &clock.wall().seconds().to_string()),
        ("nonce", "zhongkong-doctor"),
        ("echostr", &echo),
    ]);
    let asked = http::get(url, PATIENCE, MOST, clock).await;
    let found = judge(asked, &echo, clock.wall());
    found.into_iter().map(|finding| finding.about(&callback.appid)).collect()
}

fn judge(asked: Result<Answer, GetError>, echo: &str, now: WallTime) -> Vec<Finding> {
    const NAME: &str = "from here";
    let Answer { status, body, took, cert_ends } = match asked {
        Ok(answer) => answer,
        Err(error) => {
            let fix = match error {
                GetError::Dns => "correct the name in callback_url, or its DNS record",
                GetError::Connect => "start the web server there; open its port to the world",
                GetError::Tls => "`openssl s_client -connect HOST:443 -servername HOST` shows what is wrong",
                GetError::Slow => "WeChat waits 5 s: answer first, work afterwards",
                GetError::Torn => "look at the web server's error log",
                GetError::Client => "install ca-certificates",
            };
            return vec![Finding::fail(Group::Callback, NAME, error.to_string(), fix)];
        }
    };
    let ms = took.as_millis();
    let mut found = vec![match status {
        _ if body.contains(echo) => Finding::warn(
            Group::Callback,
            NAME,
            format!("it took a wrong signature for good ({status}): anybody can send it messages"),
            "check signature, timestamp and nonce with the account's Token before answering echostr",
        ),
        404 => Finding::warn(
            Group::Callback,
            NAME,
            "404: there is nothing at this path",
            "correct the path in callback_url and in WeChat's console, or the web server's",
        ),
        300..400 => Finding::warn(
            Group::Callback,
            NAME,
            format!("{status}: it sends callers elsewhere, and WeChat does not follow"),
            "answer at this address itself; write the final address into WeChat's console",
        ),
        500.. => Finding::fail(
            Group::Callback,
            NAME,
            format!("{status}: the server fails"),
            "look at the log of the service behind it (502, 503, 504: is it running?)",
        ),
        _ => Finding::ok(Group::Callback, NAME, format!("refuses a wrong signature with {status} ({ms} ms)")),
    }];
    if let Some(ends) = cert_ends {
        let left = words::between(now, ends);
        if left < LATE {
            let detail = format!("its certificate ends {}", words::until(now, ends));
            let fix = "renew it: after that WeChat gives up on the callback";
            found.push(Finding::warn(Group::Callback, "certificate", detail, fix));
        }
    }
    found
}

/// Has WeChat ask.
pub(super) async fn from_wechat(wechat: &WeChat, callback: &Callback, token: &Secret) -> Finding {
    judge_report(wechat.check_callback(token).await).about(&callback.appid)
}

/// Says that WeChat was not asked.
pub(super) fn not_asked(callback: &Callback) -> Finding {
    let detail =
        "not asked: that needs a token, from the check of the secret or from the daemon (action read)";
    Finding::warn(Group::Callback, "from WeChat", detail, "mend what fails above, then run doctor again")
        .about(&callback.appid)
}

fn judge_report(asked: Result<CallbackReport, CheckupFailure>) -> Finding {
    const NAME: &str = "from WeChat";
    let CallbackReport { resolved, pings } = match asked {
        Ok(report) => report,
        Err(CheckupFailure::Refused(refusal)) => {
            let meaning = errcode::meaning(Endpoint::Business, refusal.errcode);
            let fix = errcode::action(Endpoint::Business, &refusal);
            return Finding::warn(
                Group::Callback,
                NAME,
                format!("{meaning} (errcode {})", refusal.errcode),
                fix,
            );
        }
        Err(CheckupFailure::Trouble(Trouble { what })) => {
            return Finding::warn(Group::Callback, NAME, format!("not known: {what}"), advice(what));
        }
    };
    if resolved.is_empty() && pings.is_empty() {
        let fix = "correct the DNS record, or the address in WeChat's console";
        return Finding::fail(Group::Callback, NAME, "WeChat finds no address for its name", fix);
    }
    let lost = |ping: &&Ping| ping.loss.trim_end_matches('%').parse() == Ok(100_u8);
    let count = pings.iter().filter(lost).count();
    if count > 0 && count == pings.len() {
        let detail = "WeChat finds its address, and every ping is lost";
        let fix = "if messages arrive, pings are only filtered; else open the way from the Internet to it";
        return Finding::warn(Group::Callback, NAME, detail, fix);
    }
    let times: Vec<_> = pings.iter().filter(|ping| !lost(ping)).map(|ping| ping.time.as_str()).collect();
    let addresses = resolved.into_iter().take(3).collect::<Vec<_>>().join(", ");
    Finding::ok(Group::Callback, NAME, format!("WeChat reaches {addresses} ({})", times.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn refusal_of_a_wrong_signature_is_the_good_answer() {
        let answer = |status, body: &str| Answer {
            status,
            body: body.to_owned(),
            took: Duration::from_millis(9),
            cert_ends: None,
        };
        for (asked, level) in [
            (Ok(answer(403, "no")), Level::Ok),
            (Ok(answer(401, "")), Level::Ok),
            (Ok(answer(200, "")), Level::Ok),
            (Ok(answer(200, "echo")), Level::Warn),
            (Ok(answer(404, "")), Level::Warn),
            (Ok(answer(301, "")), Level::Warn),
            (Ok(answer(502, "")), Level::Fail),
            (Err(GetError::Tls), Level::Fail),
            (Err(GetError::Slow), Level::Fail),
        ] {
            let found = judge(asked.clone(), "echo", WallTime(0));
            assert_eq!((found.len(), found[0].level), (1, level), "{asked:?}: {found:?}");
        }
        let day = 86_400_000;
        for (ends, findings) in [(13 * day, 2), (15 * day, 1), (-day, 2)] {
            let asked = Answer { cert_ends: Some(WallTime(ends)), ..answer(403, "") };
            assert_eq!(judge(Ok(asked), "echo", WallTime(0)).len(), findings, "{ends}");
        }
    }

    #[test]
    fn report_of_wechat_is_judged_by_address_and_pings() {
        let ping = |loss: &str| Ping { from: "CAP".into(), loss: loss.into(), time: "23ms".into() };
        let report = |resolved: &[&str], pings: Vec<Ping>| {
            Ok(CallbackReport { resolved: resolved.iter().map(ToString::to_string).collect(), pings })
        };
        for (asked, level) in [
            (report(&["1.2.3.4"], vec![ping("0%")]), Level::Ok),
            (report(&["1.2.3.4"], vec![ping("0%"), ping("100%")]), Level::Ok),
            (report(&["1.2.3.4"], vec![ping("100%")]), Level::Warn),
            (report(&[], vec![]), Level::Fail),
        ] {
            let found = judge_report(asked.clone());
            assert_eq!(found.level, level, "{asked:?}: {found:?}");
        }
    }
}
