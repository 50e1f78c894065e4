//! The schedule at its edges, and as a property over everything.

#![expect(clippy::float_cmp, reason = "whole seconds, which are exact")]

use proptest::prelude::*;

use super::*;

const NOW: BootTime = BootTime(1_000_000_000);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn life(seconds_: u64) -> Life {
    Life {
        asked: NOW,
        expires: NOW + seconds(seconds_),
        dead_by: NOW + seconds(seconds_),
        life: seconds(seconds_),
        last_chance: LastChance::NotNeeded,
    }
}

fn facts(shape: Shape, value: Option<Life>, jitter: f64) -> Facts {
    Facts {
        now: NOW,
        shape,
        value,
        failing: None,
        paused_until: None,
        parent: Parent::Ready,
        not_before: NOW,
        jitter,
    }
}

/// Seconds from now until the next attempt.
fn due_in(facts: &Facts) -> f64 {
    match next(facts) {
        Plan::At(at) => at.since(NOW).as_secs_f64(),
        Plan::Hold(hold) => panic!("held: {hold:?}"),
    }
}

#[test]
fn classic_is_renewed_between_ten_minutes_and_a_third_before_its_end() {
    assert_eq!(due_in(&facts(Shape::Classic, Some(life(7_200)), 0.0)), 6_600.0);
    assert_eq!(due_in(&facts(Shape::Classic, Some(life(7_200)), 0.999_999_9)).round(), 4_800.0);
    // A third where that is less than ten minutes.
    assert_eq!(due_in(&facts(Shape::Classic, Some(life(60)), 0.0)), 40.0);
    assert_eq!(due_in(&facts(Shape::Classic, Some(life(1_800)), 0.0)), 1_200.0);
}

#[test]
fn stable_is_renewed_just_inside_the_window_in_which_wechat_rolls_over() {
    assert_eq!(due_in(&facts(Shape::Stable, Some(life(7_200)), 0.0)), 6_902.0);
    assert_eq!(due_in(&facts(Shape::Stable, Some(life(7_200)), 0.999_999_9)).round(), 7_102.0);
    // What is left of a token that somebody else fetched: 345 s, so at least once more inside.
    let left = due_in(&facts(Shape::Stable, Some(life(345)), 0.999));
    assert!((45.0..345.0).contains(&left), "{left}");
}

#[test]
fn stable_keys_that_all_start_at_once_stay_under_a_third_in_any_minute() {
    // WeChat sets the phase: 10,000 tokens of the same second, of which no minute may get more than 0.35.
    let mut due: Vec<f64> = (0..10_000)
        .map(|key| due_in(&facts(Shape::Stable, Some(life(7_200)), f64::from(key) / 10_000.0)))
        .collect();
    due.sort_by(f64::total_cmp);
    let busiest =
        due.iter().map(|from| due.iter().filter(|at| (*from..*from + 60.0).contains(at)).count()).max();
    assert!(busiest <= Some(3_500), "{busiest:?}");
}

#[test]
fn undated_ticket_is_asked_for_every_ten_minutes_until_its_string_changes() {
    assert_eq!(due_in(&facts(Shape::UndatedTicket, Some(life(7_200)), 0.0)), 600.0);
    assert_eq!(due_in(&facts(Shape::DatedTicket, Some(life(7_200)), 0.0)), 6_900.0);
    assert_eq!(due_in(&facts(Shape::DatedTicket, Some(life(7_200)), 0.999_999_9)).round(), 6_600.0);
}

#[test]
fn ticket_near_its_end_is_asked_for_each_minute_and_once_at_the_end() {
    // Asked 30 s ago, 200 s before its end, and WeChat repeated the string.
    let near = Life { asked: NOW, expires: NOW + seconds(200), dead_by: NOW + seconds(200), ..life(7_200) };
    assert_eq!(due_in(&facts(Shape::DatedTicket, Some(near), 0.0)), 60.0);
    // 40 s are left: the end comes before the minute is over.
    let nearer = Life { expires: NOW + seconds(40), dead_by: NOW + seconds(40), ..near };
    assert_eq!(due_in(&facts(Shape::DatedTicket, Some(nearer), 0.0)), 30.0);
    // Asked at the end: then by the minute again, on its extension.
    let extended = Life { expires: NOW + TICKET_EXTENSION, dead_by: NOW + TICKET_EXTENSION, ..near };
    assert_eq!(due_in(&facts(Shape::DatedTicket, Some(extended), 0.0)), 60.0);
}

