//! The budget at its edges, and over days in which everybody asks for more.

use super::*;

const SHARE: u32 = 27;

fn at(seconds: i64) -> BootTime {
    BootTime(seconds * 1_000)
}

#[test]
fn complaints_have_a_burst_of_five_then_one_per_ninety_seconds() {
    let mut budget = Budget::new(2_000);
    for _ in 0..5 {
        budget.allows(at(0), Share::Complaint, Forced::No, SHARE).unwrap();
        budget.count(at(0), Share::Complaint, Forced::No);
    }
    let denied = budget.allows(at(0), Share::Complaint, Forced::No, SHARE).unwrap_err();
    assert!(denied.until > at(89) && denied.until <= at(91), "{denied:?}");
    assert!(budget.allows(at(89), Share::Complaint, Forced::No, SHARE).is_err());
    budget.allows(at(91), Share::Complaint, Forced::No, SHARE).unwrap();
    // The schedule and the operators are not held up by it.
    budget.allows(at(0), Share::Deadline, Forced::No, SHARE).unwrap();
    budget.allows(at(0), Share::Operator, Forced::No, SHARE).unwrap();
}

#[test]
fn a_day_of_impatient_complainers_leaves_the_deadlines_their_share() {
    // Complaints take what they can get, second by second, for a day.
    for limit in [200, 2_000] {
        let mut budget = Budget::new(limit);
        for second in 0..86_400 {
            if budget.allows(at(second), Share::Complaint, Forced::No, SHARE).is_ok() {
                budget.count(at(second), Share::Complaint, Forced::No);
            }
        }
        let now = at(86_399);
        let used = budget.usage(now).used;
        assert!(used <= limit - SHARE - limit / 20, "{used} of {limit}");
        assert!(used >= (limit - SHARE - limit / 20).min(900), "{used} of {limit}: complaints starve");
        for _ in 0..SHARE {
            budget.allows(now, Share::Deadline, Forced::No, SHARE).unwrap();
            budget.count(now, Share::Deadline, Forced::No);
        }
        budget.allows(now, Share::Operator, Forced::No, SHARE).unwrap();
    }
}

#[test]
fn no_rolling_day_has_more_calls_than_the_limit() {
    // Everybody asks every 7 s for three days; the densest 24 h are looked for.
    let mut budget = Budget::new(200);
    let mut sent = Vec::new();
    for tick in 0..(3 * 86_400 / 7) {
        let now = at(tick * 7);
        for share in [Share::Deadline, Share::Complaint, Share::Operator] {
            if budget.allows(now, share, Forced::No, SHARE).is_ok() {
                budget.count(now, share, Forced::No);
                sent.push(now);
            }
        }
    }
    assert!(sent.len() > 400);
    let densest = sent
        .iter()
        .map(|from| sent.iter().filter(|call| **call >= *from && **call < *from + WINDOW).count())
        .max();
    assert!(densest <= Some(200), "{densest:?}");
}

#[test]
fn forced_calls_keep_their_distance_and_operators_keep_four() {
    let mut budget = Budget::new(2_000);
    let mut made = 0;
    for second in 0..86_000 {
        if budget.allows(at(second), Share::Complaint, Forced::Yes, SHARE).is_ok() {
            budget.count(at(second), Share::Complaint, Forced::Yes);
            made += 1;
        }
    }
    assert_eq!(made, 16);
    for call in 0..4 {
        let now = at(86_000 + call * 31);
        budget.allows(now, Share::Operator, Forced::Yes, SHARE).unwrap();
        budget.count(now, Share::Operator, Forced::Yes);
        assert!(budget.allows(now + Duration::from_secs(30), Share::Operator, Forced::Yes, SHARE).is_err());
    }
    assert!(budget.allows(at(86_300), Share::Operator, Forced::Yes, SHARE).is_err());
}

