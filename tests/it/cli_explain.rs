//! What people read of a key: the sentences of `explain`, the page of `status`.

use prost_types::{Duration, Timestamp};
use zhongkong::cli::Colour;
use zhongkong::cli::explain::Explanation;
use zhongkong::cli::status;
use zhongkong::clock::WallTime;
use zhongkong::pb;
use zhongkong::pb::{
    AttemptCause, AttemptResult, CallMode, DegradedReason, HoldReason, KeyStatus, Kind, ProblemClass,
    TokenState,
};

const NOW: i64 = 1_790_000_000;

#[expect(clippy::unnecessary_wraps, reason = "as the fields of a message take it")]
fn at(offset: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: NOW + offset, nanos: 0 })
}

/// Fetched 11 minutes ago, good for 1 h 49 min, next in 1 h 39 min.
fn fresh() -> KeyStatus {
    KeyStatus {
        appid: "wx1".into(),
        kind: Kind::AccessToken.into(),
        account_name: "店".into(),
        state: TokenState::Fresh.into(),
        fingerprint: "ba7816bf8f01cfea".into(),
        generation: 1_789_999_340,
        value_mode: CallMode::Stable.into(),
        issued_at: at(-660),
        expires_at: at(6_540),
        remaining: Some(Duration { seconds: 6_540, nanos: 0 }),
        next_attempt_at: at(5_940),
        last_attempt: Some(pb::LastAttempt {
            number: 1_789_999_340,
            cause: AttemptCause::Deadline.into(),
            mode: CallMode::Stable.into(),
            sent_at: at(-660),
            result: AttemptResult::Issued.into(),
        }),
        budget: Some(pb::Budget { used: 13, left: 1_987, forced_used: 0, forced_left: 20 }),
        ..KeyStatus::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields of a message take it")]
fn problem(class: ProblemClass, errcode: Option<i64>, meaning: &str, action: &str) -> Option<pb::Problem> {
    let (meaning, action) = (meaning.to_owned(), action.to_owned());
    Some(pb::Problem { class: class.into(), errcode, meaning, action, rid: String::new() })
}

/// Without a value after the third refusal.
fn refused(class: ProblemClass, errcode: Option<i64>, meaning: &str, action: &str) -> KeyStatus {
    let mut key = KeyStatus {
        state: TokenState::NoValue.into(),
        fingerprint: String::new(),
        generation: 0,
        issued_at: None,
        expires_at: None,
        remaining: None,
        next_attempt_at: at(240),
        failures: 3,
        problem: problem(class, errcode, meaning, action),
        ..fresh()
    };
    if let Some(last) = &mut key.last_attempt {
        last.sent_at = at(-60);
        last.result = AttemptResult::Refused.into();
    }
    key
}

fn degraded(reason: DegradedReason) -> KeyStatus {
    KeyStatus { state: TokenState::Degraded.into(), degraded_reason: reason.into(), ..fresh() }
}

fn explain(key: &KeyStatus) -> Explanation {
    Explanation::of(key, None, WallTime(NOW * 1_000))
}

#[test]
fn key_that_is_well_needs_nothing() {
    let told = explain(&fresh());
    assert_eq!(
        told.now,
        "All is well: the value is good. Its fingerprint is ba7816bf8f01cfea, its generation 1789999340, fetched 11 \
         min ago, good for another 1 h 49 min."
    );
    assert_eq!(
        told.last,
        "The daemon made a stable token call 11 min ago, because it was due. WeChat gave a new value."
    );
    assert_eq!(told.next, "The daemon asks WeChat for the next value in 1 h 39 min, before this one ends.");
    assert_eq!(
        told.calls.as_deref(),
        Some("13 of 2000 calls of the last 24 hours are used, 0 of 20 forced ones.")
    );
    assert_eq!((told.others, told.todo.as_str()), (None, "Nothing."));

    let refreshing =
        explain(&KeyStatus { state: TokenState::Refreshing.into(), refreshing: true, ..fresh() });
    assert!(refreshing.now.contains("a newer one is being fetched right now"), "{refreshing:?}");
    assert_eq!(refreshing.next, "A call is under way right now.");
}

#[test]
fn reservation_about_a_value_is_told_with_its_reason() {
    let cases = [
        (DegradedReason::ReportedDead, "WeChat said that it is dead", "Nothing."),
        (DegradedReason::UnknownOutcome, "dies five minutes after that call", "unless it lasts"),
        (DegradedReason::Ledger, "a restart of the daemon would lose it", "do not restart the daemon"),
        (DegradedReason::TicketNotRotated, "repeats this ticket beyond the life", "invalid signature"),
    ];
    for (reason, why, todo) in cases {
        let told = explain(&degraded(reason));
        assert!(told.now.starts_with("There is a value, with a reservation."), "{told:?}");
        assert!(told.now.contains("good for another 1 h 49 min") && told.now.contains(why), "{told:?}");
        assert!(told.todo.contains(todo), "{told:?}");
    }
    let mut failing = degraded(DegradedReason::RenewalFailing);
    failing.problem = problem(ProblemClass::Transient, None, "WeChat cannot be reached: DNS", "check DNS");
    failing.failures = 1;
    let told = explain(&failing);
    assert!(told.now.ends_with("could not be renewed: WeChat cannot be reached: DNS."), "{told:?}");
    assert!(told.last.ends_with("This was the first failure since the last success."), "{told:?}");
    assert_eq!(told.todo, "Check DNS.");
}

#[test]
fn refusal_that_an_operator_must_end_says_what_to_do_and_how_to_try_at_once() {
    // 40164 names the address that WeChat saw, 40125 a wrong secret.
    let action = "WeChat saw the address 203.0.113.7: add it in the console";
    let told = explain(&refused(ProblemClass::Operator, Some(40_164), "this machine is not listed", action));
    assert_eq!(
        told.now,
        "There is no value, and no retry brings one until somebody acts: this machine is not listed (errcode 40164). \
         Programs that ask get an error."
    );
    assert!(told.last.ends_with("WeChat refused. These are 3 failures in a row."), "{told:?}");
    assert_eq!(
        told.next,
        "The daemon asks WeChat again by itself in 4 min. When you have acted, `zhongkong refresh wx1 access_token` \
         asks at once."
    );
    assert_eq!(told.todo, "WeChat saw the address 203.0.113.7: add it in the console.");
    let secret =
        explain(&refused(ProblemClass::Operator, Some(40_125), "the AppSecret is invalid", "compare it"));
    assert!(secret.now.contains("errcode 40125") && secret.todo == "Compare it.", "{secret:?}");
}

#[test]
fn spent_quota_and_spent_budget_are_told_apart() {
    let quota =
        explain(&refused(ProblemClass::Quota, Some(45_009), "the day's calls are used up", "clear it"));
    assert!(quota.now.contains("because the calls are used up: the day's calls are used up (errcode 45009)"));
    assert!(quota.next.contains("When WeChat's count is cleared, `zhongkong refresh"), "{quota:?}");

    let mut spent = refused(ProblemClass::Quota, None, "the call budget of 24 h is used up", "find out who");
    spent.budget = Some(pb::Budget { used: 2_000, left: 0, forced_used: 20, forced_left: 0 });
    let told = explain(&spent);
    let calls = told.calls.unwrap();
    assert!(calls.starts_with("2000 of 2000 calls") && calls.contains("Nothing is left"), "{calls}");
    assert!(!told.next.contains("refresh"), "a refresh would not help: {}", told.next);

    let few = pb::Budget { used: 1_900, left: 100, forced_used: 0, forced_left: 20 };
    let told = explain(&KeyStatus { budget: Some(few), ..fresh() });
    assert!(told.calls.unwrap().contains("Few are left"));
}

#[test]
fn key_on_hold_says_what_it_waits_for() {
    let hold = |reason: HoldReason, until| Some(pb::Hold { reason: reason.into(), until });
    let paused = KeyStatus { hold: hold(HoldReason::Paused, at(2_400)), next_attempt_at: None, ..fresh() };
    let told = explain(&paused);
    assert!(told.now.starts_with("The value is good, but not renewed."), "{told:?}");
    assert!(
        told.next.starts_with("Nothing, until the pause ends in 40 min; `zhongkong resume wx1 access_token`")
    );
    assert!(told.todo.starts_with("`zhongkong resume wx1 access_token` when the reason"), "{told:?}");

    let mut ticket = refused(ProblemClass::Unspecified, None, "", "");
    ticket.kind = Kind::JsapiTicket.into();
    ticket.problem = None;
    ticket.next_attempt_at = None;
    ticket.hold = hold(HoldReason::ParentMissing, None);
    let token = refused(ProblemClass::Operator, Some(40_125), "the AppSecret is invalid", "compare it");
    let told = Explanation::of(&ticket, Some(&token), WallTime(NOW * 1_000));
    assert!(
        told.now.contains("fetched with the account's access_token, and that has none. The access_token has none because the AppSecret is invalid (errcode 40125)."),
        "{told:?}"
    );
    assert!(told.next.ends_with("The next call for that is in 4 min."), "{told:?}");
    assert_eq!(told.todo, "Compare it.", "the cure is the token's");
}

#[test]
fn key_that_was_never_fetched_is_no_trouble_yet() {
    let mut new = refused(ProblemClass::Unspecified, None, "", "");
    new.problem = None;
    new.last_attempt = None;
    new.failures = 0;
    new.next_attempt_at = at(0);
    let told = explain(&new);
    assert!(told.now.starts_with("There is no value yet: it has not been fetched so far"), "{told:?}");
    assert_eq!(told.last, "The daemon has not called WeChat for it since it started.");
    assert_eq!(told.next, "The daemon asks WeChat for one now.");
    assert_eq!(told.todo, "Nothing.");
}

#[test]
fn foreign_refresh_is_told_with_the_cure_of_its_mode() {
    let foreign = |mode: CallMode| KeyStatus {
        foreign_refreshes: 2,
        last_foreign_refresh_at: at(-120),
        value_mode: mode.into(),
        ..fresh()
    };
    let told = explain(&foreign(CallMode::Classic));
    assert!(
        told.others
            .unwrap()
            .contains("died 2 times before its end without a call of ours, the last time 2 min ago")
    );
    assert!(told.todo.contains("token_mode = \"stable\""), "{}", told.todo);
    assert!(explain(&foreign(CallMode::Stable)).todo.contains("reset the AppSecret"));
}

#[test]
fn story_is_laid_out_in_a_hundred_columns() {
    let text = explain(&fresh()).text(&fresh(), Colour::Off);
    assert!(text.starts_with("access_token of 店 (wx1)\n\n  now     All is well"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.ends_with("  do      Nothing.\n"), "{text}");
}

#[test]
fn page_aligns_wide_letters_and_says_a_common_cause_once() {
    let mut keys = vec![fresh()];
    for number in 2..=6 {
        let mut key = refused(ProblemClass::Operator, Some(40_164), "not listed", "add 203.0.113.7");
        key.appid = format!("wx{number}");
        key.account_name = "shop".into();
        // Each refusal has a request id of its own.
        key.problem.as_mut().unwrap().rid = format!("rid-{number}");
        keys.push(key);
    }
    let page = status::page(&keys, WallTime(NOW * 1_000), Colour::Off);
    let expected = "\
ACCOUNT  NAME  KIND          STATE     GENERATION  FINGERPRINT       AGE  LEFT   NEXT   ERROR
wx1      店    access_token  fresh     1789999340  ba7816bf8f01cfea  11m  1h49m  1h39m  -
wx2      shop  access_token  NO VALUE  -           -                 -    -      4m     40164
";
    assert!(page.starts_with(expected), "{page}");
    let remark = "
wx2 access_token, wx3 access_token, wx4 access_token and 2 more
    why  not listed (errcode 40164)
    do   add 203.0.113.7

6 keys: 1 fresh, 5 need an operator
";
    assert!(page.ends_with(remark), "{page}");
}

#[test]
fn colour_marks_the_state_and_moves_no_column() {
    let keys = [fresh(), refused(ProblemClass::Transient, None, "no answer", "nothing")];
    let plain = status::page(&keys, WallTime(NOW * 1_000), Colour::Off);
    let coloured = status::page(&keys, WallTime(NOW * 1_000), Colour::On);
    assert!(coloured.contains("\x1b[32mfresh\x1b[0m") && coloured.contains("\x1b[1;31mNO VALUE\x1b[0m"));
    let mut stripped = coloured;
    for code in ["\x1b[32m", "\x1b[1;31m", "\x1b[1m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
    assert!(plain.chars().all(|letter| !('\u{2061}'..='\u{2063}').contains(&letter)), "no mark is left");
}
