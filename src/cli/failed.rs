//! A failed command as it is told: the only place that writes errors for people.
//!
//! [`Failed`] is the finished text for stderr, with the chain of causes and what to do, or a
//! document with `--json`.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::client::{self, Code};

use super::document::seconds;
use super::error::{CliError, broken};
use super::output::Form;
use super::words;

/// An error with its causes on one line: `sentence: cause: cause`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

/// The causes below an error. One whose words stand in the sentence above it is left out.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
        }
        said = text;
        next = cause.source();
    }
    causes
}

/// A failed command: the finished text for stderr, and the exit code.
#[derive(Debug)]
pub struct Failed {
    text: String,
    code: u8,
}

impl Failed {
    pub(super) fn new(error: &CliError, form: Form) -> Self {
        let text = match form {
            Form::Human => human(error),
            Form::Json => serde_json::to_string(&document(error)).unwrap_or_else(|_| human(error)),
        };
        Self { text, code: error.exit_code() }
    }

    /// 1 failed, 2 wrong usage or configuration.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failed {}

/// What the chain says beyond the first sentence. The causes of a refusal are the daemon's
/// words again.
fn causes_of(error: &CliError) -> Vec<String> {
    match error {
        CliError::Client { source: client::Error::Refused(_), .. } => Vec::new(),
        CliError::Client { source, .. } => {
            let mut causes = causes(source);
            causes.retain(|cause| cause != "transport error");
            causes
        }
        other => causes(other),
    }
}

fn human(error: &CliError) -> String {
    let mut text = format!("error: {error}");
    for cause in causes_of(error) {
        text.push_str(": ");
        text.push_str(&words::plain(&cause));
    }
    let mut line = |name: &str, what: &str| {
        text.push_str("\n  ");
        text.push_str(name);
        text.push_str(": ");
        text.push_str(what);
    };
    if let Some(refusal) = error.refusal() {
        for (field, rule) in &refusal.fields {
            let said = refusal.message.contains(rule.as_str());
            if !said {
                line(&words::plain(field), &words::plain(rule));
            }
        }
        if let Some(errcode) = refusal.errcode {
            line("WeChat's errcode", &errcode.to_string());
        }
        if let Some(rid) = &refusal.rid {
            line("WeChat's request id", &words::plain(rid));
        }
    }
    for detail in error.details() {
        text.push_str("\n  ");
        text.push_str(detail);
    }
    if let Some(advice) = error.advice() {
        text.push_str("\n  what to do: ");
        text.push_str(&advice);
    }
    if let Some(after) = error.refusal().filter(|refusal| !broken(refusal)).and_then(|it| it.retry_after) {
        text.push_str("\n  try again: in ");
        text.push_str(&words::span(after.max(Duration::from_secs(1))));
    }
    text
}

/// A failure as a document.
#[derive(Serialize)]
struct Document {
    error: Body,
}

#[derive(Serialize)]
struct Body {
    message: String,
    causes: Vec<String>,
    /// What was done before it and what is left, in sentences.
    details: Vec<String>,
    /// The gRPC status; null if the daemon did not answer.
    code: Option<&'static str>,
    reason: Option<String>,
    errcode: Option<i64>,
    rid: Option<String>,
    action: Option<String>,
    retry_after_seconds: Option<f64>,
    fields: Vec<Field>,
    advice: Option<String>,
}

#[derive(Serialize)]
struct Field {
    field: String,
    rule: String,
}

fn document(error: &CliError) -> Document {
    let refusal = error.refusal();
    let wechat = error.wechat();
    let fields = refusal.map(|refusal| refusal.fields.as_slice()).unwrap_or_default();
    let field = |(field, rule): &(String, String)| Field { field: field.clone(), rule: rule.clone() };
    Document {
        error: Body {
            message: error.to_string(),
            causes: causes_of(error),
            details: error.details().to_vec(),
            code: refusal.map(|refusal| code(refusal.code)),
            reason: refusal.and_then(|refusal| refusal.reason.clone()),
            errcode: refusal
                .and_then(|refusal| refusal.errcode)
                .or(wechat.map(|it| it.errcode))
                .map(|it| it.0),
            rid: refusal.and_then(|refusal| refusal.rid.clone()).or(wechat.and_then(|it| it.rid.clone())),
            action: refusal.and_then(|refusal| refusal.action.clone()),
            retry_after_seconds: refusal.and_then(|refusal| refusal.retry_after).map(seconds),
            fields: fields.iter().map(field).collect(),
            advice: error.advice(),
        },
    }
}

/// The status's name as gRPC writes it.
fn code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
