//! How the daemon is, in the one line that `systemctl status` shows.
//!
//! The line counts the keys and names the first problem by account and errcode, with what to
//! do; everybody on the host may read it, so it has appids and no value. [`Phase`] is the one
//! meaning of "started": systemd and whoever waits for a start go by it.

use std::fmt::Write as _;

use crate::hub::{Concern, Stock, Worst};
use crate::model::Kind;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Some keys have no value yet, and they are still waited for.
    Starting,
    /// Callers get what they are granted; gRPC health and `/readyz` say so too.
    Ready,
    /// The wait is over, or was before, and no key has a value: the start is finished all the
    /// same. WeChat's outage is no reason to start again, and systemd, which ends a start that
    /// takes too long, would do just that every minute; `/readyz` and gRPC health keep callers
    /// away, and the line says what is wrong.
    NotReady,
}

/// What the service manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where the daemon is in its life.
    pub phase: Phase,
    /// One line, for people.
    pub line: String,
}

/// "12 keys fresh, 1 needs operator: wx… 40164: add the address …".
pub(super) fn line(phase: Phase, stock: &Stock) -> String {
    let mut line = match phase {
        Phase::Starting => "starting: ",
        Phase::Ready => "",
        Phase::NotReady => "not ready: ",
    }
    .to_owned();
    let keys = if stock.fresh == 1 { "key" } else { "keys" };
    let _ = write!(line, "{} {keys} fresh", stock.fresh);
    if stock.paused > 0 {
        let _ = write!(line, ", {} paused", stock.paused);
    }
    // The gravest last, so that the colon follows it.
    for concern in Concern::ALL.into_iter().rev() {
        let many = stock.with(concern);
        let what = match (concern, many) {
            (_, 0) => continue,
            (Concern::NeedsOperator, 1) => "needs operator",
            (Concern::NeedsOperator, _) => "need operator",
            (Concern::WithoutValue, _) => "without a value",
            (Concern::Degraded, _) => "degraded",
        };
        let _ = write!(line, ", {many} {what}");
    }
    if let Some(worst) = &stock.worst {
        line.push_str(": ");
        line.push_str(&first_problem(worst));
    }
    line
}

fn first_problem(Worst { concern, key, problem }: &Worst) -> String {
    let mut text = match key.kind {
        Kind::AccessToken => key.appid.to_string(),
        Kind::JsapiTicket | Kind::WxCardTicket => format!("{} {}", key.appid, key.kind),
    };
    let Some(problem) = problem else {
        text.push_str(match concern {
            Concern::WithoutValue => " is being fetched",
            Concern::Degraded => " (see zhongkong explain)",
            Concern::NeedsOperator => "",
        });
        return text;
    };
    if let Some(errcode) = problem.errcode {
        let _ = write!(text, " {errcode}");
    }
    let what = match concern {
        Concern::NeedsOperator => &problem.action,
        Concern::WithoutValue | Concern::Degraded => &problem.meaning,
    };
    let _ = write!(text, ": {what}");
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{ErrCode, Key};
    use crate::refresh::view::{Problem, ProblemClass};

    fn worst(concern: Concern, kind: Kind, errcode: Option<i64>) -> Worst {
        let problem = Problem {
            class: ProblemClass::Operator,
            errcode: errcode.map(ErrCode),
            meaning: "it means this".to_owned(),
            action: "do that".to_owned(),
            rid: None,
        };
        let key = Key::new("wx1".parse().unwrap(), kind);
        Worst { concern, key, problem: Some(Arc::new(problem)) }
    }

    #[test]
    fn the_line_counts_the_keys_and_ends_with_the_gravest_problem() {
        let well = Stock { keys: 12, fresh: 12, ..Stock::default() };
        assert_eq!(line(Phase::Ready, &well), "12 keys fresh");
        let one = Stock {
            keys: 13,
            fresh: 12,
            concerns: [1, 0, 0],
            worst: Some(worst(Concern::NeedsOperator, Kind::AccessToken, Some(40_164))),
            ..Stock::default()
        };
        assert_eq!(line(Phase::Ready, &one), "12 keys fresh, 1 needs operator: wx1 40164: do that");
        let many = Stock { paused: 2, concerns: [2, 3, 4], fresh: 1, ..one };
        assert_eq!(
            line(Phase::Ready, &many),
            "1 key fresh, 2 paused, 4 degraded, 3 without a value, 2 need operator: wx1 40164: do that"
        );
        let down = Stock {
            keys: 1,
            concerns: [0, 1, 0],
            worst: Some(worst(Concern::WithoutValue, Kind::JsapiTicket, None)),
            ..Stock::default()
        };
        assert_eq!(
            line(Phase::NotReady, &down),
            "not ready: 0 keys fresh, 1 without a value: wx1 jsapi_ticket: it means this"
        );
        let begun = Stock { worst: Some(Worst { problem: None, ..down.worst.unwrap() }), ..down };
        assert_eq!(
            line(Phase::Starting, &begun),
            "starting: 0 keys fresh, 1 without a value: wx1 jsapi_ticket is being fetched"
        );
    }
}
