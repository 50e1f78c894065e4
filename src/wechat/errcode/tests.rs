//! The table, line by line. The expected reactions are written out again by hand, from
//! Tencent's pages: a slip of the table must not agree with itself.

use super::*;

/// A row per number: the reaction at a token endpoint, at the ticket's, at `/sns/*`, elsewhere.
const EXPECTED: &[(i64, [Reaction; 4])] = {
    use Reaction::{NeedsOperator as Op, QuotaSpent as Quota, RefreshParent as Parent, RetrySoon as Soon};
    const fn later(seconds: u64) -> [Reaction; 4] {
        [Reaction::RetryLater(Duration::from_secs(seconds)); 4]
    }
    &[
        (-1, [Soon; 4]),
        (40001, [Op, Parent, Op, Parent]),
        (40002, [Op; 4]),
        (40013, [Op; 4]),
        (40014, [Op, Parent, Op, Parent]),
        (40125, [Op; 4]),
        (40164, [Op; 4]),
        (40166, [Op; 4]),
        (40187, [Op; 4]),
        (40188, [Op; 4]),
        (40243, [Op; 4]),
        (41001, [Op; 4]),
        (41002, [Op; 4]),
        (41004, [Op; 4]),
        (42001, [Op, Parent, Op, Parent]),
        (42002, [Op; 4]),
        (42003, [Op; 4]),
        (42006, [Op; 4]),
        (42007, [Op; 4]),
        (43002, [Op; 4]),
        (45009, [Quota; 4]),
        (45011, later(60)),
        (45035, [Op; 4]),
        (45102, later(600)),
        (45501, later(600)),
        (48001, [Op; 4]),
        (48004, [Op; 4]),
        (48006, [Op; 4]),
        (49001, [Op; 4]),
        (50001, [Op; 4]),
        (50002, [Op; 4]),
        (50003, [Op; 4]),
        (50004, [Op; 4]),
        (50007, [Op; 4]),
        (61003, [Op; 4]),
        (61004, [Op; 4]),
        (61005, later(600)),
        (61006, later(600)),
        (61007, [Op; 4]),
        (61009, [Op; 4]),
        (61010, [Op; 4]),
        (61011, [Op; 4]),
        (61014, [Op; 4]),
        (61015, [Op; 4]),
        (61023, [Op; 4]),
        (61024, [Op; 4]),
        (76003, [Op; 4]),
        (76021, [Op; 4]),
        (76022, [Op; 4]),
        (87009, [Op; 4]),
        (89501, later(180)),
        (89502, later(180)),
        (89503, [Op; 4]),
        (89504, later(180)),
        (89505, later(180)),
        (89506, later(24 * 3600)),
        (89507, later(3600)),
    ]
};

/// The numbers about requests and users, which no retry and no new token helps.
const OF_REQUESTS: &[i64] = &[
    40003, 40007, 40118, 40121, 40016, 40017, 40018, 40019, 40020, 40022, 40023, 40024, 40025, 40026, 40027,
    40029, 40030, 40033, 47002, 40035, 40048, 40052, 40053, 40054, 40055, 40119, 40120, 40163, 40201, 40202,
    40203, 40226, 41003, 41008, 41009, 41010, 43001, 43003, 43004, 43019, 43101, 44002, 45002, 45010, 45015,
    45029, 45047, 45064, 46003, 46004, 47001, 48002, 48005, 50005, 65301, 65302, 65303, 65304, 65305, 65306,
    65307, 65308, 65309, 65310, 65311, 65312, 65313, 65314, 65316, 65317,
];

fn refusal(number: i64, seen_ip: Option<&str>) -> Refusal {
    Refusal {
        errcode: ErrCode(number),
        errmsg: String::new(),
        rid: None,
        seen_ip: seen_ip.map(|ip| ip.parse().unwrap()),
    }
}

