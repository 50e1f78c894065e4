//! A delivery as a JSON document: for `--json` and for `/_sim/push`.
//!
//! It has the request with its signatures, which are no secrets; never the Token or the key.

use serde_json::{Value, json};

use super::deliver::{Attempt, Delivery, Ending, Trial, Verification};
use super::flaw::Flaw;
use super::judge::Shown;

impl Delivery {
    /// The document.
    pub fn document(&self) -> Value {
        let Self { message, attempts, shown, trial } = self;
        let attempts: Vec<Value> = attempts.iter().map(attempt).collect();
        json!({
            "ok": self.ok(),
            "message": message,
            "attempts": attempts,
            "shown": shown_document(shown),
            "trial": trial.as_ref().map(trial_document),
        })
    }

    /// Whether the callback did right: a good push was answered or acknowledged, a spoilt one borne.
    pub fn ok(&self) -> bool {
        match &self.trial {
            Some(trial) => matches!(trial, Trial::Withstood(_)),
            None => self.shown.flaw().is_none(),
        }
    }
}

impl Verification {
    /// The document.
    pub fn document(&self) -> Value {
        let Self { attempt: one, result, trial } = self;
        json!({
            "ok": self.ok(),
            "attempts": [attempt(one)],
            "flaw": result.as_ref().err().map(flaw_document),
            "trial": trial.as_ref().map(trial_document),
        })
    }

    /// Whether the callback did right.
    pub fn ok(&self) -> bool {
        match &self.trial {
            Some(trial) => matches!(trial, Trial::Withstood(_)),
            None => self.result.is_ok(),
        }
    }
}

fn attempt(attempt: &Attempt) -> Value {
    let Attempt { request, took, ending } = attempt;
    let mut document = json!({
        "method": request.method,
        "url": request.url.as_str(),
        "request_bytes": request.body.len(),
        "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let (ending, more) = match ending {
        Ending::Answered(answer) => (
            "answered",
            json!({
                "status": answer.status,
                "content_type": answer.content_type,
                "body": String::from_utf8_lossy(&answer.body),
            }),
        ),
        Ending::Silent => ("silent", json!({})),
        Ending::Broken(why) => ("broken", json!({ "why": why })),
        Ending::Unreachable(why) => ("unreachable", json!({ "why": why })),
    };
    document["ending"] = ending.into();
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    document
}

fn shown_document(shown: &Shown) -> Value {
    match shown {
        Shown::Answer(answer) => json!({
            "kind": "answer",
            "type": answer.kind,
            "fields": answer.fields.to_json(),
            "text": answer.text,
            "notes": answer.notes,
        }),
        Shown::Nothing => json!({ "kind": "nothing" }),
        Shown::Failed(flaw) => {
            let mut document = flaw_document(flaw);
            document["kind"] = "failed".into();
            document
        }
    }
}

fn flaw_document(flaw: &Flaw) -> Value {
    json!({ "screen": flaw.screen(), "why": flaw.to_string(), "advice": flaw.advice() })
}

fn trial_document(trial: &Trial) -> Value {
    match trial {
        Trial::Withstood(how) => json!({ "withstood": true, "how": how }),
        Trial::Fell(why) => json!({ "withstood": false, "how": why }),
    }
}