#[test]
fn a_missing_value_is_fetched_at_once_and_a_hold_says_why_not() {
    assert_eq!(next(&facts(Shape::Stable, None, 0.5)), Plan::At(NOW));
    let paused = Facts { paused_until: Some(NOW + seconds(5)), ..facts(Shape::Stable, None, 0.5) };
    assert_eq!(next(&paused), Plan::Hold(Hold::Paused(NOW + seconds(5))));
    let over = Facts { paused_until: Some(NOW), ..paused };
    assert_eq!(next(&over), Plan::At(NOW));
    let orphan = Facts { parent: Parent::Missing, ..facts(Shape::DatedTicket, None, 0.5) };
    assert_eq!(next(&orphan), Plan::Hold(Hold::ParentMissing));
}

fn failing(count: u32, lane: Lane, value: Option<Life>, jitter: f64) -> Facts {
    Facts { failing: Some(Failing { count, at: NOW, lane }), ..facts(Shape::Classic, value, jitter) }
}

#[test]
fn retries_double_up_to_their_cap_which_is_thirty_seconds_near_the_end() {
    for (count, near, far) in
        [(1, 1.0, 1.0), (2, 2.0, 2.0), (5, 16.0, 16.0), (6, 30.0, 32.0), (7, 30.0, 60.0), (99, 30.0, 60.0)]
    {
        assert_eq!(due_in(&failing(count, Lane::Soon, None, 0.0)), near, "{count}");
        assert_eq!(due_in(&failing(count, Lane::Soon, Some(life(600)), 0.0)), near, "{count}");
        assert_eq!(due_in(&failing(count, Lane::Soon, Some(life(601)), 0.0)), far, "{count}");
    }
    assert_eq!(due_in(&failing(1, Lane::Quota, None, 0.0)), 60.0);
    assert_eq!(due_in(&failing(9, Lane::Quota, None, 0.0)), 900.0);
    assert_eq!(due_in(&failing(9, Lane::Operator, None, 0.0)), 600.0);
    assert_eq!(due_in(&failing(3, Lane::Until(NOW + seconds(3_600)), None, 0.9)), 3_600.0);
}

#[test]
fn one_call_is_made_without_asking_before_a_bounded_value_ends() {
    // A lost answer bounds the value to 300 s; the failures' lane would wait longer.
    let bounded = Life { dead_by: NOW + seconds(300), last_chance: LastChance::Open, ..life(7_200) };
    let lane = Lane::Until(NOW + seconds(1_000));
    assert_eq!(due_in(&failing(3, lane, Some(bounded), 0.0)), 240.0);
    let used = Life { last_chance: LastChance::Used, ..bounded };
    assert_eq!(due_in(&failing(3, lane, Some(used), 0.0)), 1_000.0);
    // A sixth of a short life.
    let short = Life { dead_by: NOW + seconds(50), life: seconds(60), ..bounded };
    assert_eq!(due_in(&failing(3, lane, Some(short), 0.0)), 40.0);
}

#[test]
fn the_floor_holds_for_every_round() {
    let floored = Facts { not_before: NOW + seconds(7), ..facts(Shape::Stable, Some(life(1)), 0.0) };
    assert_eq!(due_in(&floored), 7.0);
    assert_eq!(due_in(&Facts { value: None, ..floored }), 7.0);
}

#[test]
fn deadlines_keep_twice_what_an_undisturbed_day_uses() {
    assert_eq!(deadline_share(Shape::Classic, seconds(7_200)), 27);
    assert_eq!(deadline_share(Shape::Stable, seconds(7_200)), 26);
    // Each minute of its last ten, and once more; and before that every ten minutes.
    assert_eq!(deadline_share(Shape::DatedTicket, seconds(7_200)), 276);
    assert_eq!(deadline_share(Shape::UndatedTicket, seconds(7_200)), 576);
    assert!(deadline_share(Shape::Classic, seconds(1)) >= 172_800);
}