#[test]
fn pace_makes_the_calls_left_last_for_the_window() {
    let mut budget = Budget::new(200);
    assert_eq!(budget.pace(at(0), SHARE), Duration::ZERO);
    for call in 0..=i64::from(SHARE) {
        budget.count(at(call), Share::Deadline, Forced::No);
    }
    // 28 of 200 used at second 27 and 10 kept for operators: 162 calls for the 86,373 s until
    // the first one leaves, and 163 a day beside the burst.
    assert_eq!(budget.pace(at(27), SHARE), Duration::from_secs(86_373) / 162);
    budget.count(at(60_000), Share::Deadline, Forced::No);
    assert_eq!(budget.pace(at(60_000), SHARE), Duration::from_secs(86_400) / 163);
    assert_eq!(budget.pace(at(86_400 + 27), SHARE), Duration::ZERO);
    // The distance counts from the latest call, also right after a restart.
    assert_eq!(budget.paced_until(at(60_000), SHARE), at(60_000) + Duration::from_secs(86_400) / 163);
}

#[test]
fn calls_of_complainers_do_not_pace_what_the_schedule_keeps() {
    // 100 complaints cost a call each without bringing a new string; then the value's end
    // comes near. Its renewal has its own calls and must not wait for nine minutes.
    let mut budget = Budget::new(200);
    for call in 0..100 {
        budget.count(at(call * 90), Share::Complaint, Forced::No);
    }
    assert_eq!(budget.pace(at(9_000), SHARE), Duration::ZERO);
    for call in 0..i64::from(SHARE) {
        budget.count(at(9_000 + call), Share::Deadline, Forced::No);
    }
    assert!(budget.pace(at(9_100), SHARE) > Duration::from_secs(60), "then it is paced");
}

#[test]
fn shares_start_empty_when_the_ledger_was_set_aside() {
    let mut budget = Budget::new(2_000);
    budget.forget_until(at(86_400));
    assert!(budget.allows(at(0), Share::Complaint, Forced::No, SHARE).is_err());
    budget.allows(at(91), Share::Complaint, Forced::No, SHARE).unwrap();
    let denied = budget.allows(at(91), Share::Complaint, Forced::Yes, SHARE).unwrap_err();
    assert_eq!(denied.until, at(86_400));
    budget.allows(at(0), Share::Deadline, Forced::No, SHARE).unwrap();
    budget.allows(at(86_400), Share::Complaint, Forced::Yes, SHARE).unwrap();
}

#[test]
fn a_call_that_never_reached_wechat_is_taken_back() {
    let mut budget = Budget::new(200);
    budget.count(at(0), Share::Deadline, Forced::No);
    budget.uncount();
    assert_eq!(budget.usage(at(0)).used, 0);
}

#[test]
fn calls_are_counted_to_the_millisecond_over_weeks_and_whatever_order_they_come_in() {
    // The packed instants are counted from one that has to move every few days.
    let mut budget = Budget::new(2_000);
    let mut naive: Vec<(i64, Share, Forced)> = Vec::new();
    let mut latest = i64::MIN;
    let shares = [Share::Deadline, Share::Complaint, Share::Operator];
    for number in 0..2_000_i64 {
        // Minutes apart, now and then a day and a half, and some before the one before.
        let at = number * 700_001 + number / 97 * 129_600_013 - (number % 3) * 900_007;
        latest = latest.max(at);
        let share = shares[usize::try_from(number % 3).unwrap()];
        let forced = if number % 7 == 0 { Forced::Yes } else { Forced::No };
        budget.count(BootTime(at), share, forced);
        naive.push((at, share, forced));
        for now in [BootTime(latest), BootTime(latest) + WINDOW / 2, BootTime(latest + 86_399_999)] {
            let inside: Vec<_> = naive.iter().filter(|call| BootTime(call.0) + WINDOW > now).collect();
            let usage = budget.usage(now);
            assert_eq!(usage.used as usize, inside.len(), "{number}");
            let forced = inside.iter().filter(|call| call.2 == Forced::Yes).count();
            assert_eq!(usage.forced_used as usize, forced, "{number}");
            let theirs = inside.iter().filter(|call| call.1 == Share::Operator).count();
            assert_eq!(budget.operator_left(now) as usize, 100_usize.saturating_sub(theirs), "{number}");
        }
    }
}