#[test]
fn every_number_of_the_credentials_gets_its_reaction_at_each_endpoint() {
    assert_eq!(EXPECTED.len(), 57);
    for &(number, reactions) in EXPECTED {
        assert!(is_known(ErrCode(number)), "{number}");
        for (endpoint, expected) in Endpoint::ALL.into_iter().zip(reactions) {
            assert_eq!(reaction(endpoint, ErrCode(number)), expected, "{number} at {endpoint:?}");
        }
    }
}

#[test]
fn a_number_of_a_request_is_known_and_never_retried_fast_nor_blamed_on_the_token() {
    assert_eq!(OF_REQUESTS.len(), 70);
    for &number in OF_REQUESTS {
        assert!(is_known(ErrCode(number)), "{number}");
        for endpoint in Endpoint::ALL {
            assert_eq!(reaction(endpoint, ErrCode(number)), Reaction::NeedsOperator, "{number}");
        }
    }
}

#[test]
fn a_token_endpoint_never_asks_for_a_new_parent_whatever_the_number() {
    // A parent of a token is none: the reaction would be a loop.
    for number in -2000..100_000 {
        let found = reaction(Endpoint::Token, ErrCode(number));
        assert_ne!(found, Reaction::RefreshParent, "{number}");
    }
}

#[test]
fn only_the_three_dead_numbers_ask_for_a_new_parent() {
    let dead: Vec<i64> = (-2000..100_000).filter(|&number| says_dead(ErrCode(number))).collect();
    assert_eq!(dead, [40001, 40014, 42001]);
    for endpoint in [Endpoint::Ticket, Endpoint::Business] {
        let asking: Vec<i64> = (-2000..100_000)
            .filter(|&number| reaction(endpoint, ErrCode(number)) == Reaction::RefreshParent)
            .collect();
        assert_eq!(asking, dead);
    }
}

#[test]
fn an_unknown_number_is_uncounted_as_known_and_gets_the_slow_lane() {
    for number in [i64::MIN, -2, 1, 40000, 99999, i64::MAX] {
        assert!(!is_known(ErrCode(number)), "{number}");
        for endpoint in Endpoint::ALL {
            assert_eq!(reaction(endpoint, ErrCode(number)), Reaction::NeedsOperator);
            assert!(meaning(endpoint, ErrCode(number)).contains("does not know"));
        }
    }
}

#[test]
fn every_line_has_a_sentence_an_action_and_a_page() {
    let numbers = EXPECTED.iter().map(|&(number, _)| number).chain(OF_REQUESTS.iter().copied());
    for number in numbers {
        for endpoint in Endpoint::ALL {
            let says = meaning(endpoint, ErrCode(number));
            let does = action(endpoint, &refusal(number, None));
            for text in [says, &does] {
                assert!(!text.is_empty() && !text.ends_with('.') && !text.contains("  "), "{number}: {text}");
            }
            assert!(page(endpoint, ErrCode(number)).starts_with("https://developers.weixin.qq.com/"));
        }
    }
}

#[test]
fn a_refused_address_is_named_with_the_place_where_it_is_allowed() {
    let text = action(Endpoint::Token, &refusal(40164, Some("203.0.113.7")));
    for part in ["203.0.113.7", "mp.weixin.qq.com", "设置与开发", "基本配置", "IP白名单", "IP whitelist"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    // An address does not slip into the advice about anything else.
    assert!(!action(Endpoint::Token, &refusal(40125, Some("203.0.113.7"))).contains("203"));
}

#[test]
fn a_wrong_secret_and_a_dead_token_share_a_number_but_not_the_advice() {
    assert!(action(Endpoint::Token, &refusal(40001, None)).contains("AppSecret(开发者密码)"));
    assert!(action(Endpoint::Business, &refusal(40001, None)).starts_with("nothing"));
}

#[test]
fn numbers_of_users_are_refusals_that_no_operator_can_mend() {
    for number in [40029, 40163, 42003, 42007, 41008] {
        assert!(is_users(ErrCode(number)), "{number}");
    }
    for number in [-1, 40001, 40013, 40125, 40164, 40243, 45009, 50002, 61024, 12345] {
        assert!(!is_users(ErrCode(number)), "{number}");
    }
}