proptest! {
    /// For all facts: an answer, never before the floor, and for a good value never after its end
    /// (a ticket of known age may be asked for at its end, which is 10 s before).
    #[test]
    fn schedule_is_total_and_asks_before_the_end(
        shape in prop_oneof![
            Just(Shape::Classic), Just(Shape::Stable), Just(Shape::DatedTicket), Just(Shape::UndatedTicket)
        ],
        life_seconds in 1_u64..=86_400,
        jitter in 0.0_f64..1.0,
    ) {
        let planned = next(&facts(shape, Some(life(life_seconds)), jitter));
        let Plan::At(at) = planned else { panic!("{planned:?}") };
        prop_assert!(at >= NOW);
        prop_assert!(at < NOW + seconds(life_seconds), "{shape:?} {life_seconds} {jitter}: {at:?}");
    }

    /// Whatever the phase, the age and the life: a steered renewal keeps the margins, and is not
    /// farther from the key's phase than the one before it was.
    #[test]
    fn steered_renewal_stays_in_its_window_and_comes_nearer_to_its_phase(
        life_seconds in 0_u64..=86_400,
        phase in 0.0_f64..1.0,
        began in -1_000_000_000_i64..1_000_000_000_000,
    ) {
        let began = BootTime(began);
        let value = Life { asked: began, expires: began + seconds(life_seconds), ..life(life_seconds) };
        let jitter = steered(&value, phase);
        prop_assert!((0.0..=1.0).contains(&jitter), "{jitter}");
        let third = seconds(life_seconds) / 3;
        let (least, most) =
            if third > seconds(600) { (seconds(600), third) } else { (third, seconds(life_seconds) / 2) };
        let renewed = renewal(Shape::Classic, &value, jitter);
        prop_assert!(renewed >= value.expires - most && renewed <= value.expires - least);

        let round = seconds(life_seconds).saturating_sub((least + most) / 2).as_secs_f64() * 1_000.0;
        prop_assume!(round > 1_000.0);
        #[expect(clippy::cast_precision_loss, reason = "boot times of centuries are exact")]
        let off = |at: BootTime| {
            let off = (at.0 as f64 - round * phase).rem_euclid(round);
            off.min(round - off)
        };
        // Instants have whole milliseconds.
        prop_assert!(off(renewed) <= off(began) + 2.0, "{} ms off after {}", off(renewed), off(began));
    }

    /// No count of failures, jitter or life makes a wait zero or longer than its lane's cap.
    #[test]
    fn waits_after_failures_are_bounded(
        count in 1_u32..=u32::MAX,
        jitter in 0.0_f64..1.0,
        left in 0_u64..=86_400,
        lane in prop_oneof![Just(Lane::Soon), Just(Lane::Quota), Just(Lane::Operator)],
    ) {
        let value = (left > 0).then(|| life(left.max(1)));
        let due = due_in(&failing(count, lane, value, jitter));
        let cap = match lane {
            Lane::Soon if left <= 600 => 30.0,
            Lane::Soon => 60.0,
            Lane::Quota => 900.0,
            Lane::Operator | Lane::Until(_) => 600.0,
        };
        prop_assert!(due >= 0.5 && due <= cap, "{due} of {cap}");
    }
}

#[test]
fn a_value_bounded_by_an_unknown_call_is_looked_at_at_once() {
    // The process died in a call that a complaint caused, hours before the renewal; or a
    // reload wiped the failure away. Waiting for the renewal would outwait the bound.
    for last_chance in [LastChance::Open, LastChance::Used] {
        let bounded = Life { dead_by: NOW + seconds(300), last_chance, ..life(7_200) };
        for shape in [Shape::Classic, Shape::Stable] {
            assert_eq!(due_in(&facts(shape, Some(bounded), 0.5)), 0.0);
        }
    }
}

#[test]
fn a_ticket_repeated_shortly_before_its_end_is_asked_for_again_at_its_end() {
    // WeChat repeats the string with its true remaining life of 9 s: a minute would be too long.
    let value = Life { asked: NOW, expires: NOW + seconds(9), dead_by: NOW + seconds(9), ..life(7_200) };
    for shape in [Shape::DatedTicket, Shape::UndatedTicket] {
        assert_eq!(due_in(&facts(shape, Some(value), 0.5)), 9.0);
    }
}

#[test]
fn no_jitter_brings_a_renewal_sooner_than_the_soonest() {
    for shape in [Shape::Classic, Shape::Stable, Shape::DatedTicket, Shape::UndatedTicket] {
        let soonest = due_in(&facts(shape, Some(life(7_200)), soonest(shape)));
        for jitter in [0.0, 0.3, 0.7, 0.999] {
            assert!(due_in(&facts(shape, Some(life(7_200)), jitter)) >= soonest, "{shape:?}");
        }
    }
}

/// The busiest minute of each of these rounds, in mean minutes.
fn busiest_of_rounds(keys: u32, rounds: usize, began: impl Fn(u32) -> i64) -> Vec<f64> {
    let round = 5_700_000;
    let mut minutes = vec![std::collections::HashMap::<i64, u32>::new(); rounds];
    for key in 0..keys {
        // As even as hashes are at best: what is tested is the steering, not chance.
        let phase = (f64::from(key) * 0.618_033_988_749_895).fract();
        let mut asked = BootTime(began(key));
        for minutes in &mut minutes {
            let value = Life { asked, expires: asked + seconds(7_200), ..life(7_200) };
            asked = renewal(Shape::Classic, &value, steered(&value, phase));
            *minutes.entry(asked.0 / 60_000).or_default() += 1;
        }
    }
    let mean = f64::from(keys) * 60_000.0 / f64::from(round);
    minutes.iter().map(|minutes| f64::from(*minutes.values().max().unwrap()) / mean).collect()
}

#[test]
fn classic_keys_of_one_moment_are_spread_over_the_whole_round_within_five_rounds() {
    // A cold start: the first renewals fill the window, which is 0.32 of a round, evenly. Each
    // further round brings a third of what is missing.
    let busiest = busiest_of_rounds(50_000, 6, |_| 0);
    for (round, most) in [3.3, 2.0, 1.6, 1.4, 1.3, 1.2].into_iter().enumerate() {
        assert!(busiest[round] < most, "round {}: {busiest:?}", round + 1);
    }
}

#[test]
fn classic_keys_in_their_places_stay_there() {
    let busiest = busiest_of_rounds(50_000, 16, |key| {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a round")]
        let place = ((f64::from(key) * 0.618_033_988_749_895).fract() * 5_700_000.0) as i64;
        place
    });
    assert!(busiest.iter().all(|busiest| *busiest < 1.05), "{busiest:?}");
}

#[test]
fn busiest_minute_of_a_hundred_thousand_hashed_phases_is_near_the_mean() {
    let mut minutes = [0_u32; 95];
    for number in 0..100_000 {
        let key = Key::new(format!("wx{number:016x}").parse().unwrap(), crate::model::Kind::AccessToken);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 94")]
        let minute = (phase(&key) * 95.0) as usize;
        minutes[minute] += 1;
    }
    let busiest = f64::from(*minutes.iter().max().unwrap()) * 95.0 / 100_000.0;
    assert!(busiest < 1.15, "{busiest}");
}

#[test]
fn phases_of_appids_in_a_row_are_spread_like_chance() {
    // Accounts are often numbered: their hashes must not be neighbours.
    let mut tenths = [0_u32; 10];
    for number in 0..10_000 {
        let key = Key::new(format!("wx{number:016x}").parse().unwrap(), crate::model::Kind::AccessToken);
        assert_eq!(phase(&key), phase(&key.clone()));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
        let tenth = (phase(&key) * 10.0) as usize;
        tenths[tenth] += 1;
    }
    // Four deviations of a thousand, thirty each.
    assert!(tenths.iter().all(|count| (880..1_120).contains(count)), "{tenths:?}");
}
